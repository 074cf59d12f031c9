package whispercpp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brenda/audio/audiotest"
	"brenda/pipeline"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

// The test binary is its own engine: it is started with the arguments that brenda itself gets.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "engine" {
		if err := ChildMain(context.Background(), os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// installed returns the folder of the library and the path of the base model.
func installed(tb testing.TB) (libDir, base string) {
	tb.Helper()
	dir := enginetest.ModelsDir(tb)
	libDir, base = filepath.Join(dir, "whispercpp"), filepath.Join(dir, "whisper-base", "ggml-base-q8_0.bin")
	for _, f := range []string{libDir, base} {
		if _, err := os.Stat(f); err != nil {
			tb.Fatalf("%v; run: brenda models pull", err)
		}
	}
	return libDir, base
}

func start(tb testing.TB, change func(*Config)) *Engine {
	tb.Helper()
	lib, base := installed(tb)
	cfg := Config{LibDir: lib, Models: map[string]string{"base": base}, Default: "base", Threads: 2}
	if change != nil {
		change(&cfg)
	}
	e, err := New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func TestConformance(t *testing.T) {
	e := start(t, nil)
	enginetest.Recognizer(t, e, enginetest.NamedSpeech(t, "fr/ss-noservice.wav", "fr/conf-onlyperson.wav"))
}

func TestLoadAndState(t *testing.T) {
	e := start(t, nil)
	if err := e.Load(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := e.Load(t.Context(), "huge"); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "base") {
		t.Errorf("an unknown size: %v", err)
	}
	if s := e.State(); s.Phase != proc.Ready || s.Restarts != 0 {
		t.Errorf("state %+v", s)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", e.State().PID))
	if err != nil || !strings.Contains(string(env), "OMP_WAIT_POLICY=passive") {
		t.Errorf("the child's threads may spin: %v", err)
	}
	e.Close()
	if _, err := e.Transcribe(t.Context(), pipeline.Speech{PCM: make([]float32, 100)}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

func TestLanguageIsDetected(t *testing.T) {
	e := start(t, nil)
	for name, want := range map[string]string{"fr/ss-noservice.wav": "fr", "en/agent-alreadyon.wav": "en"} {
		clip := enginetest.NamedSpeech(t, name)[0]
		got, err := e.Transcribe(t.Context(), pipeline.Speech{PCM: clip.PCM, Language: "auto"})
		if err != nil || got.Language != want || audiotest.WER(clip.Text, got.Text) > 0.4 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestBrokenModels puts files of every kind of damage beside a good model.
func TestBrokenModels(t *testing.T) {
	_, base := installed(t)
	good, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string][]byte{
		"empty":   {},
		"text":    []byte("<html>404 not found</html>"),
		"cut":     good[:len(good)/2],
		"header":  good[:60],
		"one off": good[:len(good)-1],
		"longer":  append(slices.Clone(good), "trailing rubbish that is no tensor"...),
		"layers":  slices.Concat(good[:20], []byte{7}, good[21:]),
	}
	dir := t.TempDir()
	e := start(t, func(c *Config) {
		for name, b := range damage {
			p := filepath.Join(dir, name)
			if err := os.WriteFile(p, b, 0o600); err != nil {
				t.Fatal(err)
			}
			c.Models[name] = p
		}
		c.Models["missing"] = filepath.Join(dir, "missing")
		c.Default = "cut"
	})
	for _, size := range e.Sizes() {
		err := e.Load(t.Context(), size)
		if size == "base" {
			if err != nil {
				t.Errorf("the good model: %v", err)
			}
			continue
		}
		f := fault.As(err)
		if f == nil || f.Kind != fault.Unavailable || f.Code != "model_broken" || strings.Contains(f.Msg, dir) {
			t.Errorf("%s: %v", size, err)
		}
	}
	if s := e.State(); s.Restarts != 0 {
		t.Errorf("a broken model ended the child: %+v", s)
	}
	if err := checkModel(base); err != nil {
		t.Error(err)
	}
}

func TestMissingParts(t *testing.T) {
	lib, base := installed(t)
	for _, cfg := range []Config{
		{LibDir: t.TempDir(), Models: map[string]string{"base": base}, Default: "base"},
		{LibDir: lib, Models: map[string]string{"base": base}, Default: "small"},
	} {
		_, err := New(t.Context(), cfg)
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "brenda models pull") {
			t.Errorf("got %v", err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "libwhisper.so"), []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, func(c *Config) { c.LibDir = dir })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for e.State().Restarts == 0 && ctx.Err() == nil { // its first child is gone
		_ = unix.Nanosleep(&unix.Timespec{Nsec: 5e6}, nil)
	}
	if s := e.State(); s.Phase == proc.Ready || s.Reason != "exit status 1" {
		t.Errorf("state with a file that is no library: %+v", s)
	}
}

// TestCancelEndsAnEncoding cancels a call that cannot look at its abort flag for seconds.
func TestCancelEndsAnEncoding(t *testing.T) {
	e := start(t, func(c *Config) { c.CancelGrace = time.Millisecond })
	if err := e.Load(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	pid := e.State().PID
	busy := cpuTime(t, pid) + 300*time.Millisecond // by then it encodes, which takes seconds of processor time
	var watch sync.WaitGroup
	watch.Go(func() {
		for cpuTime(t, pid) < busy && ctx.Err() == nil {
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 5e6}, nil)
		}
		cancel(fault.ErrBargeIn)
	})
	_, err := e.Transcribe(ctx, pipeline.Speech{PCM: audiotest.Pink(0.1, 29*pipeline.InputRate, 1)})
	cancel(nil)
	watch.Wait()
	if !errors.Is(err, fault.ErrBargeIn) {
		t.Errorf("got %v", err)
	}
	clip := enginetest.NamedSpeech(t, "fr/ss-noservice.wav")[0]
	got, err := e.Transcribe(t.Context(), pipeline.Speech{PCM: clip.PCM})
	if err != nil || audiotest.WER(clip.Text, got.Text) > 0.3 {
		t.Errorf("the next call: %q, %v", got.Text, err)
	}
	if s := e.State(); s.Restarts != 1 || s.Reason != "it did not stop when asked" {
		t.Errorf("state %+v", s)
	}
}

// TestDeathOfTheChildIsSurvived kills the child under a call.
func TestDeathOfTheChildIsSurvived(t *testing.T) {
	e := start(t, nil)
	if err := e.Load(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	clip := enginetest.NamedSpeech(t, "fr/demo-nogo.wav")[0]
	time.AfterFunc(50*time.Millisecond, func() { _ = unix.Kill(e.State().PID, unix.SIGKILL) })
	got, err := e.Transcribe(t.Context(), pipeline.Speech{PCM: clip.PCM})
	if err != nil || audiotest.WER(clip.Text, got.Text) > 0.5 {
		t.Errorf("got %q, %v", got.Text, err)
	}
}

func TestSizesOfTheWork(t *testing.T) {
	for _, c := range []struct {
		seconds           float64
		ctx, thorough, nt int
	}{{0.5, 256, 768, 20}, {2.4, 256, 768, 36}, {5.4, 384, 768, 60}, {9.5, 576, 1152, 92}, {15, 832, 0, 136}, {28.8, 0, 0, 247}, {40, 0, 0, 336}} {
		if a, b, n := audioCtx(c.seconds), thoroughCtx(c.seconds), maxTokens(c.seconds); a != c.ctx || b != c.thorough || n != c.nt {
			t.Errorf("%v s: %d, %d, %d", c.seconds, a, b, n)
		}
	}
}
