package host

import (
	"path/filepath"
	"regexp"
)

// OwnContainer returns the id of the Docker container that this process runs in, "" for none. A container's files
// hostname, hosts and resolv.conf are mounted from a folder that has its id; its cgroups may have it too.
func OwnContainer() string { return ownContainer("/") }

func ownContainer(root string) string {
	mounted := regexp.MustCompile(`/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) /etc/`)
	for _, line := range readLines(filepath.Join(root, "proc/self/mountinfo")) {
		if m := mounted.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	grouped := regexp.MustCompile(`docker[/-]([0-9a-f]{64})`)
	for _, line := range readLines(filepath.Join(root, "proc/self/cgroup")) {
		if m := grouped.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}
