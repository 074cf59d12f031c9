package vault

import (
	"sync"
	"time"
)

// recount is how long the count is believed at least when a quota says no: somebody may have deleted files by other means.
const recount = 30 * time.Second

// usage counts what is stored, and what is about to be, against the quota.
type usage struct {
	maxBytes, maxEntries int64 // 0: no limit

	mu      sync.Mutex
	stored  tally
	pending tally // of drafts
	counted time.Time
}

// tally is an amount of storage.
type tally struct{ bytes, entries int64 }

func (t tally) plus(o tally) tally  { return tally{t.bytes + o.bytes, t.entries + o.entries} }
func (t tally) minus(o tally) tally { return tally{t.bytes - o.bytes, t.entries - o.entries} }

// reserve takes room for a draft.
func (u *usage) reserve(t tally) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	sum := u.stored.plus(u.pending).plus(t)
	switch {
	case t.bytes > 0 && u.maxBytes > 0 && sum.bytes > u.maxBytes:
		return errFull("the quota of bytes is used up")
	case t.entries > 0 && u.maxEntries > 0 && sum.entries > u.maxEntries:
		return errFull("the quota of files and folders is used up")
	}
	u.pending = u.pending.plus(t)
	return nil
}

// release gives room back that was reserved.
func (u *usage) release(t tally) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending = u.pending.minus(t)
}

// settle turns reserved room into stored.
func (u *usage) settle(t tally) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending, u.stored = u.pending.minus(t), u.stored.plus(t)
}

// freed counts what was deleted.
func (u *usage) freed(t tally) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stored = u.stored.minus(t)
	u.stored.bytes, u.stored.entries = max(0, u.stored.bytes), max(0, u.stored.entries)
}

// stale tells whether it is worth counting again.
func (u *usage) stale(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.Sub(u.counted) > recount
}

func (u *usage) set(stored tally, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stored, u.counted = stored, now
}

// total returns what is stored and about to be.
func (u *usage) total() tally {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stored.plus(u.pending)
}
