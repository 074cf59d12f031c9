package sessions_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/julienschmidt/httprouter"

	"brenda/pipeline/fault"
	"brenda/pipeline/session"
	"brenda/rest/httpx"
	"brenda/rest/sessions"
)

// shelf is an archive in memory.
type shelf map[string]session.Record

func (s shelf) List(_ context.Context, offset, limit int) ([]sessions.Summary, error) {
	var list []sessions.Summary
	for id, rec := range s {
		list = append(list, sessions.Summary{ID: id, Created: rec.Created, Turns: len(rec.Turns)})
	}
	list = list[min(offset, len(list)):]
	return list[:min(limit, len(list))], nil
}

func (s shelf) Show(_ context.Context, id string) (session.Record, error) {
	rec, ok := s[id]
	if !ok {
		return rec, fault.New(fault.NotFound, "session_not_found", "there is no session %q", id)
	}
	return rec, nil
}

func (s shelf) Remove(ctx context.Context, id string) error {
	_, err := s.Show(ctx, id)
	delete(s, id)
	return err
}

func serve(a sessions.Archive) http.Handler {
	s, rt := sessions.New(a), httprouter.New()
	rt.Handler(http.MethodGet, "/v1/ai/sessions", httpx.Handler(s.List))
	rt.Handler(http.MethodGet, "/v1/ai/sessions/:id", httpx.Handler(s.Show))
	rt.Handler(http.MethodDelete, "/v1/ai/sessions/:id", httpx.Handler(s.Remove))
	return rt
}

func TestRoutes(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	rt := serve(shelf{"a.b": {ID: "a.b", Created: at, Turns: []session.Turn{{Number: 1, At: at, User: "Bonjour", Assistant: "Salut"}}}})
	for _, c := range []struct {
		method, path string
		status       int
		has          string
	}{
		{"GET", "/v1/ai/sessions", 200, `"sessions":[{"session_id":"a.b","created_at":"2026-11-23T08:00:00Z","turns":1}],"offset":0,"limit":100`},
		{"GET", "/v1/ai/sessions?offset=1&limit=5", 200, `"sessions":[],"offset":1,"limit":5`},
		{"GET", "/v1/ai/sessions?offset=-1", 400, `"param":"offset"`},
		{"GET", "/v1/ai/sessions?limit=0", 400, `"param":"limit"`},
		{"GET", "/v1/ai/sessions?limit=1001", 400, `"param":"limit"`},
		{"GET", "/v1/ai/sessions?limit=x", 400, `"param":"limit"`},
		{"GET", "/v1/ai/sessions/a.b", 200, `"turns":[{"turn":1,"at":"2026-11-23T08:00:00Z","user":"Bonjour","assistant":"Salut"}]`},
		{"GET", "/v1/ai/sessions/none", 404, `"code":"session_not_found"`},
		{"DELETE", "/v1/ai/sessions/a.b", 200, `"session_id":"a.b"`},
		{"DELETE", "/v1/ai/sessions/a.b", 404, `"code":"session_not_found"`},
		{"GET", "/v1/ai/sessions", 200, `"sessions":[]`},
	} {
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if body := w.Body.String(); w.Code != c.status || !strings.Contains(body, c.has) || !json.Valid([]byte(body)) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, body, c.status, c.has)
		}
	}
}

func TestStoreOutOfOrder(t *testing.T) {
	rt := serve(broken{})
	for _, m := range []string{"GET /v1/ai/sessions", "GET /v1/ai/sessions/a", "DELETE /v1/ai/sessions/a"} {
		method, path, _ := strings.Cut(m, " ")
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "/secret/path") {
			t.Errorf("%s: %d %v %s", m, w.Code, w.Header(), w.Body)
		}
	}
}

type broken struct{}

func (broken) err() error {
	return fault.Wrap(errors.New("open /secret/path"), fault.Unavailable, "history_unavailable", "later")
}
func (b broken) List(context.Context, int, int) ([]sessions.Summary, error) { return nil, b.err() }
func (b broken) Show(context.Context, string) (session.Record, error) {
	return session.Record{}, b.err()
}
func (b broken) Remove(context.Context, string) error { return b.err() }
