package host

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"brenda/pipeline/vitals"
)

// noLimit is from where on a limit of version 1 means none: the kernel writes the largest number of pages.
const noLimit = 1 << 60

// cgroup is where the kernel keeps what this process may use. Every folder above its own can set a limit too.
type cgroup struct {
	memory, cpu, usage []string // folders of these controllers, from the own one up to what can be seen; empty: none
	v1                 [3]bool  // which of them are of version 1
}

// mount is a mounted hierarchy.
type mount struct {
	root, point string // the folder of the hierarchy that is mounted, and where
	v2          bool
	controllers string // of version 1, as mount options
}

// findCgroup finds this process's cgroup in the file system that begins at root.
func findCgroup(root string) *cgroup {
	mounts := cgroupMounts(filepath.Join(root, "proc/self/mountinfo"))
	paths := cgroupPaths(filepath.Join(root, "proc/self/cgroup"))
	g := &cgroup{}
	for i, want := range []struct {
		name, has string // has: a file that a folder with this controller has
		into      *[]string
	}{{"memory", "memory.current", &g.memory}, {"cpu", "cpu.max", &g.cpu}, {"cpuacct", "cpu.stat", &g.usage}} {
		for _, m := range mounts {
			path, ok := paths[want.name]
			switch {
			case m.v2:
				path, ok = paths[""]
			case !contains(m.controllers, want.name):
				continue
			}
			if !ok {
				continue
			}
			if dirs := m.folders(root, path); !m.v2 || has(dirs, want.has) {
				*want.into, g.v1[i] = dirs, !m.v2
				break
			}
		}
	}
	return g
}

func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

func has(dirs []string, file string) bool {
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return true
		}
	}
	return false
}

// folders returns the folder of a path in the hierarchy, and those above it that can be seen. In a container with the
// host's name space the mount begins at the container's own folder.
func (m mount) folders(root, path string) []string {
	rel := strings.TrimPrefix(path, strings.TrimSuffix(m.root, "/"))
	if rel == path && m.root != "/" || strings.Contains(path, "..") {
		rel = "/" // outside of what is mounted: the mount's own folder is the nearest
	}
	top := filepath.Join(root, m.point)
	dirs := []string{}
	for dir := filepath.Join(top, rel); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
		if dir == top || len(dir) <= len(top) {
			return dirs
		}
	}
}

// cgroupMounts reads mountinfo (see proc(5)). Version 1 goes first: where both are mounted, it has the controllers.
func cgroupMounts(file string) []mount {
	var v1, v2 []mount
	for _, line := range readLines(file) {
		left, right, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		m := mount{root: f[3], point: f[4], v2: g[0] == "cgroup2", controllers: g[2]}
		switch g[0] {
		case "cgroup":
			v1 = append(v1, m)
		case "cgroup2":
			v2 = append(v2, m)
		}
	}
	return append(v1, v2...)
}

// cgroupPaths reads /proc/self/cgroup: controller → path; "" is version 2.
func cgroupPaths(file string) map[string]string {
	paths := map[string]string{}
	for _, line := range readLines(file) {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 {
			for name := range strings.SplitSeq(f[1], ",") {
				paths[name] = f[2]
			}
		}
	}
	return paths
}

func readLines(file string) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		out = append(out, s.Text())
	}
	return out
}

// number reads a file that holds one number; "max" is no number.
func number(dir, file string) (float64, bool) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	return v, err == nil && v >= 0
}

// entry reads one line of a file of names and numbers.
func entry(dir, file, name string) (float64, bool) {
	for _, line := range readLines(filepath.Join(dir, file)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			v, err := strconv.ParseFloat(f[1], 64)
			return v, err == nil
		}
	}
	return 0, false
}

// quota returns how many processors may be kept busy, 0 for no limit.
func (g *cgroup) quota() float64 {
	least := 0.0
	for _, dir := range g.cpu {
		quota, period := g.allowance(dir)
		if quota > 0 && period > 0 && (least == 0 || quota/period < least) {
			least = quota / period
		}
	}
	return least
}

// allowance returns the time that a folder may use in each period, 0 for no limit.
func (g *cgroup) allowance(dir string) (quota, period float64) {
	if g.v1[1] {
		quota, _ = number(dir, "cpu.cfs_quota_us") // -1 is no limit
		period, _ = number(dir, "cpu.cfs_period_us")
		return quota, period
	}
	for _, line := range readLines(filepath.Join(dir, "cpu.max")) {
		if f := strings.Fields(line); len(f) == 2 {
			quota, _ = strconv.ParseFloat(f[0], 64) // "max" is no limit
			period, _ = strconv.ParseFloat(f[1], 64)
		}
	}
	return quota, period
}

// used returns the seconds of processor that the own folder has used.
func (g *cgroup) used() (float64, error) {
	for _, dir := range g.usage {
		if v, ok := number(dir, "cpuacct.usage"); ok && g.v1[2] {
			return v / 1e9, nil
		}
		if v, ok := entry(dir, "cpu.stat", "usage_usec"); ok && !g.v1[2] {
			return v / 1e6, nil
		}
	}
	return 0, errors.New("the cgroup does not tell what it uses")
}

// room returns the memory that the limits leave of the machine's.
func (g *cgroup) room(m vitals.Memory) vitals.Memory {
	limitFile, useFile, statFile := "memory.max", "memory.current", "inactive_file"
	if g.v1[0] {
		limitFile, useFile, statFile = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
	}
	for _, dir := range g.memory {
		limit, ok := number(dir, limitFile)
		if !ok || limit >= noLimit {
			continue
		}
		use, _ := number(dir, useFile)
		cache, _ := entry(dir, "memory.stat", statFile) // can be given back at once
		left := max(limit-max(use-cache, 0), 0)
		if limit < float64(m.Total) {
			m.Total, m.Limited = uint64(limit), true
		}
		m.Available = min(m.Available, uint64(left), m.Total)
	}
	return m
}
