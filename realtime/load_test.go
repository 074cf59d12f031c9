package realtime

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"brenda/pipeline/fault"
)

func TestMeter(t *testing.T) {
	m := newMeter()
	now := time.Now()
	for i := range 200 {
		lag := time.Millisecond
		if i%10 == 0 {
			lag = 40 * time.Millisecond
		}
		m.add(now, lag)
	}
	if s := m.share(now); s < 0.099 || s > 0.101 {
		t.Errorf("%v of the sound was late", s)
	}
	l := m.take()
	if l.Pieces != 200 || l.Late != 20 || l.P50 != time.Millisecond || l.P99 != 50*time.Millisecond {
		t.Errorf("got %+v", l)
	}
	if l := m.take(); l.Pieces != 0 || l.P99 != 0 {
		t.Errorf("and then %+v", l)
	}
	now = now.Add(span + time.Millisecond)
	for range 200 {
		m.add(now, time.Millisecond)
	}
	if s := m.share(now); s < 0.049 || s > 0.051 {
		t.Errorf("%v of the sound of both windows was late", s)
	}
	if s := m.share(now.Add(3 * span)); s != 0 {
		t.Errorf("%v of no sound was late", s)
	}
	if m.late.Load() != 20 {
		t.Errorf("%d were late in all", m.late.Load())
	}
}

// TestOverload fills a server, and makes those suffer that are there.
func TestOverload(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		calls, late, waiting int
		gone                 bool // those who wait
		pressure             float64
		refused              bool
	}{
		"idle":              {calls: 100},
		"late":              {calls: 10, late: 10, refused: true},
		"a little late":     {calls: 10, late: 3},
		"late and busy":     {calls: 10, late: 3, pressure: 0.97, refused: true},
		"busy":              {calls: 10, pressure: 0.97},
		"few":               {calls: 3, late: 100, waiting: 3, pressure: 1},
		"answers are slow":  {calls: 8, waiting: 2, refused: true},
		"one waits":         {calls: 4, waiting: 1},
		"two have gone":     {calls: 8, waiting: 2, gone: true},
		"many, a few wait":  {calls: 20, waiting: 3},
		"many, many of all": {calls: 20, waiting: 5, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Config{Sessions: 1000, Pressure: func() float64 { return c.pressure }}, Engines{}, nil, slog.New(slog.DiscardHandler))
			for i := range c.calls {
				one := &call{}
				if i < c.waiting {
					one.waits.Store(now.Add(-2 * slowAnswer).UnixNano())
					one.gone.Store(c.gone)
				} else if i%2 == 0 {
					one.waits.Store(now.Add(-time.Second).UnixNano())
				}
				s.calls[one] = struct{}{}
			}
			for i := range enough {
				lag := time.Millisecond
				if i < c.late {
					lag = time.Second
				}
				s.meter.add(now, lag)
			}
			err := s.admit(&call{})
			if (err != nil) != c.refused {
				t.Fatalf("got %v", err)
			}
			if c.refused && (fault.As(err).Code != "overloaded" || fault.As(err).RetryAfter == 0) {
				t.Errorf("got %#v", err)
			}
		})
	}
}

// TestPerClient lets one machine have two calls, and another one its own.
func TestPerClient(t *testing.T) {
	h := newHouse(t, 10)
	h.srv.cfg.PerClient = 2
	for range 2 {
		until(t, h.dial(t, "", nil), "session.created")
	}
	_, resp, err := websocket.Dial(t.Context(), h.url, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v, %v", resp, err)
	}
	if err := h.srv.admit(newCall(h.srv, "other", nil)); err != nil {
		t.Errorf("another machine: %v", err)
	} else {
		for c := range h.srv.calls {
			if c.from == "" {
				h.srv.leave(c)
				break
			}
		}
	}
	if n := h.srv.Stats().Refused; n != 1 {
		t.Errorf("%d were refused", n)
	}
}

func TestMachineOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:1234": "192.0.2.7", "[::1]:5": "::1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[::ffff:192.0.2.7]:8": "192.0.2.7", "pipe": "pipe",
	} {
		if got := machineOf(&http.Request{RemoteAddr: addr}); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

// stages notes what an observer is told.
type stages map[string]time.Duration

func (s stages) CallStage(name string, after time.Duration) { s[name] = after }

// TestWaterfall speaks a turn: its stages are told in order, to the client and to the observer.
func TestWaterfall(t *testing.T) {
	scene(t, script{words: []string{"Quel temps fait-il ?"}}, func(p *person) {
		seen := stages{}
		p.srv.cfg.Watch = seen
		p.quiet(500)
		p.says(0, 1200)
		p.quiet(2000)
		data, _ := p.wait("response.done").get("response", "metadata").(map[string]any)
		p.types("Merci !") // what is typed has no end of speech
		p.wait("response.done")
		before := time.Duration(0)
		for _, name := range []string{"transcript", "first_token", "first_chunk", "first_audio", "sent", "heard"} {
			if seen[name] < before || seen[name] == 0 {
				t.Errorf("%s after %v, the stage before after %v", name, seen[name], before)
			}
			before = seen[name]
			if _, ok := data[name].(string); !ok {
				t.Errorf("%s is not in %v", name, data)
			}
		}
		if len(seen) != 7 || seen["decision"] == 0 {
			t.Errorf("got %v", seen)
		}
	})
}
