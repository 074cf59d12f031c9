package libretranslate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
)

// server answers as LibreTranslate 1.9 does (libretranslate/app.py): the same checks in the same order, the same bodies of
// errors. It translates into capitals.
type server struct {
	key       string // the one key there is; empty: none is needed
	must      bool   // a key must be sent
	charLimit int
	targets   map[string][]string
	lists     int // how often it was asked for its languages
	asked     []string
	block     chan struct{}
}

func (p *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /languages":
		p.lists++
		var list []map[string]any
		for _, code := range []string{"en", "fr", "pt-BR", "pt", "zh-Hans", "zh-Hant"} {
			list = append(list, map[string]any{"code": code, "name": "Language", "targets": p.targets[code]})
		}
		_ = json.NewEncoder(w).Encode(list)
	case "POST /translate":
		status, answer := p.translate(r)
		if status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", "http://127.0.0.1:1/")
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "7") // as a proxy before it may
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	default:
		http.NotFound(w, r)
	}
}

func refusal(status int, format string, args ...any) (int, string) {
	raw, _ := json.Marshal(map[string]string{"error": fmt.Sprintf(format, args...)})
	return status, string(raw)
}

func (p *server) translate(r *http.Request) (status int, answer string) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return refusal(400, "Invalid request: missing q parameter") // which it looks for in a form
	}
	var q struct {
		Q, Source, Target, Format string
		Alternatives              int
		Key                       *string `json:"api_key"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return refusal(400, "Invalid JSON format")
	}
	p.asked = append(p.asked, q.Q)
	switch {
	case q.Q == "banni":
		return refusal(403, "Too many request limits violations")
	case q.Key != nil && *q.Key != p.key:
		return refusal(403, "Invalid API key")
	case q.Key == nil && p.must:
		return refusal(400, "Visit https://portal.example to get an API key")
	case q.Q == "trop":
		return refusal(429, "Slowdown: 10 per 1 minute")
	case q.Q == "":
		return refusal(400, "Invalid request: missing q parameter")
	case p.charLimit > 0 && utf8.RuneCountInString(q.Q) > p.charLimit:
		return refusal(400, "Invalid request: request (%d) exceeds text limit (%d)", len(q.Q), p.charLimit)
	case p.targets[q.Source] == nil:
		return refusal(400, "%s is not supported", q.Source)
	case !slices.Contains(p.targets[q.Source], q.Target):
		return refusal(400, "%s is not available as a target language from %s", q.Target, q.Source)
	case q.Format != "" && q.Format != "text" && q.Format != "html":
		return refusal(400, "%s format is not supported", q.Format)
	case q.Q == "attends":
		<-p.block
	case q.Q == "panne":
		return refusal(500, "Cannot translate text: out of memory")
	case q.Q == "page":
		return 200, "<html>"
	case q.Q == "vide":
		return 200, "{}"
	case q.Q == "ailleurs":
		return http.StatusTemporaryRedirect, ""
	}
	raw, _ := json.Marshal(map[string]string{"translatedText": strings.ToUpper(q.Q)})
	return 200, string(raw)
}

func start(t *testing.T, p *server, key string) *Engine {
	t.Helper()
	p.block = make(chan struct{})
	p.targets = map[string][]string{
		"en": {"en", "fr"}, "fr": {"en", "fr", "pt-BR", "zh-Hans", "zh-Hant"}, "zh-Hans": {}, "zh-Hant": {"fr"}, "pt": {"en"}, "pt-BR": {"en"},
	}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(p.block) })
	e := New(Config{URL: srv.URL + "/", Key: key})
	t.Cleanup(func() { _ = e.Close() })
	return e
}

var frEn = translation.Way{From: "fr", To: "en"}

func TestTranslate(t *testing.T) {
	p := &server{}
	e := start(t, p, "")
	mark := translation.Mark(translation.Word, 2)
	if got, err := e.Translate(t.Context(), frEn, "le chat "+mark+" dort"); err != nil || got != "LE CHAT "+mark+" DORT" {
		t.Errorf("%q, %v", got, err)
	}
	for _, piece := range []string{"un " + translation.Mark(translation.Gap, 0) + " deux", "QWX1Z"} {
		if _, err := e.Translate(t.Context(), frEn, piece); !errors.Is(err, translation.ErrMarks) {
			t.Errorf("%q: %v", piece, err)
		}
	}
	for range 2 {
		ways, err := e.Ways(t.Context())
		if err != nil || fmt.Sprint(ways) != "[{fr en []} {fr zh []} {en fr []} {pt en []}]" {
			t.Errorf("%v, %v", ways, err)
		}
	}
	if got, err := e.Translate(t.Context(), translation.Way{From: "fr", To: "zh"}, "chat"); err != nil || got != "CHAT" {
		t.Errorf("%q, %v", got, err)
	}
	if p.lists != 1 {
		t.Errorf("the languages were asked for %d times", p.lists)
	}
}

// TestOldServers: those of before 1.4 name no targets, which are all.
func TestOldServers(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"code":"en","name":"English"},{"code":"fr","name":"French"}]`))
	}))
	t.Cleanup(srv.Close)
	e := New(Config{URL: srv.URL})
	t.Cleanup(func() { _ = e.Close() })
	if ways, err := e.Ways(t.Context()); err != nil || len(ways) != 2 {
		t.Errorf("%v, %v", ways, err)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		must      bool
		has, want string
	}{{false, "", ""}, {true, "clé", ""}, {true, "", "translate.key"}, {true, "faux", "translate.key"}, {false, "faux", "translate.key"}} {
		_, err := start(t, &server{key: "clé", must: c.must}, c.has).Translate(t.Context(), frEn, "le chat")
		switch f := fault.As(err); {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.want != "" && (f == nil || f.Kind != fault.Upstream || !strings.Contains(f.Msg, c.want) || strings.Contains(f.Msg, "portal")):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestFailures(t *testing.T) {
	e := start(t, &server{charLimit: 2000}, "")
	for piece, want := range map[string]fault.Kind{
		"trop": fault.Unavailable, "page": fault.Upstream, "vide": fault.Upstream, "ailleurs": fault.Upstream,
		"panne": fault.Upstream, "banni": fault.Upstream, strings.Repeat("a", 2001): fault.Upstream,
	} {
		_, err := e.Translate(t.Context(), frEn, piece)
		f := fault.As(err)
		if f == nil || f.Kind != want || strings.Contains(f.Msg, "memory") {
			t.Errorf("%.20s: %v", piece, err)
		}
		if f != nil && f.Kind == fault.Unavailable && f.RetryAfter != 7*time.Second {
			t.Errorf("%s: again after %v", piece, f.RetryAfter)
		}
	}
	if Piece > 2000 {
		t.Error("pieces are longer than the public server takes")
	}
	_, err := e.Translate(t.Context(), translation.Way{From: "fr", To: "de"}, "le chat")
	if f := fault.As(err); f.Kind != fault.Upstream || !strings.Contains(f.Error(), "not available") {
		t.Errorf("a pair that is not there: %v", err)
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
