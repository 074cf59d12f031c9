package vitals

import (
	"strings"
	"time"
)

// Container is a container of Brenda's. What may hold secrets (environment, mounts, command) is not told.
type Container struct {
	ID      string               `json:"id"` // 64 hexadecimal digits
	Name    string               `json:"name"`
	Status  string               `json:"status"` // "created", "running", "paused", "restarting", "exited" or "dead"
	Image   string               `json:"image"`
	Created time.Time            `json:"created"`
	Ports   map[string][]Binding `json:"ports"` // "80/tcp" → where the host listens for it; empty: nowhere
	Own     bool                 `json:"own"`   // the one that this server runs in
}

// Binding is an address of the host.
type Binding struct {
	HostIP   string `json:"host_ip"`
	HostPort string `json:"host_port"`
}

// Listed is a container in the list.
type Listed struct {
	Container
	Stats Usage `json:"stats"`
}

// Usage is what a container uses. When Available is false nothing could be learned, and the figures are 0: it does not
// run, or the daemon did not tell in time.
type Usage struct {
	Available     bool      `json:"available"`
	CPUPercent    float64   `json:"cpu_percent"`    // 100 is one core
	MemoryPercent float64   `json:"memory_percent"` // of MemoryLimit
	MemoryUsage   uint64    `json:"memory_usage"`   // without the page cache that can be given back
	MemoryLimit   uint64    `json:"memory_limit"`   // the machine's memory where none is set
	Processes     uint64    `json:"processes"`
	Received      uint64    `json:"received"` // over the network, since it started
	Sent          uint64    `json:"sent"`
	Read          uint64    `json:"read"` // from disks, since it started
	Written       uint64    `json:"written"`
	At            time.Time `json:"at,omitzero"`
}

// Verb is what can be done to a container.
type Verb string

// The verbs.
const (
	Start   Verb = "start"
	Stop    Verb = "stop"
	Restart Verb = "restart"
)

// Order asks for something to be done to a container.
type Order struct {
	Verb  Verb
	Grace time.Duration // how long it may take to end by itself before it is killed; whole seconds, at most MaxGrace
	Force bool          // do it even to the container that this server runs in
}

// Limits of what may be asked for.
const (
	MaxGrace = 30 * time.Second
	MaxTail  = 10000
)

// LogQuery says which part of a log is wanted.
type LogQuery struct {
	Tail       int       // the newest lines only, at most MaxTail
	Since      time.Time // nothing older; zero means no limit
	Timestamps bool
	Follow     bool // go on until the container ends
}

// Line is a line of a log, without its end.
type Line struct {
	Stream string    `json:"stream"` // "stdout" or "stderr"; with a terminal all is "stdout"
	Text   string    `json:"text"`
	At     time.Time `json:"at,omitzero"` // when asked for
}

// Brendas tells whether a container belongs to Brenda: its name, its image or the key of one of its labels says so.
func Brendas(name, image string, labels map[string]string) bool {
	const word = "brenda"
	if strings.Contains(strings.ToLower(name), word) || strings.Contains(strings.ToLower(image), word) {
		return true
	}
	for key := range labels {
		if strings.EqualFold(key, word) {
			return true
		}
	}
	return false
}
