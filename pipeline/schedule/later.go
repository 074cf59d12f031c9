package schedule

import (
	"context"
	"sync"
)

// lane is a class that can change while its work waits or runs. Its lock is taken inside Machine.mu.
type lane struct {
	mu      sync.Mutex
	m       *Machine // whose queues the work is in; nil before the first
	urgent  bool
	tickets map[*ticket]struct{}
}

// Later marks the work done under a context as Speculative until urgent is called: from then on it is Foreground, also what
// waits or runs already. Work that was preempted before stays cancelled. All queues must be of one machine.
func Later(ctx context.Context) (later context.Context, urgent func()) {
	l := &lane{tickets: map[*ticket]struct{}{}}
	return context.WithValue(ctx, classKey{}, l), l.promote
}

func (l *lane) class() Class {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.urgent {
		return Foreground
	}
	return Speculative
}

// join has a ticket promoted with the others.
func (l *lane) join(t *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.m = t.q.m
	l.tickets[t] = struct{}{}
	t.class = Speculative
	if l.urgent {
		t.class = Foreground
	}
}

func (l *lane) leave(t *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tickets, t)
}

// promote makes foreground work of all that belongs to the lane, at once: its pieces must not preempt each other.
func (l *lane) promote() {
	l.mu.Lock()
	m := l.m
	if m == nil {
		l.urgent = true
	}
	l.mu.Unlock()
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l.mu.Lock()
	l.urgent = true
	for t := range l.tickets {
		t.promote()
	}
	l.mu.Unlock()
	m.dispatch()
}

// promote makes a ticket foreground work.
func (t *ticket) promote() {
	q := t.q
	if t.class == Foreground || t.told {
		return
	}
	select {
	case <-t.granted:
		q.m.finish(t)
		t.class = Foreground
		q.running[t.class]++
		q.m.running[t.class]++
	default:
		q.drop(t)
		t.class = Foreground
		q.waiting[t.class] = append(q.waiting[t.class], t)
	}
}
