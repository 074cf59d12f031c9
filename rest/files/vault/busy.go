package vault

import (
	"context"
	"sync"
	"time"

	"brenda/pipeline/fault"
)

// How a call that holds an upload is asked to end, when another one wants it.
const (
	askAgain = 50 * time.Millisecond
	giveUp   = 10 * time.Second
)

// busy lets one call at a time work on an upload. The newest wins: the one before it is told to stop.
type busy struct {
	mu   sync.Mutex
	held map[string]*hold
}

type hold struct {
	stop func()
	done chan struct{}
}

// try holds an upload that is free, and returns nil for one that is not.
func (b *busy) try(id string) (release func()) {
	release, _ = b.hold(id, nil)
	return release
}

func (b *busy) hold(id string, stop func()) (release func(), held *hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.held[id]; h != nil {
		return nil, h
	}
	if b.held == nil {
		b.held = map[string]*hold{}
	}
	mine := &hold{stop, make(chan struct{})}
	b.held[id] = mine
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.held, id)
		close(mine.done)
	}, nil
}

// take holds an upload, once the call that holds it has stopped.
func (b *busy) take(ctx context.Context, id string, stop func()) (release func(), err error) {
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	late := time.NewTimer(giveUp)
	defer late.Stop()
	for {
		release, held := b.hold(id, stop)
		if release != nil {
			return release, nil
		}
		if held.stop != nil {
			held.stop()
		}
		select {
		case <-held.done:
		case <-tick.C: // the deadline that stops a reader may have been overwritten by a new one
		case <-late.C:
			return nil, fault.New(fault.Conflict, "upload_busy", "the upload is in use by another request")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
