package docker

import "time"

// SetPatience sets how long a daemon may send no sample, and how long a start may take.
func (e *Engine) SetPatience(d time.Duration) { e.stall, e.action = d, d }

// Unreachable is the fault of a failed connection.
func Unreachable(err error) error { return unreachable(err) }

// Host is where the daemon is.
func (e *Engine) Host() string { return e.cfg.Host }
