package schedule

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline/fault"
)

// TestLater begins two pieces of speculation, makes one of them urgent, and then has a foreground turn come.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMachine(0)
		stt, llm := m.Queue(Config{Name: "stt"}), m.Queue(Config{Name: "llm", Running: 2})
		work := func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		start := func(ctx context.Context, q *Queue) <-chan error {
			done := make(chan error, 1)
			go func() { done <- q.Do(ctx, work) }()
			synctest.Wait()
			return done
		}
		kept, urgent := Later(t.Context())
		lost, _ := Later(t.Context())
		keptSTT, keptLLM, waits := start(kept, stt), start(kept, llm), start(kept, stt)
		lostLLM := start(lost, llm)
		if c := From(kept); c != Speculative {
			t.Errorf("the class is %v before it is urgent", c)
		}
		urgent()
		if err := <-lostLLM; !errors.Is(err, fault.ErrPreempted) {
			t.Errorf("the other speculation ended with %v", err)
		}
		turn := start(t.Context(), llm)
		for name, done := range map[string]<-chan error{"stt": keptSTT, "llm": keptLLM, "waiting": waits, "turn": turn} {
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if c := From(kept); c != Foreground {
			t.Errorf("the class is %v when it is urgent", c)
		}
		urgent() // after all is over: nothing happens
		for _, q := range m.Queues() {
			if s := q.Stats(); s.Running != 0 || s.Waiting != 0 {
				t.Errorf("%+v is left", s)
			}
		}
	})
}
