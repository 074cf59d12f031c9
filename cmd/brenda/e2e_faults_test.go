package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"brenda/pipeline/enginetest"
)

// TestFaults has one kiosk get one answer after the other, and does to the server meanwhile what networks, strangers and the
// kernel do: 200 clients that drop, one that never reads, two that send a byte a second, and kill -9 of every child. The
// kiosk's sound goes on without a gap; what was in flight on a child that was killed may fail, and nothing else. After that
// the server is as it was before.
func TestFaults(t *testing.T) {
	p := faultyHouse(t)
	before := p.state(t)
	a := newSteady(t, p)
	slow := []<-chan string{slowHead(t, p), slowFrame(t, p)}
	v := newVictim(t, p)

	t.Run("200 clients drop", func(t *testing.T) {
		calm := a.mark()
		refused := dropIn(t, p, 200)
		a.unharmed(t, calm)
		a.hears(t, a.mark()) // an answer that begins now is heard too
		t.Logf("refused, and tried again: %d times", refused)
	})
	t.Run("one never reads", func(t *testing.T) {
		calm := a.mark()
		neverReads(t, p)
		a.unharmed(t, calm)
	})
	t.Run("children are killed", func(t *testing.T) { killAll(t, p, a, v) })
	t.Run("one byte a second", func(t *testing.T) {
		for _, gone := range slow {
			select {
			case why := <-gone:
				t.Log(why)
			case <-time.After(2 * time.Minute):
				t.Error("a client that sends one byte a second is still served")
			}
		}
	})

	a.end(t)
	v.hangUp()
	p.restored(t, before)
}

// faultyHouse starts a server of its own, whose conversations are forgotten as soon as nobody is there, and uses all of it
// once.
func faultyHouse(t *testing.T) *program {
	t.Helper()
	p, err := launch(enginetest.ModelsDir(t), t.TempDir(), "--history-idle=2s", "--llm-max-tokens=24", "--realtime-sessions=400",
		"--realtime-per-client=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the server's log:\n%s", p.log)
		}
	})
	v := newVictim(t, p)
	v.works(t, byVoice)
	v.hangUp()
	return p
}

// condition is what must not grow for good.
type condition struct {
	calls, sessions, goroutines, files float64
	heap, resident                     int
}

func (p *program) state(t *testing.T) condition {
	t.Helper()
	until(t, "a quiet server", func() bool { return p.metric(t, "brenda_calls")+p.metric(t, "brenda_sessions") == 0 })
	return p.now(t)
}

func (p *program) now(t *testing.T) condition {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	return condition{
		calls: p.metric(t, "brenda_calls"), sessions: p.metric(t, "brenda_sessions"),
		goroutines: p.metric(t, "go_goroutines"), files: p.metric(t, "process_open_fds"),
		heap: int(p.metric(t, "go_memstats_heap_alloc_bytes")), resident: p.resident(t),
	}
}

// resident returns the memory that the server has now, in bytes.
func (p *program) resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kb int
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	fmt.Sscan(rest, &kb)
	return kb << 10
}

// What may be left of all that: a connection that is being closed, what the history has learnt, and memory that Go's runtime
// and the race detector keep for later.
const (
	slackRoutines = 4
	slackFiles    = 4
	slackHeap     = 8 << 20
	slackResident = 160 << 20 // most of it the race detector's, which gives nothing back
)

// restored waits until the server is as it was. Those that might come back are waited for by it for a minute.
func (p *program) restored(t *testing.T, before condition) {
	t.Helper()
	var now condition
	for range 1200 {
		now = p.now(t)
		if now.calls == 0 && now.sessions == 0 && now.goroutines <= before.goroutines+slackRoutines &&
			now.files <= before.files+slackFiles && now.heap <= before.heap+slackHeap &&
			now.resident <= before.resident+slackResident {
			t.Logf("before %+v, after %+v", before, now)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Errorf("the server was %+v, and is %+v", before, now)
}

// assault is how a child is killed: in which kind of turn, and when in it.
type assault struct {
	turn    ask
	harmful bool // the answers that are in flight may fail
	when    func(t *testing.T, p *program, v *victim) bool
}

func busyEngine(name string) func(t *testing.T, p *program, _ *victim) bool {
	return func(t *testing.T, p *program, _ *victim) bool {
		t.Helper()
		return p.metric(t, fmt.Sprintf("brenda_engine_running{engine=%q}", name)) > 0
	}
}

// assaults are those on every kind of child, by a word of its command line.
func assaults() map[string]assault {
	speaking := func(_ *testing.T, _ *program, v *victim) bool { return v.speaking.Load() }
	return map[string]assault{
		"engine whisper":   {turn: byVoice, when: busyEngine("stt")},
		"engine smartturn": {turn: byVoice, when: speaking},
		"engine kokoro":    {turn: inWriting, when: busyEngine("tts")},
		"espeak-ng":        {turn: inWriting, when: busyEngine("tts")},
		"xllamacpp":        {turn: inWriting, harmful: true, when: busyEngine("llm")},
	}
}

// kinds returns the children by what they are.
func (p *program) kinds(t *testing.T) map[string][]int {
	t.Helper()
	out := map[string][]int{}
	for _, pid := range children(t, p.cmd.Process.Pid) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // gone
		}
		words := strings.ReplaceAll(string(line), "\x00", " ")
		kind := "unknown: " + words[:min(len(words), 80)]
		for k := range assaults() {
			if strings.Contains(words, k) {
				kind = k
			}
		}
		out[kind] = append(out[kind], pid)
	}
	return out
}

// killAll kills every child in the midst of a turn that needs it.
func killAll(t *testing.T, p *program, a *steady, v *victim) {
	t.Helper()
	all := p.kinds(t)
	for kind := range assaults() {
		if len(all[kind]) == 0 {
			t.Errorf("no child %q among %v", kind, all)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		for _, pid := range all[kind] {
			t.Run(kind, func(t *testing.T) {
				how, known := assaults()[kind]
				if !known {
					t.Fatal("a new child: say here what becomes of a turn when it is killed")
				}
				strike(t, p, a, v, how, pid)
			})
		}
	}
	until(t, "all children", func() bool {
		now := p.kinds(t)
		return slices.Equal(slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(now)))
	})
}

// strike kills a child in the midst of a turn. The next turns of everybody work.
func strike(t *testing.T, p *program, a *steady, v *victim, how assault, pid int) {
	t.Helper()
	calm := a.mark()
	for range 5 { // a turn may be over before its moment is seen
		over := v.begin(t, how.turn)
		ended := ""
		for ended == "" && !how.when(t, p, v) {
			select {
			case ended = <-over:
			case <-time.After(10 * time.Millisecond):
			}
		}
		if ended != "" {
			continue
		}
		first := a.mark()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(pid, err)
		}
		until(t, "the end of a killed child", func() bool { return !alive(pid) })
		last := a.mark()
		ended = <-over
		t.Logf("the turn in flight: %s", ended)
		if ended != wasHeard && !how.harmful {
			t.Errorf("the turn ended: %s", ended)
		}
		v.works(t, how.turn)
		a.hears(t, last)
		if !how.harmful {
			first, last = -1, -1
		}
		a.unharmedBut(t, calm, first, last)
		return
	}
	t.Fatal("the child never worked on a turn")
}
