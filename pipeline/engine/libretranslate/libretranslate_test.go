package libretranslate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
)

// peer is a server that answers as LibreTranslate's documentation says, and translates into capitals.
type peer struct {
	t     *testing.T
	lists int // how often it was asked for its languages
	block chan struct{}
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /languages":
		p.lists++
		_, _ = w.Write([]byte(`[{"code":"en","name":"English","targets":["en","fr"]},{"code":"fr","name":"French"},{"code":"zh-Hans","name":"Chinese","targets":[]}]`))
	case "POST /translate":
		p.translate(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *peer) translate(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Q, Source, Target, Format string
		Key                       string `json:"api_key"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Format != "text" || q.Source != "fr" || q.Target != "en" {
		p.t.Errorf("it was asked %+v, %v", q, err)
	}
	switch {
	case q.Q == "attends":
		<-p.block
	case q.Key != "clé":
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":"Invalid API key clé"}`))
	case q.Q == "trop":
		w.WriteHeader(http.StatusTooManyRequests)
	case q.Q == "page":
		_, _ = w.Write([]byte(`<html>`))
	case q.Q == "vide":
		_, _ = w.Write([]byte(`{}`))
	case q.Q == "ailleurs":
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"translatedText": strings.ToUpper(q.Q) + "\n"})
	}
}

func start(t *testing.T, key string) (*Engine, *peer) {
	t.Helper()
	p := &peer{t: t, block: make(chan struct{})}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(p.block) })
	e := New(Config{URL: srv.URL + "/", Key: key})
	t.Cleanup(func() { _ = e.Close() })
	return e, p
}

var frEn = translation.Way{From: "fr", To: "en"}

func TestTranslate(t *testing.T) {
	e, p := start(t, "clé")
	mark := translation.Mark(translation.Word, 2)
	if got, err := e.Translate(t.Context(), frEn, "le chat "+mark+" dort"); err != nil || got != "LE CHAT "+mark+" DORT" {
		t.Errorf("%q, %v", got, err)
	}
	for _, piece := range []string{"un " + translation.Mark(translation.Gap, 0) + " deux", "QWX1Z"} {
		if _, err := e.Translate(t.Context(), frEn, piece); !errors.Is(err, translation.ErrMarks) {
			t.Errorf("%q: %v", piece, err)
		}
	}
	for piece, want := range map[string]fault.Kind{
		"trop": fault.Unavailable, "page": fault.Upstream, "vide": fault.Upstream, "ailleurs": fault.Upstream,
	} {
		if _, err := e.Translate(t.Context(), frEn, piece); fault.KindOf(err) != want {
			t.Errorf("%s: %v", piece, err)
		}
	}
	for range 2 {
		ways, err := e.Ways(t.Context())
		if err != nil || len(ways) != 3 || ways[0].From != "fr" || ways[0].To != "en" || ways[2].From != "en" && ways[1].From != "en" {
			t.Errorf("%v, %v", ways, err)
		}
	}
	if p.lists != 1 {
		t.Errorf("the languages were asked for %d times", p.lists)
	}
}

func TestFailures(t *testing.T) {
	e, _ := start(t, "faux")
	_, err := e.Translate(t.Context(), frEn, "le chat")
	if f := fault.As(err); f.Kind != fault.Upstream || strings.Contains(f.Msg, "clé") || !strings.Contains(f.Msg, "translate.key") {
		t.Errorf("a wrong key: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrStopped)
	if _, err := e.Translate(ctx, frEn, "attends"); !errors.Is(err, fault.ErrStopped) {
		t.Errorf("a stopped request: %v", err)
	}
	e.cfg.Timeout = 50 * time.Millisecond
	if _, err := e.Translate(t.Context(), frEn, "attends"); fault.KindOf(err) != fault.Timeout {
		t.Errorf("a slow server: %v", err)
	}
	gone := New(Config{URL: "http://127.0.0.1:1"})
	if _, err := gone.Ways(t.Context()); fault.KindOf(err) != fault.Upstream {
		t.Errorf("no server: %v", err)
	}
}
