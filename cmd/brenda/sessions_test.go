package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/julienschmidt/httprouter"

	"brenda/pipeline/engine/natsstore"
	"brenda/pipeline/fault"
	"brenda/pipeline/session"
	"brenda/rest/httpx"
	"brenda/rest/sessions"
)

// TestSessionsCommands runs the commands on the files and, while a server holds them, through that server: the user must
// not see a difference.
func TestSessionsCommands(t *testing.T) {
	for _, served := range []bool{false, true} {
		env := &environment{config: &config{Data: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
		env.Tokens = []secret{"a token of the test"}
		store, err := natsstore.Open(storeConfig(env.config, env.log))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"premier", "deu.x"} {
			if _, err := store.Open(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if err := store.SetModel(t.Context(), id, "petit"); err != nil {
				t.Fatal(err)
			}
			turn := session.Turn{Number: 1, At: time.Now(), User: "Quelle heure est-il ?", Assistant: "Il est midi.", Cut: true}
			if err := store.Append(t.Context(), id, turn); err != nil {
				t.Fatal(err)
			}
		}
		if served {
			defer store.Close()
			env.Listen = serveSessions(t, store)
		} else if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		checkSessionsCommands(t, env)
	}
}

func checkSessionsCommands(t *testing.T, env *environment) {
	t.Helper()
	var out bytes.Buffer
	env.out = &out
	run := func(err error) string {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		text := out.String()
		out.Reset()
		return text
	}
	list := run((&sessionsListCmd{Limit: 10}).Run(t.Context(), env))
	if lines := strings.Split(strings.TrimSpace(list), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[1], "deu.x ") ||
		!strings.Contains(lines[2], "petit") {
		t.Errorf("list:\n%s", list)
	}
	var summaries []sessions.Summary
	text := run((&sessionsListCmd{Limit: 1, Offset: 1, JSON: true}).Run(t.Context(), env))
	if err := json.Unmarshal([]byte(text), &summaries); err != nil || len(summaries) != 1 || summaries[0].ID != "premier" ||
		summaries[0].Turns != 1 || summaries[0].LastAt.IsZero() {
		t.Errorf("list --json: %v\n%s", err, text)
	}
	if text = run((&sessionsShowCmd{ID: "premier"}).Run(t.Context(), env)); !strings.Contains(text, "Quelle heure") ||
		!strings.Contains(text, "Il est midi. […]") {
		t.Errorf("show:\n%s", text)
	}
	var rec session.Record
	text = run((&sessionsShowCmd{ID: "deu.x", JSON: true}).Run(t.Context(), env))
	if err := json.Unmarshal([]byte(text), &rec); err != nil || rec.ID != "deu.x" || len(rec.Turns) != 1 || !rec.Turns[0].Cut {
		t.Errorf("show --json: %v\n%s", err, text)
	}
	err := (&sessionsRmCmd{IDs: []string{"nobody", "deu.x", "premier"}}).Run(t.Context(), env)
	if f := fault.As(err); err == nil || f.Code != "session_not_found" {
		t.Errorf("rm: %v", err)
	}
	if text = run(nil); text != "removed deu.x\nremoved premier\n" {
		t.Errorf("rm:\n%s", text)
	}
	if text = run((&sessionsListCmd{Limit: 10}).Run(t.Context(), env)); text != "no conversations\n" {
		t.Errorf("empty list:\n%s", text)
	}
}

// serveSessions serves the routes of package sessions to who has the token, and returns the address.
func serveSessions(t *testing.T, store *natsstore.Store) string {
	t.Helper()
	s, rt := sessions.New(storeArchive{store}), httprouter.New()
	rt.Handler(http.MethodGet, "/v1/ai/sessions", httpx.Handler(s.List))
	rt.Handler(http.MethodGet, "/v1/ai/sessions/:id", httpx.Handler(s.Show))
	rt.Handler(http.MethodDelete, "/v1/ai/sessions/:id", httpx.Handler(s.Remove))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a token of the test" {
			httpx.Fail(w, r, fault.New(fault.Unauthorized, "token_missing", "send a token"))
			return
		}
		rt.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// TestSessionsStoreHeldByNoServer names both reasons: who holds the files, and that no server answers.
func TestSessionsStoreHeldByNoServer(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	env := &environment{config: &config{Data: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
	env.Listen = gone.Listener.Addr().String()
	gone.Close()
	store, err := natsstore.Open(storeConfig(env.config, env.log))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = (&sessionsListCmd{Limit: 10}).Run(t.Context(), env)
	if !errors.Is(err, natsstore.ErrInUse) || !strings.Contains(err.Error(), env.Listen) {
		t.Errorf("%v", err)
	}
}
