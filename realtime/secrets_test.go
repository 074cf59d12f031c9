package realtime

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"brenda/pipeline/fault"
	"brenda/realtime/protocol"
)

// mint asks a server for a key.
func mint(t *testing.T, s *Server, beta bool, body string, header ...string) (map[string]any, error) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/realtime/client_secrets", strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	handle := s.ClientSecret
	if beta {
		handle = s.BetaSession
	}
	if err := handle(w, r); err != nil {
		return nil, err
	}
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("a key may be cached")
	}
	return out, nil
}

func TestClientSecret(t *testing.T) {
	h := newHouse(t, 10)
	out, err := mint(t, h.srv, false, `{"expires_after":{"anchor":"created_at","seconds":60},"session":{"type":"realtime",`+
		`"model":"gpt-realtime","instructions":"Sois brève.","audio":{"output":{"voice":"alloy","speed":0.3}},"tools":[{"type":"function","name":"f"}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := out["value"].(string)
	e := event{body: out}
	if !strings.HasPrefix(key, "ek_") || e.str("session", "model") != "qwen" || e.str("session", "instructions") != "Sois brève." {
		t.Errorf("got %v", out)
	}
	if at := int64(out["expires_at"].(float64)); at < time.Now().Unix()+50 || at > time.Now().Unix()+70 {
		t.Errorf("expires at %d", at)
	}
	for name, c := range map[string]struct {
		header    http.Header
		protocols []string
	}{
		"bearer":      {http.Header{"Authorization": {"Bearer " + key}}, nil},
		"subprotocol": {nil, []string{"realtime", "openai-insecure-api-key." + key}},
	} {
		created := until(t, h.dial(t, "?model=gpt-realtime", c.header, c.protocols...), "session.created")
		if created.str("session", "instructions") != "Sois brève." || created.str("session", "audio", "output", "voice") != "Elise" ||
			created.get("session", "audio", "output", "speed").(float64) != 0.5 || created.str("session", "tools", "name") != "f" {
			t.Errorf("%s: the session begins as %v", name, created.get("session"))
		}
		if strings.Contains(fmt.Sprint(created.body), key) {
			t.Errorf("%s: the key is shown", name)
		}
	}
	if _, err := mint(t, h.srv, false, "", "Authorization", "Bearer "+key); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("a key makes keys: %v", err)
	}
	never := http.Header{"Authorization": {"Bearer ek_" + strings.Repeat("a", 26)}}
	if _, res, err := websocket.Dial(t.Context(), h.url, &websocket.DialOptions{HTTPHeader: never}); err == nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a key that was never made opens: %v", err)
	}
}

func TestClientSecretOfATranscription(t *testing.T) {
	h := newHouse(t, 10)
	out, err := mint(t, h.srv, false, `{"session":{"type":"transcription","audio":{"input":{"transcription":{"language":"fr"}}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	conn := h.dial(t, "", http.Header{"Authorization": {"Bearer " + out["value"].(string)}})
	if e := until(t, conn, "session.created"); e.str("session", "type") != "transcription" ||
		e.str("session", "audio", "input", "transcription", "language") != "fr" {
		t.Errorf("got %v", e.body)
	}
}

func TestBetaSession(t *testing.T) {
	h := newHouse(t, 10)
	out, err := mint(t, h.srv, true, `{"model":"gpt-4o-realtime-preview","voice":"verse","modalities":["audio","text"],`+
		`"instructions":"Bref.","turn_detection":null,"client_secret":{"expires_after":{"seconds":10}}}`)
	if err != nil {
		t.Fatal(err)
	}
	e := event{body: out}
	key := e.str("client_secret", "value")
	if !h.srv.Opens(key) || out["voice"] != "Elise" || out["instructions"] != "Bref." || out["turn_detection"] != nil {
		t.Errorf("got %v", out)
	}
	conn := h.dial(t, "", http.Header{"Openai-Beta": {"realtime=v1"}}, "realtime", "openai-insecure-api-key."+key)
	if e := until(t, conn, "session.created"); e.str("session", "instructions") != "Bref." || e.get("session", "turn_detection") != nil {
		t.Errorf("got %v", e.body)
	}
}

func TestBadSecretRequests(t *testing.T) {
	h := newHouse(t, 10)
	for body, want := range map[string]string{
		`{`: "", `{"expires_after":{"seconds":9}}`: "expires_after.seconds", `{"expires_after":{"seconds":7201}}`: "expires_after.seconds",
		`{"session":{"type":"x"}}`: "session.type", `{"session":{"audio":{"output":{"speed":9}}}}`: "session.audio.output.speed",
		`{"session":{"model":"none-such"}}`: "session.model", `{"session":{"tool_choice":{"type":"function","name":"f"}}}`: "session.tool_choice",
	} {
		_, err := mint(t, h.srv, false, body)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Param != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	_, err := mint(t, h.srv, true, `{"voice":{}}`)
	if f := fault.As(err); f == nil || f.Param != "voice.id" {
		t.Errorf("beta: %+v", f)
	}
	if _, err := mint(t, h.srv, false, strings.Repeat(" ", maxSecretBody+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
}

// TestSecretsExpire: a key is valid until its moment, and there are never too many.
func TestSecretsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{cfg: Config{}}
		key, err := s.secrets.mint(protocol.SessionPatch{}, time.Now().Add(time.Minute))
		if err != nil || !s.Opens(key) || s.Opens(strings.ToUpper(key)) || s.Opens("") {
			t.Errorf("a fresh key: %v", err)
		}
		for range maxSecrets - 1 {
			if _, err := s.secrets.mint(protocol.SessionPatch{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.secrets.mint(protocol.SessionPatch{}, time.Now().Add(time.Hour)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("one too many: %v", err)
		}
		time.Sleep(time.Minute)
		if s.Opens(key) {
			t.Error("an expired key opens")
		}
		if _, err := s.secrets.mint(protocol.SessionPatch{}, time.Now().Add(time.Hour)); err != nil {
			t.Errorf("room again: %v", err)
		}
	})
}
