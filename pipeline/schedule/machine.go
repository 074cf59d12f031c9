package schedule

import (
	"sync"
	"time"

	"brenda/pipeline/fault"
)

// DefaultStarve is how long batch work lets itself be held back before it gets its turn all the same.
const DefaultStarve = 5 * time.Second

// Machine is the cores that queues share. While foreground work runs or waits in any queue, nothing less
// urgent starts in any; batch work that has waited too long is the exception.
type Machine struct {
	starve time.Duration

	mu      sync.Mutex
	queues  []*Queue
	running [classes]int
	tickets map[*ticket]struct{} // that run and could be preempted
	turn    time.Time            // when batch work last got its turn by having waited too long
	alarm   *time.Timer          // when batch work will have waited too long; nil for none
}

// NewMachine returns a machine. starve is how long batch work waits at most for idle cores; 0 means
// DefaultStarve.
func NewMachine(starve time.Duration) *Machine {
	if starve <= 0 {
		starve = DefaultStarve
	}
	return &Machine{starve: starve, tickets: map[*ticket]struct{}{}}
}

// Queue adds a queue to the machine.
func (m *Machine) Queue(cfg Config) *Queue {
	if cfg.Running <= 0 {
		cfg.Running = 1
	}
	if cfg.Waiting <= 0 {
		cfg.Waiting = defaultWaiting
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = defaultMaxWait
	}
	q := &Queue{m: m, cfg: cfg}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues = append(m.queues, q)
	return q
}

// Queues returns the machine's queues, for metrics.
func (m *Machine) Queues() []*Queue {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*Queue(nil), m.queues...)
}

// dispatch starts whatever may start. It is called, with the lock held, after every change.
func (m *Machine) dispatch() {
	m.preempt()
	for _, q := range m.queues {
		if w := q.waiting[Batch]; len(w) > 0 && q.room() && m.overdue(w[0]) <= 0 && m.held(Batch) {
			m.turn = time.Now()
			m.start(w[0])
		}
		for c := range classes {
			for len(q.waiting[c]) > 0 && q.room() && !m.held(c) {
				m.start(q.waiting[c][0])
			}
		}
	}
	m.setAlarm()
}

// held tells whether a class must wait for the end of more urgent work on the same cores.
func (m *Machine) held(class Class) bool {
	for c := range class {
		if m.wanted(c) {
			return true
		}
	}
	return false
}

// overdue returns how long it is until batch work gets its turn whatever else wants the cores. There is one
// such turn each starve period, so that a backlog of batch work does not take over in its turn.
func (m *Machine) overdue(t *ticket) time.Duration {
	since := t.since
	if m.turn.After(since) {
		since = m.turn
	}
	return time.Until(since.Add(m.starve))
}

// wanted tells whether work of a class runs or waits anywhere.
func (m *Machine) wanted(c Class) bool {
	if m.running[c] > 0 {
		return true
	}
	for _, q := range m.queues {
		if len(q.waiting[c]) > 0 {
			return true
		}
	}
	return false
}

// preempt cancels speculative work, running and waiting, when foreground work is there.
func (m *Machine) preempt() {
	if !m.wanted(Foreground) {
		return
	}
	for t := range m.tickets {
		if !t.told {
			t.told = true
			t.q.preempts++
			t.cancel(fault.ErrPreempted)
		}
	}
	for _, q := range m.queues {
		for _, t := range q.waiting[Speculative] {
			if !t.told {
				t.told = true
				q.preempts++
				t.cancel(fault.ErrPreempted)
			}
		}
	}
}

func (m *Machine) start(t *ticket) {
	t.q.drop(t)
	t.q.running[t.class]++
	m.running[t.class]++
	if t.class == Speculative {
		m.tickets[t] = struct{}{}
	}
	close(t.granted)
}

func (m *Machine) finish(t *ticket) {
	t.q.running[t.class]--
	m.running[t.class]--
	delete(m.tickets, t)
}

// setAlarm sees to it that batch work which waits too long is looked at then.
func (m *Machine) setAlarm() {
	if m.alarm != nil {
		m.alarm.Stop()
		m.alarm = nil
	}
	next := time.Duration(-1)
	for _, q := range m.queues {
		if w := q.waiting[Batch]; len(w) > 0 && q.room() {
			if d := m.overdue(w[0]); next < 0 || d < next {
				next = d
			}
		}
	}
	if next < 0 {
		return
	}
	m.alarm = time.AfterFunc(next, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.dispatch()
	})
}
