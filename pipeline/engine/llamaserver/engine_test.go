package llamaserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	small  = "qwen2.5-coder-0.5b"
	window = 1024 // tokens of a slot's context
)

// gguf returns the file of a model; a test without its model fails.
func gguf(t *testing.T, name string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(enginetest.ModelsDir(t), name, "*.gguf"))
	if len(files) == 0 {
		t.Fatalf("no GGUF of %s; run: brenda models pull %s", name, name)
	}
	return files[0]
}

// realEngine returns the engine over the 0.5B model under two names, which are two models to it.
func realEngine(t *testing.T, change func(*Config)) *Engine {
	t.Helper()
	path := gguf(t, small)
	cfg := Config{
		Package: filepath.Join(enginetest.ModelsDir(t), "llama-server"),
		Models:  map[string]string{small: path, "second": path, "absent": "/nowhere.gguf"},
		Default: small, Context: window,
	}
	if change != nil {
		change(&cfg)
	}
	e := New(cfg, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() { e.Close() })
	return e
}

func prompt(text string, maxTokens int) pipeline.Prompt {
	zero := 0.0
	return pipeline.Prompt{
		Messages:  []pipeline.Message{{Role: "user", Content: text}},
		MaxTokens: maxTokens, Temperature: &zero, Affinity: "session",
	}
}

func ignore(pipeline.Delta) error { return nil }

// get reads one of the server's own counters.
func get(t *testing.T, s server, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+s.key.Reveal())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

func busy(t *testing.T, s server) (n int) {
	t.Helper()
	var slots []struct {
		Busy bool `json:"is_processing"`
	}
	text := get(t, s, "/slots")
	if err := json.Unmarshal([]byte(text), &slots); err != nil {
		t.Fatalf("slots: %v: %s", err, text)
	}
	for _, s := range slots {
		if s.Busy {
			n++
		}
	}
	return n
}

func written(t *testing.T, s server) string {
	t.Helper()
	for line := range strings.Lines(get(t, s, "/metrics")) {
		if value, ok := strings.CutPrefix(line, "llamacpp:tokens_predicted_total "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatal("no counter of tokens")
	return ""
}

// TestRealEngine starts the real server once for all that can share it.
func TestRealEngine(t *testing.T) {
	e := realEngine(t, nil)
	if took, err := e.Load(t.Context(), ""); err != nil || took <= 0 {
		t.Fatalf("Load took %v: %v", took, err)
	}
	if got := e.Loaded(); !slices.Equal(got, []string{small}) {
		t.Errorf("Loaded = %v", got)
	}
	t.Run("conformance", func(t *testing.T) { enginetest.Generator(t, e, window) })
	t.Run("functions", func(t *testing.T) { enginetest.Tools(t, e) })
	t.Run("cancelling frees the slot", func(t *testing.T) { cancelFreesSlot(t, e) })
	t.Run("warming", func(t *testing.T) { warms(t, e) })
	t.Run("comes back after kill -9", func(t *testing.T) { comesBack(t, e) })
	t.Run("only with the key", func(t *testing.T) { onlyWithKey(t, e) })
}

// The server's own counters tell that cancelling ends the work: the slot is free although hundreds of tokens
// were asked for, and after that no more tokens are counted.
func cancelFreesSlot(t *testing.T, e *Engine) {
	t.Helper()
	s := e.children[small].current()
	ctx, cancel := context.WithCancelCause(t.Context())
	deltas, start := 0, written(t, s)
	_, err := e.Generate(ctx, prompt("Raconte une très longue histoire de marins.", 900), func(pipeline.Delta) error {
		if deltas++; deltas == 3 {
			cancel(fault.ErrBargeIn)
		}
		return nil
	})
	if !errors.Is(err, fault.ErrBargeIn) || deltas != 3 {
		t.Fatalf("error %v after %d deltas", err, deltas)
	}
	looks := 0
	for busy(t, s) != 0 {
		if looks++; looks > 200_000 { // a look takes some ms
			t.Fatalf("the slot never became free; tokens counted: %s at the start, %s now", start, written(t, s))
		}
	}
	before := written(t, s)
	if _, err := e.Generate(t.Context(), prompt("Dis bonjour.", 1), ignore); err != nil {
		t.Fatal(err)
	}
	t.Logf("free after %d looks; tokens counted: %s at the start, %s when free, then %s",
		looks, start, before, written(t, s))
	count := func(text string) (n float64) {
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if more := count(written(t, s)) - count(before); more > 1 {
		t.Errorf("%v tokens for one request of one: the cancelled one still writes", more)
	}
	// The one under way is finished: four for three on a quiet machine; a busy one may be late by a few.
	if n := count(before) - count(start); n > 10 {
		t.Errorf("%v tokens were written although the request was cancelled after 3", n)
	}
}

func warms(t *testing.T, e *Engine) {
	t.Helper()
	p := prompt("Quelle est la capitale de l'Italie, et combien d'habitants compte-t-elle à peu près de nos", 1)
	p.Affinity = "warm"
	cold, err := e.Warm(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	p.Messages[0].Content += " jours ?"
	done, err := e.Generate(t.Context(), p, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if done.Usage.CachedTokens < cold.PromptTokens/2 {
		t.Errorf("of %+v only %d tokens came from the cache", cold, done.Usage.CachedTokens)
	}
}

func comesBack(t *testing.T, e *Engine) {
	t.Helper()
	c := e.children[small]
	pid := c.proc.State().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	done, err := e.Generate(t.Context(), prompt("Dis bonjour.", 2), ignore)
	if err != nil || done.Usage.CompletionTokens == 0 {
		t.Fatalf("after kill -9: %+v, %v", done, err)
	}
	if s := c.proc.State(); s.PID == pid || s.Restarts != 1 {
		t.Errorf("state %+v, want another process", s)
	}
}

func onlyWithKey(t *testing.T, e *Engine) {
	t.Helper()
	s := e.children[small].current()
	s.key = "another"
	if got := get(t, s, "/slots"); !strings.Contains(got, "Invalid API Key") {
		t.Errorf("with a wrong key the server says %s", got)
	}
	state := e.States()[small]
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(state.PID), "cmdline"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), e.children[small].current().key.Reveal()) {
		t.Error("the key shows in the list of processes")
	}
}

// TestSwitch: with room for one model, another one waits for what the first is writing, then takes its place.
func TestSwitch(t *testing.T) {
	e := realEngine(t, nil)
	if _, err := e.Load(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	deltas := 0
	_, err := e.Generate(t.Context(), prompt("Raconte une histoire de marins.", 12), func(pipeline.Delta) error {
		if deltas++; deltas == 1 {
			go func() {
				_, err := e.Load(t.Context(), "second")
				loaded <- err
			}()
			e.awaitLeaving(t, small)
		}
		return nil
	})
	if err != nil || deltas < 2 {
		t.Errorf("the answer in flight was cut: %d deltas, %v", deltas, err)
	}
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	if got := e.Loaded(); !slices.Equal(got, []string{"second"}) {
		t.Errorf("Loaded = %v", got)
	}
	if _, err := e.Load(t.Context(), "absent"); fault.As(err).Code != "model_missing" {
		t.Errorf("error = %v, want model_missing", err)
	}
	if _, err := e.Load(t.Context(), "unheard"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("error = %v, want fault.NotFound", err)
	}
	e.Close()
	if _, err := e.Load(t.Context(), small); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

func (e *Engine) awaitLeaving(t *testing.T, name string) {
	t.Helper()
	for {
		e.mu.Lock()
		leaving := e.children[name].leaving
		e.mu.Unlock()
		if leaving {
			return
		}
		runtime.Gosched()
	}
}

func TestModels(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"b.gguf", "a.gguf", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := New(Config{Dir: dir, Models: map[string]string{"c": filepath.Join(dir, "b.gguf"), "d": "/nowhere"}}, slog.New(slog.DiscardHandler))
	got, err := e.Models(t.Context())
	if err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("Models = %v, %v", got, err)
	}
}

// TestNoServer: nothing that runs is there. The message names what provides it, and no path.
func TestNoServer(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "llama-server")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nkill -ILL $$\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "m.gguf"), nil, 0o600)
	e := New(Config{Server: broken, Dir: dir, Default: "m"}, slog.New(slog.DiscardHandler))
	_, err := e.Generate(t.Context(), prompt("x", 1), ignore)
	if f := fault.As(err); f.Code != "engine_missing" || !strings.Contains(f.Msg, "brenda models pull") {
		t.Errorf("error = %v", err)
	}
}

// TestUsersServer: a llama-server that runs is preferred, and is given no option that it does not know.
func TestUsersServer(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "llama-server")
	script := "#!/bin/sh\ncase $1 in --version) echo version: 1;; --help) echo '--metrics --cache-ram N';; *) exit 1;; esac\n"
	if err := os.WriteFile(own, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	e := New(Config{Server: own, Threads: 1, PrefillThreads: 2}, slog.New(slog.DiscardHandler))
	run, err := e.runner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := run.command(e.cfg, "name", "/models/x.gguf", 4711, "geheim")
	if err != nil {
		t.Fatal(err)
	}
	want := "-m /models/x.gguf --alias name --host 127.0.0.1 --port 4711 -c 8192 --parallel 2 -t 1 -tb 2 --jinja --cache-ram 256 --metrics"
	if got := strings.Join(cmd.Args, " "); got != want || cmd.Path != own {
		t.Errorf("%s\n got %s\nwant %s", cmd.Path, got, want)
	}
	if !slices.Contains(cmd.Env, "LLAMA_API_KEY=geheim") {
		t.Errorf("environment %v", cmd.Env)
	}
}

// TestHopelessModel: a file that is no GGUF ends in a fault, not in an endless wait.
func TestHopelessModel(t *testing.T) {
	e := realEngine(t, func(c *Config) {
		bad := filepath.Join(t.TempDir(), "bad.gguf")
		os.WriteFile(bad, []byte("no model"), 0o600)
		c.Models["bad"], c.Policy = bad, proc.Policy{Crashes: 2}
	})
	if _, err := e.Load(t.Context(), "bad"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error = %v, want fault.Unavailable", err)
	}
	if _, err := e.Load(t.Context(), small); err != nil {
		t.Errorf("the next model does not load: %v", err)
	}
}
