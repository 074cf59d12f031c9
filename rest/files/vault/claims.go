package vault

import (
	"context"
	"sync"
)

// claims keeps changes of the same path, or of one above or below it, apart. They are held for the few steps of a change
// only, never while something is sent or received.
type claims struct {
	mu    sync.Mutex
	held  map[*[]Path]struct{}
	freed chan struct{} // closed when a claim ends
}

// take waits until nobody changes any of the paths, and then holds them all. release must be called.
func (c *claims) take(ctx context.Context, paths ...Path) (release func(), err error) {
	for {
		release, freed := c.try(paths)
		if release != nil {
			return release, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try is take without waiting: release is nil when a path is held, and freed is closed once that may have changed.
func (c *claims) try(paths []Path) (release func(), freed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freed == nil {
		c.held, c.freed = map[*[]Path]struct{}{}, make(chan struct{})
	}
	for held := range c.held {
		if meet(*held, paths) {
			return nil, c.freed
		}
	}
	mine := &paths
	c.held[mine] = struct{}{}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.held, mine)
		close(c.freed)
		c.freed = make(chan struct{})
	}), nil
}

func meet(a, b []Path) bool {
	for _, p := range a {
		for _, q := range b {
			if p.Holds(q) || q.Holds(p) {
				return true
			}
		}
	}
	return false
}
