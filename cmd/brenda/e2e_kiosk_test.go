package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"brenda/audio"
	"brenda/audio/audiotest"
)

// flaky is a line that is cut once, after so many bytes of the server's have come through.
type flaky struct {
	ln    net.Listener
	to    string
	after int64

	mu  sync.Mutex
	cut bool
}

func newFlaky(t *testing.T, to string, after int64) *flaky {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{ln: ln, to: strings.TrimPrefix(to, "http://"), after: after}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go f.carry(conn)
		}
	}()
	return f
}

func (f *flaky) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(server, client)
	f.mu.Lock()
	limit := int64(1 << 40)
	if !f.cut {
		limit, f.cut = f.after, true
	}
	f.mu.Unlock()
	io.CopyN(client, server, limit)
}

// TestKiosk has the reference client ask with a recorded human voice, over a line that drops in the midst of the answer.
func TestKiosk(t *testing.T) {
	p := server(t)
	dir := t.TempDir()
	program, mic, out := filepath.Join(dir, "kiosk"), filepath.Join(dir, "mic.wav"), filepath.Join(dir, "out.wav")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if b, err := exec.CommandContext(ctx, "go", "build", "-o", program, "brenda/cmd/kiosk").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	sound, text := prompt(t, "ss-noservice")
	b, err := base64.StdEncoding.DecodeString(sound)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mic, b, 0o600); err != nil {
		t.Fatal(err)
	}
	line := newFlaky(t, p.base, 50_000) // the events before the answer are 10 KB, a second of it is 48
	kiosk := exec.CommandContext(ctx, program, "-url", "ws://"+line.ln.Addr().String()+"/v1/realtime", "-mic", mic,
		"-speaker", out, "-answers", "1")
	captions, err := kiosk.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, captions, p.log)
	}
	var heard, said string
	lines := 0
	for l := range strings.Lines(string(captions)) {
		if s, ok := strings.CutPrefix(l, "> "); ok {
			heard = s
		}
		if s, ok := strings.CutPrefix(l, "< "); ok {
			said = s
		}
		lines += strings.Count(l, "[on the line]")
	}
	if r := audiotest.Compare(text, heard); r.Rate() > 0.35 {
		t.Errorf("heard %q, said was %q: %v", heard, text, r)
	}
	if lines != 2 || strings.Contains(string(captions), "[error") {
		t.Errorf("the kiosk was on %d lines:\n%s", lines, captions)
	}
	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	src, err := audio.Open(bytes.NewReader(file), int64(len(file)), 24000)
	if err != nil {
		t.Fatal(err)
	}
	pcm, err := audio.ReadAll(src)
	if err != nil {
		t.Fatal(err)
	}
	loud := 0
	for at := 0; at+480 <= len(pcm); at += 480 {
		if audio.RMS(pcm[at:at+480]) > 0.005 {
			loud++
		}
	}
	back := p.post(t, "/v1/ai/speech/speech-to-text", "", map[string]any{"audio": base64.StdEncoding.EncodeToString(file)})
	var again struct{ Text string }
	if err := json.NewDecoder(back.Body).Decode(&again); err != nil {
		t.Fatal(err)
	}
	t.Logf("heard %q, answered %q, played %d ms of speech: %q\n%s", heard, said, loud*20, again.Text, captions)
	if r := audiotest.Compare(said, again.Text); r.Rate() > 0.5 {
		t.Errorf("what was played is %q, the answer %q: %v", again.Text, said, r)
	}
}
