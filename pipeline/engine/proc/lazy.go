package proc

import (
	"sync"

	"brenda/pipeline/fault"
)

// Lazy is a worker that is started by its first use, so that an engine whose files are still being fetched can be built
// before they are there.
type Lazy struct {
	start func() (*Worker, error)

	mu     sync.Mutex
	worker *Worker
	closed bool
}

// NewLazy returns a worker that start starts. start is called again until it succeeds.
func NewLazy(start func() (*Worker, error)) *Lazy { return &Lazy{start: start} }

// Worker returns the worker, started if need be.
func (l *Lazy) Worker() (*Worker, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fault.New(fault.Unavailable, "engine_stopped", "the engine is shutting down")
	}
	if l.worker != nil {
		return l.worker, nil
	}
	w, err := l.start()
	if err != nil {
		return nil, err
	}
	l.worker = w
	return w, nil
}

// State returns what the child is doing; Stopped before the first use.
func (l *Lazy) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.worker == nil {
		return State{Phase: Stopped}
	}
	return l.worker.State()
}

// Close ends the child for good. It may be called twice.
func (l *Lazy) Close() error {
	l.mu.Lock()
	w := l.worker
	l.worker, l.closed = nil, true
	l.mu.Unlock()
	if w == nil {
		return nil
	}
	return w.Close()
}
