package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"brenda/pipeline/engine/docker"
	"brenda/pipeline/engine/docker/dockertest"
	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
)

// These tests run against a real daemon.

const (
	talk  = `i=0; while :; do i=$((i+1)); echo out $i; echo err $i >&2; sleep 0.1; done`
	spin  = `while :; do :; done`
	idle  = `exec sleep 100000`
	brief = `echo un; echo deux >&2; printf 'sans fin'`
)

func TestRealDaemon(t *testing.T) {
	d := dockertest.Start(t)
	e := engine(t, docker.Config{Host: d.Host, Wait: 30 * time.Second})
	ids := map[string]string{
		"brenda-talk": d.Sh("brenda-talk", dockertest.Brenda, talk),
		"by-image":    d.Sh("by-image", dockertest.Brenda, idle, "-e", "PASSWORD=hush", "-v", "/etc/hostname:/x:ro"),
		"by-label":    d.Sh("by-label", dockertest.Plain, idle, "--label", "BRENDA=1"),
		"my-BRENDA":   d.Sh("my-BRENDA", dockertest.Plain, spin, "--cpus", "0.3", "--memory", "64m"),
		"brenda-tty":  d.Sh("brenda-tty", dockertest.Plain, talk, "-t"),
		"brenda-done": d.Sh("brenda-done", dockertest.Plain, brief),
	}
	foreign := d.Sh("foreign", dockertest.Plain, idle)
	t.Run("list", func(t *testing.T) { testList(t, e, ids) })
	t.Run("foreign", func(t *testing.T) { testForeign(t, d, e, foreign) })
	t.Run("control", func(t *testing.T) { testControl(t, d, e, ids["by-image"]) })
	t.Run("own", func(t *testing.T) { testOwn(t, d, ids["by-label"]) })
	t.Run("logs", func(t *testing.T) { testLogs(t, e) })
	t.Run("follow", func(t *testing.T) { testFollow(t, d, e) })
	t.Run("stats", func(t *testing.T) { testStats(t, d, e) })
	t.Run("stats end", func(t *testing.T) { testStatsEnd(t, d, e) })
	t.Run("killed", func(t *testing.T) { testKilled(t, d, e) })
}

func testList(t *testing.T, e *docker.Engine, ids map[string]string) {
	t.Helper()
	list, err := e.List(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range list {
		seen[c.Name] = true
		runs := c.Name != "brenda-done"
		if c.ID != ids[c.Name] || c.Created.IsZero() || c.Own || runs != (c.Status == "running") || c.Stats.Available != runs {
			t.Errorf("listed %+v", c)
		}
		if c.Name == "my-BRENDA" && (c.Stats.MemoryLimit != 64<<20 || c.Stats.MemoryUsage == 0 || c.Stats.CPUPercent < 1) {
			t.Errorf("stats of my-BRENDA: %+v", c.Stats)
		}
	}
	if len(seen) != len(ids) {
		t.Errorf("listed %v", seen)
	}
	if b, _ := json.Marshal(list); strings.Contains(string(b), "hush") || strings.Contains(string(b), "/etc/hostname") {
		t.Errorf("secrets in %s", b)
	}
	quick, err := e.List(t.Context(), false)
	if err != nil || len(quick) != len(ids) || quick[0].Stats.Available {
		t.Errorf("without stats: %+v, %v", quick, err)
	}
}

// testForeign: nothing that is said of a container that is not Brenda's reaches it.
func testForeign(t *testing.T, d *dockertest.Daemon, e *docker.Engine, id string) {
	t.Helper()
	before := d.Docker("inspect", "-f", "{{.State.StartedAt}} {{.State.Pid}}", id)
	for _, ref := range []string{"foreign", id, id[:12], id[:3], "nothing"} {
		for what, err := range everything(t.Context(), e, ref) {
			if f := fault.As(err); err == nil || f.Kind != fault.NotFound || f.Code != "container_not_found" {
				t.Errorf("%s %s: %v", what, ref, err)
			}
		}
	}
	for _, ref := range []string{"", "../x", "a/b", "..", ".a", "-a", "a b", "é", "a\x00", strings.Repeat("a", 129), "a?force=1", "%2e"} {
		for what, err := range everything(t.Context(), e, ref) {
			if f := fault.As(err); err == nil || f.Kind != fault.Invalid || f.Param != "id" {
				t.Errorf("%s %q: %v", what, ref, err)
			}
		}
	}
	if after := d.Docker("inspect", "-f", "{{.State.StartedAt}} {{.State.Pid}}", id); after != before {
		t.Errorf("was %s, is %s", before, after)
	}
}

// everything does to a container all that can be done, at once.
func everything(ctx context.Context, e *docker.Engine, ref string) map[string]error {
	opened, line := func(vitals.Container) error { return nil }, func(vitals.Line) error { return nil }
	sample := func(vitals.Container, vitals.Usage) error { return nil }
	control := func(v vitals.Verb) func() error {
		return func() error {
			_, err := e.Control(ctx, ref, vitals.Order{Verb: v, Force: true})
			return err
		}
	}
	var (
		mu  sync.Mutex
		all sync.WaitGroup
		out = map[string]error{}
	)
	for what, do := range map[string]func() error{
		"logs":    func() error { return e.Logs(ctx, ref, vitals.LogQuery{Tail: 1}, opened, line) },
		"follow":  func() error { return e.Logs(ctx, ref, vitals.LogQuery{Tail: 1, Follow: true}, opened, line) },
		"stats":   func() error { return e.Stats(ctx, ref, false, sample) },
		"stream":  func() error { return e.Stats(ctx, ref, true, sample) },
		"start":   control(vitals.Start),
		"stop":    control(vitals.Stop),
		"restart": control(vitals.Restart),
	} {
		all.Go(func() {
			err := do()
			mu.Lock()
			defer mu.Unlock()
			out[what] = err
		})
	}
	all.Wait()
	return out
}

func testControl(t *testing.T, d *dockertest.Daemon, e *docker.Engine, id string) {
	t.Helper()
	state := func() string { return d.Docker("inspect", "-f", "{{.State.Status}}", id) }
	for _, step := range []struct {
		verb vitals.Verb
		ref  string
		want string
	}{
		{vitals.Stop, "by-image", "exited"},
		{vitals.Stop, id, "exited"}, // again
		{vitals.Start, id[:12], "running"},
		{vitals.Start, "by-image", "running"}, // again
		{vitals.Restart, "by-image", "running"},
		{vitals.Stop, "by-image", "exited"},
		{vitals.Restart, "by-image", "running"}, // of what does not run
	} {
		c, err := e.Control(t.Context(), step.ref, vitals.Order{Verb: step.verb})
		if err != nil || c.ID != id || c.Status != step.want || state() != step.want {
			t.Errorf("%s: %+v, %v, really %s", step.verb, c, err, state())
		}
	}
	if _, err := e.Control(t.Context(), "by-image", vitals.Order{Verb: vitals.Stop, Grace: 31 * time.Second}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("31 s: %v", err)
	}
	d.Docker("pause", "by-image")
	c, err := e.Control(t.Context(), "by-image", vitals.Order{Verb: vitals.Start})
	if k := fault.KindOf(err); err == nil && c.Status != "paused" || err != nil && k != fault.Conflict && k != fault.Upstream {
		t.Errorf("start of a paused one: %+v, %v", c, err)
	}
	d.Docker("unpause", "by-image")
	watching := engine(t, docker.Config{Host: d.Host, ReadOnly: true})
	if _, err := watching.Control(t.Context(), "by-image", vitals.Order{Verb: vitals.Stop}); fault.KindOf(err) != fault.Forbidden || state() != "running" {
		t.Errorf("read only: %v, %s", err, state())
	}
}

// testOwn: a server does not end itself by accident.
func testOwn(t *testing.T, d *dockertest.Daemon, id string) {
	t.Helper()
	e := engine(t, docker.Config{Host: d.Host, Own: id})
	for _, v := range []vitals.Verb{vitals.Stop, vitals.Restart} {
		if _, err := e.Control(t.Context(), "by-label", vitals.Order{Verb: v}); fault.As(err).Code != "own_container" {
			t.Errorf("%s: %v", v, err)
		}
	}
	if c, err := e.Control(t.Context(), "by-label", vitals.Order{Verb: vitals.Restart, Force: true}); err != nil || !c.Own || c.Status != "running" {
		t.Errorf("forced: %+v, %v", c, err)
	}
}

func read(t *testing.T, e *docker.Engine, ref string, q vitals.LogQuery) []vitals.Line {
	t.Helper()
	var lines []vitals.Line
	opened := 0
	err := e.Logs(t.Context(), ref, q, func(vitals.Container) error { opened++; return nil },
		func(l vitals.Line) error { lines = append(lines, l); return nil })
	if err != nil || opened != 1 {
		t.Fatalf("logs of %s: %v, opened %d times", ref, err, opened)
	}
	return lines
}

func testLogs(t *testing.T, e *docker.Engine) {
	t.Helper()
	lines := read(t, e, "brenda-done", vitals.LogQuery{Tail: 100})
	got := map[vitals.Line]bool{}
	for _, l := range lines {
		got[l] = true
	}
	if len(lines) != 3 || !got[vitals.Line{Stream: "stdout", Text: "un"}] || !got[vitals.Line{Stream: "stderr", Text: "deux"}] ||
		!got[vitals.Line{Stream: "stdout", Text: "sans fin"}] {
		t.Errorf("logs: %+v", lines)
	}
	for _, l := range read(t, e, "brenda-done", vitals.LogQuery{Tail: 2, Timestamps: true}) {
		if age := time.Since(l.At); age < 0 || age > time.Hour || strings.Contains(l.Text, "Z ") {
			t.Errorf("line %+v", l)
		}
	}
	if lines := read(t, e, "brenda-done", vitals.LogQuery{Tail: 0}); len(lines) != 0 {
		t.Errorf("tail 0: %+v", lines)
	}
	if lines := read(t, e, "brenda-done", vitals.LogQuery{Tail: 9, Since: time.Now().Add(time.Hour)}); len(lines) != 0 {
		t.Errorf("since the future: %+v", lines)
	}
	lines = read(t, e, "brenda-tty", vitals.LogQuery{Tail: 4, Timestamps: true})
	for _, l := range lines {
		if l.Stream != "stdout" || l.At.IsZero() || strings.ContainsAny(l.Text, "\r\n") || !strings.Contains("out err", l.Text[:3]) {
			t.Errorf("line of a terminal: %+v", l)
		}
	}
	if len(lines) != 4 {
		t.Errorf("a terminal's log has %d lines", len(lines))
	}
}

var errEnough = errors.New("enough")

func testFollow(t *testing.T, d *dockertest.Daemon, e *docker.Engine) {
	t.Helper()
	for _, name := range []string{"brenda-talk", "brenda-tty"} {
		streams := map[string]int{}
		err := e.Logs(t.Context(), name, vitals.LogQuery{Tail: 1, Follow: true}, func(vitals.Container) error { return nil },
			func(l vitals.Line) error {
				if streams[l.Stream]++; streams["stdout"] > 5 && (streams["stderr"] > 5 || name == "brenda-tty") {
					return errEnough
				}
				return nil
			})
		if !errors.Is(err, errEnough) {
			t.Errorf("%s: %v, %v", name, err, streams)
		}
	}
	// A container that says nothing: the log opens all the same, and ends with the context.
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Logs(ctx, "by-label", vitals.LogQuery{Tail: 1, Follow: true}, func(vitals.Container) error { cancel(); return nil },
		func(vitals.Line) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("left: %v", err)
	}
	// A container that is stopped ends its log in order; so does one that is restarted.
	for _, verb := range []string{"stop", "restart"} {
		err = e.Logs(t.Context(), "by-label", vitals.LogQuery{Tail: 1, Follow: true},
			func(vitals.Container) error { d.Docker(verb, "-t", "0", "by-label"); return nil },
			func(vitals.Line) error { return nil })
		if err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// testStats: what is told is what Docker's own command tells, within 5 points of processor and of memory. The two do not look
// at the very same second, in which a busy machine gives the container more or less: means are compared, over more rounds
// where it takes them.
func testStats(t *testing.T, d *dockertest.Daemon, e *docker.Engine) {
	t.Helper()
	const rounds, mostRounds = 3, 15
	var ours, theirs, oursMem, theirsMem float64
	near := func(a, b float64) bool { return math.Abs(a-b) <= 5 }
	for n := 1.0; n <= rounds || n <= mostRounds && !near(ours, theirs); n++ {
		var got vitals.Usage
		asked := make(chan error, 1)
		go func() {
			asked <- e.Stats(t.Context(), "my-BRENDA", false, func(_ vitals.Container, u vitals.Usage) error { got = u; return nil })
		}()
		line := strings.Fields(strings.ReplaceAll(d.Docker("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemPerc}}", "my-BRENDA"), "%", ""))
		if err := <-asked; err != nil {
			t.Fatal(err)
		}
		cpu, err1 := strconv.ParseFloat(line[0], 64)
		mem, err2 := strconv.ParseFloat(line[1], 64)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		t.Logf("processor %.2f %%, docker stats %.2f %%; memory %.2f %%, docker stats %.2f %%", got.CPUPercent, cpu, got.MemoryPercent, mem)
		mean := func(sum *float64, v float64) { *sum += (v - *sum) / n }
		mean(&ours, got.CPUPercent)
		mean(&theirs, cpu)
		mean(&oursMem, got.MemoryPercent)
		mean(&theirsMem, mem)
	}
	if !near(ours, theirs) || !near(oursMem, theirsMem) || theirs < 1 {
		t.Errorf("processor: %.1f %%, docker stats %.1f %%; memory %.1f %%, docker stats %.1f %%", ours, theirs, oursMem, theirsMem)
	}
	n := 0
	err := e.Stats(t.Context(), "my-BRENDA", true, func(c vitals.Container, u vitals.Usage) error {
		if n++; !u.Available || u.CPUPercent <= 0 || u.CPUPercent > 200 || c.Name != "my-BRENDA" {
			return fmt.Errorf("sample %d: %+v", n, u)
		}
		if n == 2 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("stream: %v", err)
	}
}

// testStatsEnd: a stream ends in order when its container does, and says that there are no figures any more.
func testStatsEnd(t *testing.T, d *dockertest.Daemon, e *docker.Engine) {
	t.Helper()
	var last vitals.Usage
	n := 0
	err := e.Stats(t.Context(), "by-image", true, func(_ vitals.Container, u vitals.Usage) error {
		if n++; n == 1 {
			d.Docker("stop", "-t", "0", "by-image")
		}
		last = u
		return nil
	})
	if err != nil || last.Available || n < 2 {
		t.Errorf("%v, %d samples, the last %+v", err, n, last)
	}
	err = e.Stats(t.Context(), "by-image", true, func(_ vitals.Container, u vitals.Usage) error { last = u; return nil })
	if err != nil || last.Available {
		t.Errorf("of a stopped one: %v, %+v", err, last)
	}
}

// testKilled: a daemon that is killed ends what is followed with an error, is told of, and is found again when it is back.
func testKilled(t *testing.T, d *dockertest.Daemon, e *docker.Engine) {
	t.Helper()
	logFlows, statsFlow := make(chan struct{}), make(chan struct{})
	logEnd, statsEnd := make(chan error, 1), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	go func() {
		once := sync.OnceFunc(func() { close(logFlows) })
		logEnd <- e.Logs(ctx, "brenda-talk", vitals.LogQuery{Tail: 1, Follow: true}, func(vitals.Container) error { return nil },
			func(vitals.Line) error { once(); return nil })
	}()
	go func() {
		once := sync.OnceFunc(func() { close(statsFlow) })
		statsEnd <- e.Stats(ctx, "my-BRENDA", true, func(vitals.Container, vitals.Usage) error { once(); return nil })
	}()
	for _, flows := range []chan struct{}{logFlows, statsFlow} {
		select {
		case <-flows:
		case <-ctx.Done():
			t.Fatal("nothing flows")
		}
	}
	d.Kill()
	for what, end := range map[string]chan error{"log": logEnd, "stats": statsEnd} {
		if err := <-end; err == nil || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("the %s ended with %v", what, err)
		}
	}
	for what, err := range everything(ctx, e, "brenda-talk") {
		if f := fault.As(err); err == nil || f.Kind != fault.Unavailable || !strings.Contains(f.Msg, "running?") {
			t.Errorf("%s without a daemon: %v", what, err)
		}
	}
	d.Serve()
	for e.Reachable(ctx) != nil && ctx.Err() == nil {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if list, err := e.List(ctx, false); err != nil || len(list) != 6 {
		t.Errorf("back again: %d containers, %v", len(list), err)
	}
}
