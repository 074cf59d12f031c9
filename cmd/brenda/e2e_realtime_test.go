package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
)

// caller is a client of the WebSocket.
type caller struct {
	conn *websocket.Conn
	mu   sync.Mutex // of writes
	got  []map[string]any
	at   []time.Time
}

// dial opens a WebSocket as a client of the hosted API does.
func dial(t *testing.T, p *program, session string, protocols ...string) *caller {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), strings.Replace(p.base, "http", "ws", 1)+"/v1/realtime?model=gpt-realtime",
		&websocket.DialOptions{HTTPHeader: http.Header{"X-Session-Id": {session}}, Subprotocols: protocols})
	if err != nil {
		t.Fatal(err, resp)
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &caller{conn: conn}
}

func (c *caller) send(t *testing.T, frame string) {
	t.Helper()
	if err := c.write(t.Context(), frame); err != nil {
		t.Fatal(err)
	}
}

func (c *caller) write(ctx context.Context, frame string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.Write(ctx, websocket.MessageText, []byte(frame))
}

// until reads events up to one of a kind, and returns it.
func (c *caller) until(t *testing.T, kind string) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		_, frame, err := c.conn.Read(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v, after %v", kind, err, c.kinds())
		}
		var ev map[string]any
		if err := json.Unmarshal(frame, &ev); err != nil {
			t.Fatal(err)
		}
		c.got, c.at = append(c.got, ev), append(c.at, time.Now())
		if ev["type"] == "error" && kind != "error" {
			t.Fatalf("error: %s", frame)
		}
		if ev["type"] == kind {
			return ev
		}
	}
}

func (c *caller) kinds() string {
	var out []string
	for _, ev := range c.got {
		if k, _ := ev["type"].(string); len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return strings.Join(out, " ")
}

// talk streams a sound at 24 kHz into the microphone as it would be spoken, and then silence until ctx ends.
func (c *caller) talk(ctx context.Context, pcm []float32) {
	const step = 480 // 20 ms
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		frame := make([]float32, step)
		pcm = pcm[copy(frame, pcm):]
		b := base64.StdEncoding.EncodeToString(audio.PCM16(frame))
		if c.write(ctx, `{"type":"input_audio_buffer.append","audio":"`+b+`"}`) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func recorded(t *testing.T, name string) (pcm []float32, text string) {
	t.Helper()
	sound, text := prompt(t, name)
	b, err := base64.StdEncoding.DecodeString(sound)
	if err != nil {
		t.Fatal(err)
	}
	return decodeSound(t, b), text
}

func TestTalk(t *testing.T) {
	p := server(t)
	c := dial(t, p, t.Name(), "realtime", "openai-insecure-api-key.none")
	if got := c.conn.Subprotocol(); got != "realtime" {
		t.Errorf("the subprotocol is %q", got)
	}
	c.until(t, "session.created")
	c.send(t, `{"type":"session.update","session":{"type":"realtime","audio":{"input":{"transcription":{"model":"gpt-4o-mini-transcribe"},`+
		`"turn_detection":{"type":"semantic_vad"}}}}}`)
	c.until(t, "session.updated")
	pcm, text := recorded(t, "ss-noservice")
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	go c.talk(ctx, append(make([]float32, 24000/2), pcm...))
	heard, _ := c.until(t, "conversation.item.input_audio_transcription.completed")["transcript"].(string)
	if r := audiotest.Compare(text, heard); r.Rate() > 0.35 {
		t.Errorf("heard %q, said was %q: %v", heard, text, r)
	}
	done := c.until(t, "response.done")["response"].(map[string]any)
	if done["status"] != "completed" {
		t.Fatalf("the response is %v", done)
	}
	var sound []byte
	var answer string
	for _, ev := range c.got {
		switch ev["type"] {
		case "response.output_audio.delta":
			b, err := base64.StdEncoding.DecodeString(ev["delta"].(string))
			if err != nil {
				t.Fatal(err)
			}
			sound = append(sound, b...)
		case "response.output_audio_transcript.done":
			answer = ev["transcript"].(string)
		}
	}
	t.Logf("said %q, heard %q, answered %q (%d ms), times %v\n%s", text, heard, answer, len(sound)/48, done["metadata"], c.kinds())
	back := p.post(t, "/v1/ai/speech/speech-to-text", "", map[string]any{
		"audio": base64.StdEncoding.EncodeToString(wav.Encode(audio.FloatsFromPCM16(nil, sound), 24000)),
	})
	var again struct {
		Text string `json:"text"`
	}
	if err := json.NewDecoder(back.Body).Decode(&again); err != nil {
		t.Fatal(err)
	}
	if again.Text == "" {
		t.Error("the answer's sound has no words")
	}

	// REST goes on with the same conversation.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/v1/ai/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Session-ID", t.Name())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var info struct{ Turns int }
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil {
		t.Fatal(err)
	}
	if info.Turns != 1 {
		t.Errorf("REST has %d turns of the conversation", info.Turns)
	}
	t.Logf("heard back %q", again.Text)
}

// TestInterrupt speaks over an answer: it ends at once, what was heard of it stays, and the new question is answered.
func TestInterrupt(t *testing.T) {
	p := server(t)
	c := dial(t, p, t.Name())
	c.until(t, "session.created")
	c.send(t, `{"type":"session.update","session":{"type":"realtime","audio":{"input":{"transcription":{"model":"whisper-1"}}}}}`)
	c.until(t, "session.updated")
	c.send(t, `{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text",`+
		`"text":"Raconte une très longue histoire avec beaucoup de phrases."}]}}`)
	c.send(t, `{"type":"response.create"}`)
	c.until(t, "response.output_audio.delta")
	pcm, _ := recorded(t, "ss-noservice")
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	begin := time.Now()
	go c.talk(ctx, append(make([]float32, 24000/2), pcm...))
	done := c.until(t, "response.done")["response"].(map[string]any)
	how, _ := done["status_details"].(map[string]any)
	if done["status"] != "cancelled" || how["reason"] != "turn_detected" {
		t.Fatalf("the answer is %v, %v", done["status"], how)
	}
	t.Logf("cut %v after the microphone, which has half a second of silence first; heard was %v", time.Since(begin), done["output"])
	c.until(t, "input_audio_buffer.speech_started")
	c.until(t, "conversation.item.input_audio_transcription.completed")
	if done := c.until(t, "response.done")["response"].(map[string]any); done["status"] != "completed" {
		t.Fatalf("the second answer is %v", done)
	}
}
