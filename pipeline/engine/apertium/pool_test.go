package apertium

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
)

// frEs is the pair that all tests here use: the quickest to start of those with French.
var frEs = translation.Way{From: "fr", To: "es"}

// open returns an engine whose programs and goroutines must all be gone at the end.
func open(t *testing.T, cfg Config) *Engine {
	t.Helper()
	before := goleak.IgnoreCurrent()
	e := New(cfg)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
		if left := children(t); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return e
}

// children returns the programs that this test has started and that still run.
func children(t *testing.T) map[int]string {
	t.Helper()
	found := map[int]string{}
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		stat, err := os.ReadFile(d)
		if err != nil {
			continue
		}
		var pid, parent int
		var state string
		name := string(stat[bytes.IndexByte(stat, '(')+1 : bytes.LastIndexByte(stat, ')')])
		fmt.Sscan(string(stat), &pid)
		fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &parent)
		if parent == os.Getpid() {
			found[pid] = name
		}
	}
	return found
}

// pid returns a program of the engine's.
func pid(t *testing.T, name string) int {
	t.Helper()
	for pid, n := range children(t) {
		if n == name {
			return pid
		}
	}
	t.Fatalf("no %s runs", name)
	return 0
}

func translate(t *testing.T, e *Engine, text string) string {
	t.Helper()
	got, err := e.Translate(t.Context(), frEs, text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPoolAgreesWithFreshPrograms translates 200 sentences by one chain that keeps running, and each by the program
// apertium started for it alone.
func TestPoolAgreesWithFreshPrograms(t *testing.T) {
	e := open(t, Config{Size: 1})
	lines := corpus(t)
	translate(t, e, "Bonjour.")
	p, err := e.pool("fr", "es")
	if err != nil {
		t.Fatal(err)
	}
	var warm, fresh []time.Duration
	pooled := make([]string, len(lines))
	for i, line := range lines {
		begin := time.Now()
		stream, err := encode(line)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.ask(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		pooled[i] = decode(answer)
		warm = append(warm, time.Since(begin))
	}
	var stateful []string
	for i, line := range lines {
		begin := time.Now()
		cmd := exec.CommandContext(t.Context(), "apertium", "-u", "fr-es")
		cmd.Stdin = strings.NewReader(line)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		fresh = append(fresh, time.Since(begin))
		if want := strings.TrimSpace(string(out)); want != pooled[i] {
			stateful = append(stateful, fmt.Sprintf("%q: %q, by a fresh program %q", line, pooled[i], want))
		}
	}
	slices.Sort(warm)
	slices.Sort(fresh)
	ratio := float64(fresh[len(fresh)/2]) / float64(warm[len(warm)/2])
	t.Logf("%d sentences: p50 %v warm, %v fresh: 1/%.0f; p95 %v warm; different: %d\n%s", len(lines), warm[len(warm)/2],
		fresh[len(fresh)/2], ratio, warm[len(warm)*95/100], len(stateful), strings.Join(stateful, "\n"))
	if len(stateful) > 2 {
		t.Errorf("%d of %d sentences come out differently", len(stateful), len(lines))
	}
	if ratio < 50 {
		t.Errorf("a warm chain is only %.0f times as quick as a fresh one", ratio)
	}
}

// corpus returns 200 French sentences.
func corpus(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/sentences.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 200 {
		t.Fatalf("%d sentences", len(lines))
	}
	return lines
}

// TestKilledProgram has each program of the chain in turn killed while a sentence is in it.
func TestKilledProgram(t *testing.T) {
	e := open(t, Config{Size: 1})
	want := translate(t, e, "Le chat dort.")
	for _, name := range []string{"apertium-tagger"[:15], "lt-proc", "lrx-proc"} {
		victim := pid(t, name)
		if err := syscall.Kill(victim, syscall.SIGSTOP); err != nil { // so that the sentence cannot be through before
			t.Fatal(err)
		}
		answers := make(chan error, 1)
		go func() {
			got, err := e.Translate(t.Context(), frEs, "Le chat dort.")
			if err == nil && got != want {
				err = errors.New("got " + got)
			}
			answers <- err
		}()
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-answers; err != nil {
			t.Errorf("%s killed: %v", name, err)
		}
		if got := translate(t, e, "Le chat dort."); got != want {
			t.Errorf("after that: %q", got)
		}
		if _, still := children(t)[victim]; still {
			t.Errorf("%s is still there", name)
		}
	}
}

// TestHungProgram has a program stop without dying.
func TestHungProgram(t *testing.T) {
	e := open(t, Config{Size: 1, Timeout: 5 * time.Second})
	want := translate(t, e, "Le chat dort.")
	victim := pid(t, "apertium-transf")
	if err := syscall.Kill(victim, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got := translate(t, e, "Le chat dort."); got != want {
		t.Errorf("got %q", got)
	}
	if _, still := children(t)[victim]; still {
		t.Error("the hung program is still there")
	}
	if n := e.Running(); n != 1 {
		t.Errorf("%d chains run", n)
	}
}

// TestCancel ends a request that hangs.
func TestCancel(t *testing.T) {
	e := open(t, Config{Size: 1, Timeout: time.Hour})
	want := translate(t, e, "Le chat dort.")
	if err := syscall.Kill(pid(t, "lrx-proc"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	answers := make(chan error, 1)
	go func() {
		_, err := e.Translate(ctx, frEs, "Le chat dort.")
		answers <- err
	}()
	inUse(t, e)
	cancel(fault.ErrStopped)
	if err := <-answers; !errors.Is(err, fault.ErrStopped) {
		t.Errorf("it ended with %v", err)
	}
	if got := translate(t, e, "Le chat dort."); got != want {
		t.Errorf("after that: %q", got)
	}
}

// inUse returns when no chain is idle.
func inUse(t *testing.T, e *Engine) {
	t.Helper()
	p, err := e.pool("fr", "es")
	if err != nil {
		t.Fatal(err)
	}
	for idle := 1; idle > 0; runtime.Gosched() {
		p.mu.Lock()
		idle = len(p.idle)
		p.mu.Unlock()
	}
}

// TestManyAtOnce has 64 goroutines share two chains.
func TestManyAtOnce(t *testing.T) {
	e := open(t, Config{})
	want := translate(t, e, "Le chat noir dort dans la maison.")
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 5 {
				text := fmt.Sprintf("Il y a %d maisons.", 100*i+j+2)
				if got, err := e.Translate(t.Context(), frEs, text); err != nil || got != fmt.Sprintf("Hay %d casas.", 100*i+j+2) {
					t.Errorf("%s: %q, %v", text, got, err)
				}
			}
			if got, err := e.Translate(t.Context(), frEs, "Le chat noir dort dans la maison."); err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
	wg.Wait()
	if n := e.Running(); n != 2 {
		t.Errorf("%d chains run", n)
	}
}

// TestCloseWhileBusy closes the engine under requests, one of which hangs.
func TestCloseWhileBusy(t *testing.T) {
	e := open(t, Config{Size: 1, Timeout: time.Hour})
	translate(t, e, "Le chat dort.")
	if err := syscall.Kill(pid(t, "lrx-proc"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := e.Translate(t.Context(), frEs, "Le chat dort.")
			answers <- err
		}()
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-answers; fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a request ended with %v", err)
		}
	}
	if _, err := e.Translate(t.Context(), frEs, "Le chat dort."); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a closed engine says %v", err)
	}
}

// TestIdle has chains that nobody needs ended, and started again.
func TestIdle(t *testing.T) {
	e := open(t, Config{Idle: time.Hour})
	want := translate(t, e, "Le chat dort.")
	p, err := e.pool("fr", "es")
	if err != nil {
		t.Fatal(err)
	}
	p.reap() // as its timer does
	if n := len(children(t)); n != 0 {
		t.Errorf("%d programs run", n)
	}
	if got := translate(t, e, "Le chat dort."); got != want {
		t.Errorf("got %q", got)
	}
}

// TestLexicon asks which words are of a language.
func TestLexicon(t *testing.T) {
	e := open(t, Config{})
	for language, want := range map[string]float64{"fr": 1, "es": 0} {
		share, has, err := e.Known(t.Context(), language, "Bonjour, aujourd'hui 12 !")
		if err != nil || !has || share != want {
			t.Errorf("%s knows %v (%v, %v), want %v", language, share, has, err, want)
		}
	}
	if _, has, err := e.Known(t.Context(), "ja", "Bonjour"); has || err != nil {
		t.Errorf("a dictionary that is not there: %v, %v", has, err)
	}
}
