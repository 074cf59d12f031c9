// Package vitals has the words in which Brenda tells of the machine that she runs on, of her own processes, and of the
// containers that belong to her. Engines fill these types, rest/monitor sends them; the JSON names are part of the API.
//
// Sizes are bytes. Shares are percent: of everything that there is for a machine (0…100), of one core for a process and for
// a container (100 is one core kept busy).
package vitals

import "time"

// System is the state of the machine, or of the part of it that this process may use.
type System struct {
	At         time.Time `json:"at"`
	CPUPercent float64   `json:"cpu_percent"` // of Cores
	Cores      float64   `json:"cores"`       // what may be used; a share of one, too
	CPULimited bool      `json:"cpu_limited"` // a cgroup allows less than the machine has, and is what was measured
	Load       []float64 `json:"load"`        // of the machine, over 1, 5 and 15 minutes; null where it is not told
	Uptime     uint64    `json:"uptime"`      // of the machine, in seconds
	Memory     Memory    `json:"memory"`
	Swap       Swap      `json:"swap"`
	Disk       Disk      `json:"disk"` // the one that Brenda's data is on
	GPUs       []GPU     `json:"gpus,omitempty"`
}

// Memory is main memory.
type Memory struct {
	Total     uint64  `json:"total"`     // the cgroup's limit where there is one
	Available uint64  `json:"available"` // can be had without swapping
	Percent   float64 `json:"percent"`   // not available
	Limited   bool    `json:"limited"`   // Total is a cgroup's limit
}

// Swap is memory on a disk. All of it is 0 where there is none.
type Swap struct {
	Total   uint64  `json:"total"`
	Used    uint64  `json:"used"`
	Percent float64 `json:"percent"`
}

// Disk is a file system. Used and Free need not add up to Total: some is the administrator's.
type Disk struct {
	Total   uint64  `json:"total"`
	Used    uint64  `json:"used"`
	Free    uint64  `json:"free"`    // for users
	Percent float64 `json:"percent"` // Used of what users can have
}

// GPU is a graphics processor. What it does not tell is nil.
type GPU struct {
	Index       int      `json:"index"`
	Name        string   `json:"name"`
	Percent     *float64 `json:"percent"` // busy
	MemoryTotal *uint64  `json:"memory_total"`
	MemoryUsed  *uint64  `json:"memory_used"`
	Celsius     *float64 `json:"celsius"`
}

// Point is one step of the history.
type Point struct {
	At            time.Time `json:"at"`
	CPUPercent    float64   `json:"cpu_percent"` // mean of the step
	MemoryPercent float64   `json:"memory_percent"`
	MemoryUsed    uint64    `json:"memory_used"`
	DiskPercent   float64   `json:"disk_percent"`
}

// Child is a process of Brenda's: an engine, or the server itself.
type Child struct {
	Name       string    `json:"name"`
	State      string    `json:"state"`       // "starting", "ready", "failed" or "stopped"
	PID        int       `json:"pid"`         // 0 when nothing runs
	CPUPercent float64   `json:"cpu_percent"` // 100 is one core; 0 until it was read twice
	Memory     uint64    `json:"memory"`      // resident; the files of models count that it has mapped
	Restarts   int       `json:"restarts"`    // starts beyond the first
	Since      time.Time `json:"since,omitzero"`
	Reason     string    `json:"reason,omitempty"` // how it last ended
}
