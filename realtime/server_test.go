package realtime

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/session"
	"brenda/realtime/protocol"
	"brenda/rest/httpx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a server on a real socket, with scripted engines.
type house struct {
	*httptest.Server
	srv *Server
	url string
}

func newHouse(t *testing.T, sessions int) *house {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	hub := session.New(session.Config{MaxSessions: 500, Idle: time.Hour, ContextTokens: 2000, MaxTokens: 100},
		pipeline.Engines{}, &memory{recs: map[string]session.Record{}}, watcher{}, log)
	llm := &slowWriter{answer: func(pipeline.Prompt) (string, error) { return "Bonjour à vous.", nil }}
	names := protocol.Names{Model: "qwen", Models: []string{"qwen"}, Transcriber: "base", Voice: "Elise"}
	s := New(Config{
		Names: func(context.Context) protocol.Names { return names }, Language: "fr",
		ContextTokens: 2000, MaxTokens: 100, Sessions: sessions,
	}, Engines{VAD: loudVAD{}, Ear: &loudEar{words: []string{"Bonjour"}}, LLM: llm, Voice: evenVoice{}}, hub, log)
	handler := httpx.Handler(s.Handle)
	h := &house{srv: s}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := &httpx.Info{SessionID: protocol.NewID("me"), Log: log}
		handler.ServeHTTP(httpx.NewRecorder(w), r.WithContext(httpx.WithInfo(r.Context(), info)))
	}))
	h.url = strings.Replace(h.URL, "http", "ws", 1) + "/v1/realtime"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		s.Close(ctx)
		hub.Close(ctx)
		h.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

func (h *house) dial(t *testing.T, query string, header http.Header, protocols ...string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), h.url+query, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// until reads up to an event of a kind.
func until(t *testing.T, conn *websocket.Conn, kind string) event {
	t.Helper()
	for {
		_, frame, err := conn.Read(t.Context())
		if err != nil {
			t.Fatalf("waiting for %s: %v", kind, err)
		}
		e := event{}
		if err := json.Unmarshal(frame, &e.body); err != nil {
			t.Fatal(err)
		}
		if e.kind = e.str("type"); e.kind == kind {
			return e
		}
	}
}

func write(t *testing.T, conn *websocket.Conn, frame string) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		t.Fatal(err)
	}
}

func TestHandshake(t *testing.T) {
	h := newHouse(t, 10)
	beta := http.Header{"Openai-Beta": {"realtime=v1"}}
	for _, c := range []struct {
		query     string
		header    http.Header
		protocols []string
		chosen    string
		beta      bool
	}{
		{"?model=gpt-realtime", nil, nil, "", false},
		{"", nil, []string{"realtime", "openai-insecure-api-key.sk-1"}, "realtime", false},
		{"", nil, []string{"openai-insecure-api-key.sk-1", "openai-agents-sdk.1", "realtime"}, "realtime", false},
		{"", nil, []string{"realtime", "openai-insecure-api-key.sk-1", "openai-beta.realtime-v1"}, "realtime", true},
		{"?model=qwen", beta, nil, "", true},
	} {
		conn := h.dial(t, c.query, c.header, c.protocols...)
		if got := conn.Subprotocol(); got != c.chosen {
			t.Errorf("%v: the server chose %q", c.protocols, got)
		}
		e := until(t, conn, "session.created")
		if _, isBeta := e.get("session", "modalities").([]any); isBeta != c.beta || e.str("session", "model") != "qwen" {
			t.Errorf("%v: got %v", c.protocols, e.body)
		}
		conn.Close(websocket.StatusNormalClosure, "")
	}
	for query, status := range map[string]int{"?model=nobody": 404, "?call_id=1": 400} {
		_, resp, err := websocket.Dial(t.Context(), h.url+query, nil)
		if err == nil || resp == nil || resp.StatusCode != status {
			t.Errorf("%s: %v, %v", query, resp, err)
		}
	}
}

func TestBetaTurn(t *testing.T) {
	h := newHouse(t, 1)
	conn := h.dial(t, "", http.Header{"Openai-Beta": {"realtime=v1"}})
	until(t, conn, "session.created")
	write(t, conn, `{"type":"session.update","session":{"modalities":["text","audio"],"voice":"alloy","output_audio_format":"g711_ulaw"}}`)
	until(t, conn, "session.updated")
	write(t, conn, `{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}}`)
	until(t, conn, "conversation.item.created")
	write(t, conn, `{"type":"response.create"}`)
	until(t, conn, "response.audio.delta")
	until(t, conn, "response.audio_transcript.done")
	if e := until(t, conn, "response.done"); e.str("response", "status") != "completed" {
		t.Errorf("got %v", e.body)
	}
}

func TestBadFrames(t *testing.T) {
	h := newHouse(t, 10)
	for name, c := range map[string]struct {
		kind  websocket.MessageType
		frame []byte
		code  websocket.StatusCode
	}{
		"not UTF-8": {websocket.MessageText, []byte("{\"type\":\"\xff\"}"), websocket.StatusInvalidFramePayloadData},
		"too big":   {websocket.MessageText, make([]byte, maxFrame+1), websocket.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			conn := h.dial(t, "", nil)
			until(t, conn, "session.created")
			_ = conn.Write(t.Context(), c.kind, c.frame)
			_, _, err := conn.Read(t.Context())
			if got := websocket.CloseStatus(err); got != c.code {
				t.Errorf("closed with %v, %v", got, err)
			}
		})
	}
}

func TestAdmission(t *testing.T) {
	h := newHouse(t, 1)
	conn := h.dial(t, "", nil)
	until(t, conn, "session.created")
	_, resp, err := websocket.Dial(t.Context(), h.url, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v, %v", resp, err)
	}
	conn.Close(websocket.StatusNormalClosure, "")
	for h.srv.Calls() > 0 {
		time.Sleep(time.Millisecond)
	}
	until(t, h.dial(t, "", nil), "session.created")
}

// TestDraining has the server end while it answers: the answer is finished, and then the client is told to come again.
func TestDraining(t *testing.T) {
	h := newHouse(t, 1)
	conn := h.dial(t, "", nil)
	until(t, conn, "session.created")
	write(t, conn, `{"type":"response.create"}`)
	until(t, conn, "response.created")
	over := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() { h.srv.Close(ctx); close(over) }()
	if e := until(t, conn, "response.done"); e.str("response", "status") != "completed" {
		t.Errorf("got %v", e.body)
	}
	for {
		if _, _, err := conn.Read(t.Context()); err != nil {
			if got := websocket.CloseStatus(err); got != websocket.StatusServiceRestart {
				t.Errorf("closed with %v", err)
			}
			break
		}
	}
	<-over
	if _, _, err := websocket.Dial(t.Context(), h.url, nil); err == nil {
		t.Error("a closed server took a call")
	}
}

// TestDrops has clients come and vanish at any moment; goleak sees what they leave behind.
func TestDrops(t *testing.T) {
	h := newHouse(t, 300)
	mic := `{"type":"input_audio_buffer.append","audio":"` + base64.StdEncoding.EncodeToString(make([]byte, 9600)) + `"}`
	frames := []string{
		`{"type":"response.create"}`, `{"type":"response.create","response":{"conversation":"none"}}`, mic, mic,
		`{"type":"input_audio_buffer.commit"}`, `{"type":"response.cancel"}`, `{`,
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(1500))*time.Millisecond)
			defer cancel()
			conn, _, err := websocket.Dial(ctx, h.url, nil)
			if err != nil {
				return // it vanished before it was connected
			}
			defer conn.CloseNow()
			go func() {
				for ctx.Err() == nil {
					if conn.Write(ctx, websocket.MessageText, []byte(frames[r.IntN(len(frames))])) != nil {
						return
					}
				}
			}()
			for {
				if _, _, err := conn.Read(ctx); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	h.srv.Close(ctx)
	if n := h.srv.Calls(); n != 0 || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("%d calls are left", n)
	}
}
