package openaichat

import "sync"

// slots hands out the slots of a llama.cpp server. Each slot keeps the prompt it last read, so a
// conversation wants its own back; but a request pinned to a busy slot waits for it, so a busy one is never
// handed out.
type slots struct {
	mu    sync.Mutex
	slots []slot
	clock uint64
}

type slot struct {
	owner string // the affinity that used it last
	busy  bool
	used  uint64 // when, by clock; 0 means never
}

func newSlots(n int) *slots { return &slots{slots: make([]slot, max(n, 0))} }

// take returns the slot for an affinity and what frees it; −1 when none is free or there are none. The
// choice is its own slot, else the one that has rested longest.
func (s *slots) take(affinity string) (id int, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id = -1
	for i, c := range s.slots {
		switch {
		case c.busy:
		case affinity != "" && c.used > 0 && c.owner == affinity:
			return i, s.hold(i, affinity)
		case id < 0 || c.used < s.slots[id].used:
			id = i
		}
	}
	if id < 0 {
		return -1, func() {}
	}
	return id, s.hold(id, affinity)
}

func (s *slots) hold(id int, affinity string) (release func()) {
	s.clock++
	s.slots[id] = slot{owner: affinity, busy: true, used: s.clock}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.slots[id].busy = false
	}
}
