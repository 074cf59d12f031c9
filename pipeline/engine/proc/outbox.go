package proc

import (
	"io"
	"sync"
)

// outbox writes frames to a pipe from one goroutine, so that nobody waits for a child that does not
// read. It is bounded by the calls in flight: each has a call, a cancel and a window of acks in it at
// most.
type outbox struct {
	mu     *sync.Mutex
	wake   *sync.Cond
	queue  []frame
	closed bool
}

func newOutbox() outbox {
	mu := &sync.Mutex{}
	return outbox{mu: mu, wake: sync.NewCond(mu)}
}

// push adds a frame; after close it is dropped.
func (o *outbox) push(f frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.queue = append(o.queue, f)
		o.wake.Signal()
	}
}

// withdraw takes a call back that was not yet begun to be written, and reports whether it could.
func (o *outbox) withdraw(id uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, f := range o.queue {
		if f.id == id && f.typ == frameCall {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			return true
		}
	}
	return false
}

// close makes run return once its present write is over.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake.Signal()
}

// run writes what is pushed until close or until w fails.
func (o *outbox) run(w io.Writer) {
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.closed {
			o.wake.Wait()
		}
		if o.closed {
			o.mu.Unlock()
			return
		}
		f := o.queue[0]
		o.queue[0] = frame{}
		o.queue = o.queue[1:]
		o.mu.Unlock()
		if writeFrame(w, f) != nil {
			o.close() // the reader sees the child's end
			return
		}
	}
}
