package kokoro

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"brenda/pipeline"
	"brenda/pipeline/engine/espeak"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { enginetest.MainWithChild(m, ChildMain) }

func config(tb testing.TB) Config {
	tb.Helper()
	c := Config{ORTLib: enginetest.ORTLib(tb), ModelDir: filepath.Dir(enginetest.Model(tb, "kokoro", modelFile))}
	c.Exec, c.Env = enginetest.AsChild()
	return c
}

func engine(tb testing.TB, c Config) *Engine {
	tb.Helper()
	return enginetest.Closed(tb, New(tb.Context(), c))
}

func say(ctx context.Context, e *Engine, text string) (pcm []float32, pieces int, err error) {
	err = e.Synthesize(ctx, pipeline.Line{Text: text}, func(p []float32) error {
		pcm, pieces = append(pcm, p...), pieces+1
		return nil
	})
	return pcm, pieces, err
}

// TestRealEngine loads the model once for all that follows.
func TestRealEngine(t *testing.T) {
	e := engine(t, config(t))
	t.Run("conformance", func(t *testing.T) { enginetest.Synthesizer(t, e) })
	t.Run("edges", func(t *testing.T) { edges(t, e) })
	t.Run("voices and languages", func(t *testing.T) { voicesAndLanguages(t, e) })
	t.Run("cancelled in the middle of the network", func(t *testing.T) { cancelledInTheMiddle(t, e) })
	if s := e.State(); s.Restarts != 0 {
		t.Errorf("the child was started %d times more: %s", s.Restarts, s.Reason)
	}
	t.Run("a child that dies is replaced", func(t *testing.T) { diesAndComesBack(t, e) })
}

// used returns the processor time that the engine's child has used, in seconds.
func used(t *testing.T, e *Engine) float64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^e.State().PID<<3|2), &ts); err != nil { // the process's own CPU clock
		t.Fatal(err)
	}
	return float64(ts.Nano()) / 1e9
}

func cancelledInTheMiddle(t *testing.T, e *Engine) {
	t.Helper()
	text := strings.Repeat("le chat dort sur le canapé et la pluie tombe ", 3)
	start := used(t, e)
	if _, n, err := say(t.Context(), e, text); err != nil || n != 1 {
		t.Fatalf("%d pieces, %v; the test wants a single long inference", n, err)
	}
	whole := used(t, e) - start

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the person spoke")
	start = used(t, e)
	watch := make(chan struct{})
	go func() { // cancels once the network demonstrably works
		defer close(watch)
		for used(t, e)-start < whole/5 && ctx.Err() == nil {
			continue
		}
		cancel(why)
	}()
	pcm, _, err := say(ctx, e, text)
	cancel(nil)
	<-watch
	if !errors.Is(err, why) || len(pcm) > 0 {
		t.Fatalf("%d samples, %v", len(pcm), err)
	}
	spent := used(t, e) - start
	t.Logf("whole line %.2f s of CPU, cancelled after a fifth %.2f s", whole, spent)
	if spent > 0.6*whole {
		t.Errorf("used %.2f s of CPU of %.2f after being cancelled at a fifth", spent, whole)
	}
	if _, _, err := say(t.Context(), e, "Oui."); err != nil || e.State().Restarts != 0 {
		t.Errorf("afterwards: %v, %+v", err, e.State())
	}
}

func diesAndComesBack(t *testing.T, e *Engine) {
	t.Helper()
	want, _, err := say(t.Context(), e, "Bonjour.")
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(e.State().PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // a call may still meet the dying child
		var got []float32
		if got, _, err = say(t.Context(), e, "Bonjour."); err == nil {
			if !slices.Equal(got, want) {
				t.Error("the new child speaks differently")
			}
			return
		}
		if fault.KindOf(err) != fault.Unavailable {
			break
		}
	}
	t.Errorf("after the child's death: %v", err)
}

func edges(t *testing.T, e *Engine) {
	t.Helper()
	const trimmed = 60 // ms: what may be left of the 0.4 s before the first sound
	pcm, _, err := say(t.Context(), e, "Bonjour !")
	if err != nil {
		t.Fatal(err)
	}
	first, last, _ := speech(pcm)
	if ms := first * 1000 / pipeline.OutputRate; ms > trimmed {
		t.Errorf("%d ms of silence before the speech", ms)
	}
	if ms := (len(pcm) - last) * 1000 / pipeline.OutputRate; ms < 180 || ms > 320 {
		t.Errorf("%d ms of silence after a sentence", ms)
	}
	if pcm[0] != 0 || math.Abs(float64(pcm[len(pcm)-1])) > 1e-4 {
		t.Errorf("clicks: begins with %g, ends with %g", pcm[0], pcm[len(pcm)-1])
	}
}

func voicesAndLanguages(t *testing.T, e *Engine) {
	t.Helper()
	if v := e.Voices(); len(v) == 0 || v[0] != (Voice{Name: "Elise", Language: "fr"}) {
		t.Errorf("voices %+v", v)
	}
	none := func([]float32) error { return nil }
	for name, c := range map[string]struct {
		line pipeline.Line
		want fault.Kind
		says string
	}{
		"path as voice":    {pipeline.Line{Text: "a", Voice: "../Elise"}, fault.NotFound, "Elise"},
		"unknown voice":    {pipeline.Line{Text: "a", Voice: "Bob"}, fault.NotFound, "Elise"},
		"unknown language": {pipeline.Line{Text: "a", Language: "xx"}, fault.Invalid, "en, es, fr"},
		"speed":            {pipeline.Line{Text: "a", Speed: math.NaN()}, fault.Invalid, "between"},
	} {
		err := e.Synthesize(t.Context(), c.line, none)
		if fault.KindOf(err) != c.want || !strings.Contains(fault.As(err).Msg, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.Synthesize(t.Context(), pipeline.Line{Text: "Hello.", Voice: "elise", Language: "en-GB"}, none); err != nil {
		t.Errorf("English: %v", err)
	}
}

// TestDeathOfTheChildIsSurvived kills the child under a line.
func TestDeathOfTheChildIsSurvived(t *testing.T) {
	e := engine(t, config(t))
	if err := e.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := e.State().PID
	time.AfterFunc(150*time.Millisecond, func() { _ = unix.Kill(first, unix.SIGKILL) })
	pcm, _, err := say(t.Context(), e, "Le train pour Lyon partira de la voie douze, avec dix minutes de retard environ.")
	if err != nil || len(pcm) < 3*pipeline.OutputRate || e.State().Restarts != 1 {
		t.Errorf("%d samples, %v, %+v", len(pcm), err, e.State())
	}
}

func TestMissingThings(t *testing.T) {
	cfg := config(t)
	cfg.ModelDir = t.TempDir()
	_, _, err := say(t.Context(), engine(t, cfg), "Bonjour.")
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "brenda models pull") {
		t.Errorf("no model: %v", err)
	}
	cfg = config(t)
	cfg.Espeak = espeak.Config{Program: filepath.Join(t.TempDir(), "espeak-ng")}
	_, _, err = say(t.Context(), engine(t, cfg), "Bonjour.")
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "apt-get install espeak-ng") {
		t.Errorf("no espeak-ng: %v", err)
	}
}
