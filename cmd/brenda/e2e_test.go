package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
	"brenda/pipeline/enginetest"
)

// These tests run the real program, with every engine real, and talk to it over real sockets.

// TestMain lets the test binary be the program, so that tests start what they test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "engine" || os.Getenv("BRENDA_TEST_MAIN") != "" {
		main()
		os.Exit(0)
	}
	code := m.Run()
	shared.stop()
	os.Exit(code)
}

// program is a running server.
type program struct {
	base string
	data string
	cmd  *exec.Cmd
	log  *lockedBuffer
	out  *lockedBuffer
	done chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sharedProgram is the server that most tests use: a start takes seconds.
type sharedProgram struct {
	once sync.Once
	p    *program
	dir  string
	err  error
}

var shared sharedProgram

func (s *sharedProgram) stop() {
	if s.p != nil {
		s.p.end(syscall.SIGTERM)
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// server returns the shared server, ready to serve.
func server(t *testing.T) *program {
	t.Helper()
	shared.once.Do(func() {
		shared.dir, shared.err = os.MkdirTemp("", "brenda-e2e-*") //nolint:usetesting // outlives this test
		if shared.err != nil {
			return
		}
		shared.p, shared.err = launch(enginetest.ModelsDir(t), shared.dir)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.p
}

// launch starts a server on a free port and waits until it is ready.
func launch(models, data string, extra ...string) (*program, error) {
	return launchAt("http", http.DefaultClient, models, data, extra...)
}

// launchAt is launch for a scheme, with a client that trusts the server.
func launchAt(scheme string, client *http.Client, models, data string, extra ...string) (*program, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	ln.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &program{base: scheme + "://" + addr, data: data, log: &lockedBuffer{}, out: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(self, append([]string{"serve"}, extra...)...)
	p.cmd.Env = append(os.Environ(), "BRENDA_TEST_MAIN=1", "BRENDA_LISTEN="+addr, "BRENDA_DATA="+data,
		"BRENDA_MODELS_DIR="+models, "BRENDA_LLM_MODEL=qwen2.5-coder-0.5b", "BRENDA_LIMITS_RATE=1000", "BRENDA_LIMITS_BURST=1000")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for {
		resp, err := client.Get(p.base + "/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-p.done:
			return nil, fmt.Errorf("the server ended:\n%s", p.log)
		case <-ctx.Done():
			p.end(syscall.SIGKILL)
			return nil, fmt.Errorf("the server is not ready:\n%s", p.log)
		}
	}
}

func (p *program) end(sig syscall.Signal) {
	p.cmd.Process.Signal(sig)
	<-p.done
}

// event is one server-sent event, with the order of arrival kept by its place in a slice.
type event struct {
	Type    string          `json:"type"`
	Content json.RawMessage `json:"content"`
	Text    string          `json:"text"`
	Source  string          `json:"source"`
	Finish  string          `json:"finish_reason"`
	Error   json.RawMessage `json:"error"`
	At      time.Duration   `json:"-"`
}

func (e event) words() string {
	var s string
	json.Unmarshal(e.Content, &s)
	return s
}

// post sends JSON and returns the answer.
func (p *program) post(t *testing.T, path, session string, body any) *http.Response {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.base+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if session != "" {
		req.Header.Set("X-Session-ID", session)
	}
	return do(t, req)
}

// request sends JSON and asks for an answer of one kind.
func (p *program) request(t *testing.T, path, accept string, body any) *http.Response {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.base+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	return do(t, req)
}

func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// events reads a stream to [DONE].
func events(t *testing.T, resp *http.Response) []event {
	t.Helper()
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(ct, "text/event-stream") {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("status %d, %s: %s", resp.StatusCode, ct, b)
	}
	begin := time.Now()
	var all []event
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok {
			if data == "[DONE]" {
				return all
			}
			var ev event
			if err := json.Unmarshal([]byte(data), &ev); err != nil {
				t.Fatalf("%v in %q", err, data)
			}
			ev.At = time.Since(begin)
			all = append(all, ev)
		}
		if err != nil {
			t.Fatalf("the stream ended without [DONE]: %v", err)
		}
	}
}

// speechDir is where make test puts the recorded prompts.
func speechDir(t *testing.T) string {
	t.Helper()
	if d := os.Getenv("BRENDA_SPEECH_DIR"); d != "" {
		return d
	}
	return filepath.Join(filepath.Dir(enginetest.ModelsDir(t)), "speech")
}

// prompt returns a recorded human French prompt as a WAV file in base64, and its text.
func prompt(t *testing.T, name string) (sound, text string) {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(speechDir(t), "index.tsv"))
	if err != nil {
		t.Fatalf("%v; make test fetches the recorded speech", err)
	}
	for line := range strings.Lines(string(index)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) >= 3 && strings.Contains(f[0], name) {
			b, err := os.ReadFile(filepath.Join(speechDir(t), f[0]))
			if err != nil {
				t.Fatal(err)
			}
			return base64.StdEncoding.EncodeToString(b), f[len(f)-1]
		}
	}
	t.Fatalf("no prompt %q in %s", name, speechDir(t))
	return "", ""
}

// decodeSound decodes a WAV file of the voice.
func decodeSound(t *testing.T, file []byte) []float32 {
	t.Helper()
	src, err := audio.Open(bytes.NewReader(file), int64(len(file)), 24000)
	if err != nil {
		t.Fatal(err)
	}
	pcm, err := audio.ReadAll(src)
	if err != nil {
		t.Fatal(err)
	}
	return pcm
}

func TestAskByVoiceHearAnswer(t *testing.T) {
	p := server(t)
	sound, text := prompt(t, "ss-noservice")
	all := events(t, p.post(t, "/v1/ai/chaining/chat", t.Name(), map[string]any{"audio": sound}))
	if len(all) < 4 || all[0].Type != "transcript" {
		t.Fatalf("%d events, first %+v", len(all), all[0])
	}
	if r := audiotest.Compare(text, all[0].words()); r.Rate() > 0.35 {
		t.Errorf("heard %q, said was %q: %v", all[0].words(), text, r)
	}
	var answer, spoken strings.Builder
	firstAudio, lastText := -1, -1
	var pcm []float32
	for i, ev := range all {
		switch ev.Type {
		case "text":
			answer.WriteString(ev.words())
			lastText = i
		case "audio":
			if firstAudio < 0 {
				firstAudio = i
			}
			spoken.WriteString(ev.Text + " ")
			b, err := base64.StdEncoding.DecodeString(ev.words())
			if err != nil {
				t.Fatal(err)
			}
			pcm = append(pcm, decodeSound(t, b)...)
		}
	}
	last := all[len(all)-1]
	if last.Type != "done" || last.Finish != "stop" && last.Finish != "length" || answer.Len() == 0 || firstAudio < 0 {
		t.Fatalf("answer %q, %d samples, ended %+v", answer.String(), len(pcm), last)
	}
	t.Logf("said %q, heard %q, answered %q; sound at event %d, last text at %d", text, all[0].words(), answer.String(), firstAudio, lastText)

	// What was spoken must be understood again.
	back := p.post(t, "/v1/ai/speech/speech-to-text", "", map[string]any{
		"audio": base64.StdEncoding.EncodeToString(wav.Encode(pcm, 24000)),
	})
	var heard struct {
		Text string `json:"text"`
	}
	if err := json.NewDecoder(back.Body).Decode(&heard); err != nil {
		t.Fatal(err)
	}
	r := audiotest.Compare(spoken.String(), heard.Text)
	t.Logf("spoken %q, heard back %q: %v", spoken.String(), heard.Text, r)
	if r.Rate() > 0.4 {
		t.Errorf("the answer is not understood: %v", r)
	}
}

func TestSilenceIsNoSpeech(t *testing.T) {
	p := server(t)
	for name, pcm := range map[string][]float32{
		"silence": make([]float32, 48000),
		"noise":   audiotest.Pink(0.02, 48000, 1),
	} {
		t.Run(name, func(t *testing.T) {
			sound := base64.StdEncoding.EncodeToString(wav.Encode(pcm, 16000))
			for _, path := range []string{"/v1/ai/chaining/chat", "/v1/ai/speech/speech-to-text"} {
				resp := p.post(t, path, "", map[string]any{"audio": sound})
				b, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(b), `"no_speech"`) {
					t.Errorf("%s: %d %s", path, resp.StatusCode, b)
				}
			}
		})
	}
}

// TestSpecificationExample runs the JavaScript of the specification, in Node.
func TestSpecificationExample(t *testing.T) {
	p := server(t)
	out, err := exec.CommandContext(t.Context(), "node", "testdata/example.mjs", p.base).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct {
		Text   string
		Played int
	}
	if err := json.Unmarshal(out, &got); err != nil || got.Text == "" || got.Played == 0 {
		t.Errorf("%v: %s", err, out)
	}
}
