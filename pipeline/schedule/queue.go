package schedule

import (
	"context"
	"time"

	"brenda/pipeline/fault"
)

// Config bounds a queue. Zero fields mean the defaults.
type Config struct {
	Name    string        // the engine, for messages and metrics: "llm"
	Running int           // how much may run at once; default 1
	Waiting int           // how much may wait of a class and those above it; default 16
	MaxWait time.Duration // work that would wait longer is refused at once; default 30 s
}

const (
	defaultWaiting = 16
	defaultMaxWait = 30 * time.Second
	smoothing      = 4 // the moving average takes a quarter of each new service time
)

// Queue admits work to one engine: at most Config.Running at once, the more urgent class first, within a
// class in the order of arrival. Make it with Machine.Queue.
type Queue struct {
	m   *Machine
	cfg Config

	// guarded by Machine.mu
	running  [classes]int
	waiting  [classes][]*ticket
	service  time.Duration // moving average; 0 until something was done
	refused  uint64
	preempts uint64
	finished uint64
}

// ticket is one piece of work, waiting or running.
type ticket struct {
	q       *Queue
	class   Class
	since   time.Time               // of arrival, then of its start
	granted chan struct{}           // closed when it may run
	cancel  context.CancelCauseFunc // ends its context; set for speculative work
	told    bool                    // that it was preempted, or is over: its class is settled
	lane    *lane                   // that it belongs to; nil for none
}

// Do runs work when it is its turn, and returns its error. The class is ctx's. Work that cannot start in
// time (before ctx's deadline and Config.MaxWait, by the moving average of service times), or finds the
// queue full, is refused at once with fault.Unavailable, code "overloaded" and RetryAfter. When ctx ends
// while waiting, Do returns its cause. Speculative work is refused or cancelled with fault.ErrPreempted when
// foreground work wants the machine.
func (q *Queue) Do(ctx context.Context, work func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &ticket{q: q, class: From(ctx), granted: make(chan struct{}), cancel: cancel}
	t.lane, _ = ctx.Value(classKey{}).(*lane)
	if t.lane != nil {
		defer t.lane.leave(t)
	}
	if err := q.enter(ctx, t); err != nil {
		return err
	}
	if err := q.await(ctx, t); err != nil {
		return err
	}
	begin, whole := time.Now(), false
	defer func() { q.leave(t, time.Since(begin), whole) }()
	if ctx.Err() != nil {
		return context.Cause(ctx) // it was preempted between its grant and here
	}
	err := work(ctx)
	whole = err == nil
	return err
}

// enter puts a ticket into the queue, or refuses it.
func (q *Queue) enter(ctx context.Context, t *ticket) error {
	m := q.m
	m.mu.Lock()
	defer m.mu.Unlock()
	t.since = time.Now()
	if t.lane != nil {
		t.lane.join(t)
	}
	if wait, ok := q.admits(ctx, t.class); !ok {
		t.told = true
		return q.refuse(wait)
	}
	q.waiting[t.class] = append(q.waiting[t.class], t)
	m.dispatch()
	return nil
}

// refuse counts and returns the error for work that there is no room or no time for. The lock is held.
func (q *Queue) refuse(wait time.Duration) error {
	q.refused++
	return &fault.Error{
		Kind: fault.Unavailable, Code: "overloaded", RetryAfter: max(wait, time.Second),
		Msg: "the server has too much to do; try again in a moment",
	}
}

// admits tells whether work of a class may join, and how long it is likely to wait. Less urgent work does
// not count: it is overtaken, or cancelled.
func (q *Queue) admits(ctx context.Context, class Class) (time.Duration, bool) {
	ahead, running := 0, 0
	for c := Foreground; c <= class; c++ {
		ahead += len(q.waiting[c])
	}
	for c, n := range q.running {
		if Class(c) != Speculative || class == Speculative {
			running += n
		}
	}
	if ahead == 0 && running < q.cfg.Running {
		return 0, true
	}
	// Among n that run the next is done after a share of 1/(n+1) on average; then those ahead take their turns.
	places := time.Duration(q.cfg.Running)
	wait := q.service/(places+1) + q.service*time.Duration(ahead)/places
	limit := q.cfg.MaxWait
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	return wait, ahead < q.cfg.Waiting && wait <= limit
}

// room tells whether one more may run.
func (q *Queue) room() bool {
	n := 0
	for _, r := range q.running {
		n += r
	}
	return n < q.cfg.Running
}

// await waits for the grant; a ticket whose context or patience ends leaves no trace.
func (q *Queue) await(ctx context.Context, t *ticket) error {
	patience := time.NewTimer(q.cfg.MaxWait)
	defer patience.Stop()
	select {
	case <-t.granted:
		return nil
	case <-ctx.Done():
	case <-patience.C:
	}
	m := q.m
	m.mu.Lock()
	defer m.mu.Unlock()
	t.told = true
	select {
	case <-t.granted: // granted in the same moment: give it back
		m.finish(t)
	default:
		q.drop(t)
	}
	m.dispatch() // one who waited may have held others back
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return q.refuse(q.service)
}

// leave ends a ticket that ran. Only whole service times teach the average.
func (q *Queue) leave(t *ticket, took time.Duration, whole bool) {
	m := q.m
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !whole:
	case q.service == 0:
		q.service = took
	default:
		q.service += (took - q.service) / smoothing
	}
	q.finished++
	m.finish(t)
	t.told = true // that it is over
	m.dispatch()
}

// drop removes a ticket that waits.
func (q *Queue) drop(t *ticket) {
	w := q.waiting[t.class]
	for i := range w {
		if w[i] == t {
			q.waiting[t.class] = append(w[:i:i], w[i+1:]...)
			return
		}
	}
}

// Stats is a snapshot of a queue.
type Stats struct {
	Name      string
	Running   int
	Waiting   int
	Finished  uint64        // pieces of work that ran
	Refused   uint64        // for want of room or time
	Preempted uint64        // speculative work that was cancelled
	Service   time.Duration // moving average of how long a piece runs
}

// Stats returns what the queue is doing.
func (q *Queue) Stats() Stats {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	s := Stats{
		Name: q.cfg.Name, Finished: q.finished, Refused: q.refused, Preempted: q.preempts,
		Service: q.service,
	}
	for c := range classes {
		s.Running += q.running[c]
		s.Waiting += len(q.waiting[c])
	}
	return s
}
