package proc

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

func worker(t *testing.T, role string, change func(*WorkerConfig)) *Worker {
	t.Helper()
	cfg := WorkerConfig{Name: "test", Env: []string{roleVar + "=" + role}, Policy: quick()}
	if change != nil {
		change(&cfg)
	}
	w := StartWorker(t.Context(), cfg)
	t.Cleanup(func() { w.Close() })
	return w
}

func ask(t *testing.T, w *Worker, method string) error {
	t.Helper()
	_, _, err := w.Call(t.Context(), method, nil, nil, nil)
	return err
}

func childPID(t *testing.T, w *Worker) string {
	t.Helper()
	m, _, err := w.Call(t.Context(), "pid", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(m)
}

func TestCallBeforeReady(t *testing.T) {
	w := worker(t, "worker", nil)
	big := FloatBytes(make([]float32, 1<<20))
	big[4] = 7
	meta, payload, err := w.Call(t.Context(), "echo", map[string]int{"a": 1}, slices.Clone(big), nil)
	if err != nil || string(meta) != `{"a":1}` || !slices.Equal(payload, big) {
		t.Fatalf("echo: %s, %d bytes, %v", meta, len(payload), err)
	}
}

func TestHundredCallsAtOnce(t *testing.T) {
	w := worker(t, "worker", nil)
	var g sync.WaitGroup
	for i := range 100 {
		g.Go(func() {
			n := i % 17
			got := 0
			meta, _, err := w.Call(t.Context(), "count", n, nil, func(m json.RawMessage, p []byte) error {
				f, err := Floats(p)
				if err != nil || len(f) != 1 || int(f[0]) != got {
					t.Errorf("piece %d: %s %v %v", got, m, f, err)
				}
				got++
				return nil
			})
			var said int
			if json.Unmarshal(meta, &said); err != nil || got != n || said != n {
				t.Errorf("call %d: %d of %d pieces, %v", i, got, n, err)
			}
		})
	}
	g.Wait()
	if s := w.State(); s.Restarts != 0 || !strings.Contains(w.Output(), "noise from a C library") {
		t.Errorf("state %+v, output of %d bytes", s, len(w.Output()))
	}
}

func TestErrorsCross(t *testing.T) {
	w := worker(t, "worker", nil)
	var f *fault.Error
	err := ask(t, w, "fail")
	if !errors.As(err, &f) {
		t.Fatal(err)
	}
	if f.Kind != fault.NotFound || f.Code != "unknown_model" || f.Msg != "no such model" || f.Param != "model" ||
		f.RetryAfter != time.Second || f.Err.Error() != "the cause" {
		t.Errorf("got %+v", f)
	}
	for _, m := range []string{"panic", "no such method"} {
		if err := ask(t, w, m); fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: %v", m, err)
		}
	}
	if s := w.State(); s.Restarts != 0 {
		t.Errorf("an error restarted the child: %+v", s)
	}
	if _, _, err := w.Call(t.Context(), "echo", nil, make([]byte, maxPayload+1), nil); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large a payload: %v", err)
	}
}

func TestEmitIsBackPressureAndStops(t *testing.T) {
	w := worker(t, "worker", nil)
	file := filepath.Join(t.TempDir(), "sent")
	enough := errors.New("enough")
	got := 0
	_, _, err := w.Call(t.Context(), "endless", file, nil, func(json.RawMessage, []byte) error {
		if got++; got == 10 {
			time.Sleep(50 * time.Millisecond) // the child could run far ahead meanwhile
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("Call: %v", err)
	}
	var sent int
	b, err := os.ReadFile(file)
	if json.Unmarshal(b, &sent); err != nil || sent > 10+window {
		t.Errorf("the child sent %s pieces, of which 10 were taken: %v", b, err)
	}
}

func TestCancel(t *testing.T) {
	w := worker(t, "worker", func(c *WorkerConfig) { c.CancelGrace = time.Minute })
	pid := childPID(t, w)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(fault.ErrBargeIn) })
	if _, _, err := w.Call(ctx, "until", nil, nil, nil); !errors.Is(err, fault.ErrBargeIn) {
		t.Errorf("Call: %v", err)
	}
	if _, _, err := w.Call(ctx, "echo", nil, nil, nil); !errors.Is(err, fault.ErrBargeIn) {
		t.Errorf("Call with an ended context: %v", err)
	}
	if now := childPID(t, w); now != pid {
		t.Error("an obedient child was killed")
	}
}

func TestStuckChild(t *testing.T) {
	for _, kill := range []bool{false, true} {
		w := worker(t, "worker", func(c *WorkerConfig) {
			c.CancelGrace = 20 * time.Millisecond
			c.KillOnStuck = kill
		})
		pid := childPID(t, w)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _, err := w.Call(ctx, "stuck", nil, nil, nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Call: %v", err)
		}
		if kill {
			eventually(t, "another child", func() bool { return !slices.Contains([]string{"", pid}, childPIDNoFail(w)) })
			if s := w.State(); s.Reason != "it did not stop when asked" {
				t.Errorf("state %+v", s)
			}
		} else if now := childPID(t, w); now != pid {
			t.Error("the child was killed though that was not asked for")
		}
	}
}

// childPIDNoFail is childPID where the call may fall into a restart.
func childPIDNoFail(w *Worker) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m, _, _ := w.Call(ctx, "pid", nil, nil, nil)
	return string(m)
}

func TestDeathFailsCallsAndRestarts(t *testing.T) {
	w := worker(t, "worker", nil)
	childPID(t, w)
	waiting, begun := make(chan error), make(chan struct{})
	go func() {
		_, _, err := w.Call(t.Context(), "begun", nil, nil, func(json.RawMessage, []byte) error {
			close(begun)
			return nil
		})
		waiting <- err
	}()
	<-begun
	dying := ask(t, w, "die")
	for _, err := range []error{dying, <-waiting} {
		f := fault.As(err)
		if f.Kind != fault.Unavailable || f.Code != "engine_restarted" || f.RetryAfter <= 0 || !strings.Contains(f.Msg, "exit status 2") {
			t.Errorf("a call that was in flight: %v", err)
		}
	}
	if err := ask(t, w, "echo"); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if s := w.State(); s.Restarts != 1 || s.Reason != "exit status 2" {
		t.Errorf("state %+v", s)
	}
	if err := unix.Kill(w.State().PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it comes back after kill -9", func() bool {
		return w.State().Restarts == 2 && childPIDNoFail(w) != ""
	})
}

func TestChildThatBreaksTheProtocol(t *testing.T) {
	for _, how := range []string{"huge", "garbage", "window", "type"} {
		t.Run(how, func(t *testing.T) {
			w := worker(t, "liar:"+how, func(c *WorkerConfig) { c.Policy.Crashes = 1; c.Policy.Retry = time.Hour })
			release, over := make(chan struct{}), make(chan error)
			go func() {
				_, _, err := w.Call(t.Context(), "x", nil, nil, func(json.RawMessage, []byte) error {
					<-release // takes nothing, so that the window fills
					return nil
				})
				over <- err
			}()
			eventually(t, "it failed", func() bool { return w.State().Phase == Failed })
			close(release)
			if err := <-over; fault.KindOf(err) != fault.Unavailable {
				t.Errorf("Call: %v", err)
			}
			if s := w.State(); !strings.Contains(s.Reason, "broke the protocol") {
				t.Errorf("state %+v", s)
			}
		})
	}
	w := worker(t, "liar:length", func(c *WorkerConfig) { c.KillOnStuck = true; c.CancelGrace = time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := w.Call(ctx, "x", nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a length that never comes: %v", err)
	}
}

func TestChildThatClosesItsOutput(t *testing.T) {
	w := worker(t, "worker", nil)
	err := ask(t, w, "closeout")
	if f := fault.As(err); f.Code != "engine_restarted" {
		t.Errorf("Call: %v", err)
	}
	if err := ask(t, w, "echo"); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestCloseFailsCalls(t *testing.T) {
	w := worker(t, "worker", func(c *WorkerConfig) { c.StopGrace = time.Millisecond })
	childPID(t, w)
	got := make(chan error)
	go func() { _, _, err := w.Call(t.Context(), "stuck", nil, nil, nil); got <- err }()
	w.Close()
	if err := <-got; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Call: %v", err)
	}
	if err := ask(t, w, "echo"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Call after Close: %v", err)
	}
}
