package realtime

import (
	"sync"
	"sync/atomic"
	"time"
)

// A session is let in as long as those that are there are heard in time. Below a few sessions that is not asked: a machine
// too weak for them would refuse everybody.
const (
	fewCalls   = 4
	lateAfter  = 20 * time.Millisecond // sound that waits longer to be judged is late
	tooLate    = 0.05                  // share of the sound that may be late
	strained   = 0.01                  // the same, when the processors are short of time too
	busy       = 0.9                   // share of the time in which work waits for a processor
	slowAnswer = 6 * time.Second       // after the end of a turn
	span       = 2 * time.Second       // lateness is judged over one to two of these
	enough     = 100                   // pieces of sound
)

// lagBounds are the upper bounds of the classes that lateness is counted in; what is longer is in a last one.
func lagBounds() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{
		ms / 4, ms / 2, ms, 2 * ms, 3 * ms, 5 * ms, 7 * ms, 10 * ms, 15 * ms, lateAfter, 30 * ms, 50 * ms, 100 * ms, 300 * ms,
		1000 * ms,
	}
}

// Lateness tells how long pieces of sound waited from their arrival until they were judged and handed to their call.
type Lateness struct {
	Pieces   int
	Late     int // longer than 20 ms
	P50, P99 time.Duration
}

// window counts pieces of sound by their lateness.
type window struct {
	begin  time.Time
	counts [16]int
	late   int
	total  int
}

func (w *window) add(lag time.Duration, bounds []time.Duration) {
	i := 0
	for i < len(bounds) && lag > bounds[i] {
		i++
	}
	w.counts[i]++
	w.total++
	if lag > lateAfter {
		w.late++
	}
}

// meter measures how late sound is heard.
type meter struct {
	bounds []time.Duration
	late   atomic.Uint64 // since the beginning

	mu          sync.Mutex
	now, before window
	all         window
}

func newMeter() *meter { return &meter{bounds: lagBounds()} }

// add counts a piece of sound.
func (m *meter) add(now time.Time, lag time.Duration) {
	if lag > lateAfter {
		m.late.Add(1)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	m.now.add(lag, m.bounds)
	m.all.add(lag, m.bounds)
}

// turn begins a new window when it is time.
func (m *meter) turn(now time.Time) {
	switch age := now.Sub(m.now.begin); {
	case age > 2*span:
		m.before, m.now = window{}, window{begin: now}
	case age > span:
		m.before, m.now = m.now, window{begin: now}
	}
}

// share returns which share of the latest sound was late, 0 when there was little.
func (m *meter) share(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	total := m.now.total + m.before.total
	if total < enough {
		return 0
	}
	return float64(m.now.late+m.before.late) / float64(total)
}

// take returns the lateness of all sound since the last take.
func (m *meter) take() Lateness {
	m.mu.Lock()
	w := m.all
	m.all = window{}
	m.mu.Unlock()
	quantile := func(q float64) time.Duration {
		n := int(q * float64(w.total))
		for i, b := range m.bounds {
			if n -= w.counts[i]; n < 0 {
				return b
			}
		}
		return m.bounds[len(m.bounds)-1]
	}
	l := Lateness{Pieces: w.total, Late: w.late}
	if w.total > 0 {
		l.P50, l.P99 = quantile(0.5), quantile(0.99)
	}
	return l
}

// counters are what a server has seen since its start.
type counters struct {
	resumed, refused, lost atomic.Uint64
}

// Stats is what a server does now, and has done.
type Stats struct {
	Calls   int // that go on, those that wait for their client included
	Away    int // that wait for their client
	Late    uint64
	Lost    uint64 // sound frames of devices that never came
	Resumed uint64
	Refused uint64 // for want of room
}

// Stats returns the present counts.
func (s *Server) Stats() Stats {
	st := Stats{
		Late: s.meter.late.Load(), Lost: s.count.lost.Load(), Resumed: s.count.resumed.Load(), Refused: s.count.refused.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Calls = len(s.calls)
	for c := range s.calls {
		if c.gone.Load() {
			st.Away++
		}
	}
	return st
}

// Lateness returns how late sound was heard since it was asked for the last time.
func (s *Server) Lateness() Lateness { return s.meter.take() }

// overloaded tells why one more call would make those suffer that are there, "" if it would not. The lock is held.
func (s *Server) overloaded(now time.Time) string {
	if len(s.calls) < s.cfg.Few {
		return ""
	}
	late := s.meter.share(now)
	slow := 0
	for c := range s.calls {
		if since := c.waits.Load(); since != 0 && !c.gone.Load() && now.Sub(time.Unix(0, since)) > slowAnswer {
			slow++
		}
	}
	switch {
	case late > tooLate:
		return "sound is heard late"
	case late > strained && s.cfg.Pressure != nil && s.cfg.Pressure() > busy:
		return "the processors are busy, and sound begins to be heard late"
	case slow >= 2 && slow*4 >= len(s.calls):
		return "answers are slow"
	}
	return ""
}

// expects notes that a person waits for an answer from now on; served that it is there.
func (c *call) expects() { c.waits.CompareAndSwap(0, time.Now().UnixNano()) }
func (c *call) served()  { c.waits.Store(0) }
