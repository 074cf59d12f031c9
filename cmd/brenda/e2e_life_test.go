package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"brenda/audio/wav"
	"brenda/pipeline/enginetest"
)

// story is a question whose answer is long, so that there is time to do something to it.
var story = map[string]any{
	"text": "Raconte une longue histoire de pirates.", "system": "Tu es un conteur. Tu racontes longuement, en vingt phrases.",
}

// until polls a condition. What it waits for must come; how fast is not the question.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !cond() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("never came: ", what)
		}
	}
}

// metric returns a sample of /metrics, by the start of its line.
func (p *program) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := http.Get(p.base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Fatalf("no metric %s in\n%s", name, b)
	return 0
}

// children returns the processes whose parent is pid, and theirs.
func children(t *testing.T, pid int) []int {
	t.Helper()
	var out []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		b, err := os.ReadFile(s)
		if err != nil {
			continue // gone
		}
		var id, parent int
		var state string
		fmt.Sscanf(string(b), "%d", &id)
		rest := string(b[bytes.LastIndexByte(b, ')')+1:])
		fmt.Sscanf(rest, "%s %d", &state, &parent)
		if parent == pid && state != "Z" {
			out = append(append(out, id), children(t, id)...)
		}
	}
	return out
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b[bytes.LastIndexByte(b, ')'):]), " Z ")
}

// llmRunning is the gauge of answers that are being written.
const llmRunning = `brenda_engine_running{engine="llm"}`

func TestTextAndSoundComeWhileTheModelWrites(t *testing.T) {
	p := server(t)
	all := events(t, p.post(t, "/v1/ai/chaining/chat", t.Name(), story))
	firstAudio, lastText := -1, -1
	for i, ev := range all {
		switch ev.Type {
		case "audio":
			if firstAudio < 0 {
				firstAudio = i
			}
		case "text":
			lastText = i
		}
	}
	if firstAudio < 0 || firstAudio > lastText {
		t.Errorf("first sound is event %d, last text %d", firstAudio, lastText)
	}
}

func TestLeavingFreesTheEngines(t *testing.T) {
	p := server(t)
	for _, path := range []string{"/v1/ai/chaining/chat", "/v1/ai/generate"} {
		body := map[string]any{"stream": true, "messages": []map[string]string{{"role": "user", "content": story["text"].(string)}}}
		if strings.Contains(path, "chaining") {
			body = story
		}
		resp := p.post(t, path, t.Name(), body)
		if _, err := io.ReadFull(resp.Body, make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
		if n := p.metric(t, llmRunning); n != 1 {
			t.Errorf("%s: %v answers are being written", path, n)
		}
		resp.Body.Close()
		until(t, "an idle llm", func() bool { return p.metric(t, llmRunning) == 0 })
		until(t, "an idle voice", func() bool { return p.metric(t, `brenda_engine_running{engine="tts"}`) == 0 })
	}
}

func TestStopAndInterruption(t *testing.T) {
	p := server(t)
	finish := func(all []event) string { return all[len(all)-1].Finish }
	first := p.post(t, "/v1/ai/chaining/chat", t.Name(), story)
	second := p.post(t, "/v1/ai/chaining/chat", t.Name(), map[string]any{"text": "Bonjour !"}) // interrupts the first
	if f := finish(events(t, first)); f != "cancelled" {
		t.Errorf("the interrupted turn ended with %q", f)
	}
	if f := finish(events(t, second)); f != "stop" && f != "length" {
		t.Errorf("the new turn ended with %q", f)
	}
	third := p.post(t, "/v1/ai/chaining/chat", t.Name(), story)
	var stopped struct{ Stopped int }
	if err := json.NewDecoder(p.post(t, "/v1/ai/stop", t.Name(), nil).Body).Decode(&stopped); err != nil || stopped.Stopped != 1 {
		t.Errorf("stopped %d, %v", stopped.Stopped, err)
	}
	if f := finish(events(t, third)); f != "cancelled" {
		t.Errorf("the stopped turn ended with %q", f)
	}
}

// TestHundredMegabytes sends the largest body that is allowed, and one that is larger.
func TestHundredMegabytes(t *testing.T) {
	p := server(t)
	const limit = 104857600
	before := p.memory(t)
	sound := wav.Encode(make([]float32, 16000), 16000) // its header says one second; a streamed one says nothing
	copy(sound[4:8], "\xff\xff\xff\xff")
	copy(sound[40:44], "\xff\xff\xff\xff")
	head, tail := `{"audio":"`, `"}`
	raw := (limit - len(head) - len(tail)) / 4 * 3
	send := func(extra string) *http.Response {
		r, w := io.Pipe()
		go func() {
			io.WriteString(w, head)
			enc := base64.NewEncoder(base64.StdEncoding, w)
			enc.Write(sound)
			io.CopyN(enc, zeros{}, int64(raw-len(sound)))
			enc.Close()
			io.WriteString(w, tail+extra)
			w.Close()
		}()
		resp, err := http.Post(p.base+"/v1/ai/speech/speech-to-text", "application/json", r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	resp := send("")
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(b), "no_speech") {
		t.Errorf("100 MB of silence: %d %s", resp.StatusCode, b)
	}
	extra := p.memory(t) - before
	t.Logf("100 MB of base64 took %d MB of memory more", extra>>20)
	if extra > 350<<20 {
		t.Errorf("%d MB of extra memory", extra>>20)
	}
	if resp := send(strings.Repeat(" ", 1<<20)); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("101 MB: %d", resp.StatusCode)
	}
}

// zeros is silence without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// memory returns the most memory that the server has had, in bytes.
func (p *program) memory(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kb int
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	fmt.Sscan(rest, &kb)
	return kb << 10
}

// TestNothingIsLeftBehind lets clients come and go in every way, and looks at goroutines and files.
func TestNothingIsLeftBehind(t *testing.T) {
	p := server(t)
	events(t, p.post(t, "/v1/ai/chaining/chat", "", map[string]any{"text": "Bonjour !"}))
	count := func() (goroutines, files float64) {
		http.DefaultClient.CloseIdleConnections()
		return p.metric(t, "go_goroutines"), p.metric(t, "process_open_fds")
	}
	g0, f0 := count()
	for i := range 30 {
		ctx, cancel := context.WithCancel(t.Context())
		b, _ := json.Marshal(story)
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/v1/ai/chaining/chat", bytes.NewReader(b))
		req.Header.Set("X-Session-ID", fmt.Sprint("left-", i%4))
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			io.CopyN(io.Discard, resp.Body, int64(i*20))
			resp.Body.Close()
		}
		cancel()
	}
	// The four sessions stay in memory until they have been idle for long: one goroutine each.
	until(t, "the goroutines and files of the start", func() bool {
		g, f := count()
		return g <= g0+8 && f <= f0+2
	})
}

// TestConversationSurvivesKill kills a server in the middle of an answer, and goes on with what it had told of.
func TestConversationSurvivesKill(t *testing.T) {
	data := t.TempDir()
	p, err := launch(enginetest.ModelsDir(t), data)
	if err != nil {
		t.Fatal(err)
	}
	events(t, p.post(t, "/v1/ai/chaining/chat", "k", map[string]any{"text": "Je m'appelle Zoé."}))
	running := p.post(t, "/v1/ai/chaining/chat", "k", story)
	if _, err := io.ReadFull(running.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	kids := children(t, p.cmd.Process.Pid)
	if len(kids) < 3 {
		t.Errorf("children: %v", kids)
	}
	p.end(syscall.SIGKILL)
	for _, kid := range kids {
		until(t, "the end of an orphan", func() bool { return !alive(kid) })
	}
	again, err := launch(enginetest.ModelsDir(t), data)
	if err != nil {
		t.Fatal(err)
	}
	resp := again.post(t, "/v1/ai/chaining/chat", "k", map[string]any{"text": "Comment je m'appelle ?", "stream": false})
	var answer struct{ Text string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	t.Logf("asked for the name: %q", answer.Text)
	if !strings.Contains(answer.Text, "Zoé") {
		t.Errorf("the conversation was forgotten: %q", answer.Text)
	}
	kids = children(t, again.cmd.Process.Pid)
	again.end(syscall.SIGTERM)
	if code := again.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("ended with %d:\n%s", code, again.log)
	}
	for _, kid := range kids {
		until(t, "the end of a child", func() bool { return !alive(kid) })
	}
}

// TestChildrenComeBack kills every child of the server; what is asked next is answered.
func TestChildrenComeBack(t *testing.T) {
	p := server(t)
	sound, _ := prompt(t, "ss-noservice")
	for _, kid := range children(t, p.cmd.Process.Pid) {
		syscall.Kill(kid, syscall.SIGKILL)
	}
	all := events(t, p.post(t, "/v1/ai/chaining/chat", t.Name(), map[string]any{"audio": sound}))
	last := all[len(all)-1]
	if last.Type != "done" || last.Finish == "" || all[0].Type != "transcript" {
		t.Errorf("after the children's death: first %+v, last %+v\n%s", all[0], last, p.log)
	}
}
