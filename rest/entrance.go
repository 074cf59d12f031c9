package rest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// entrance is what every request passes first and last: it gets its ids, a log line, and a net for panics.
type entrance struct {
	next  http.Handler
	watch Observer
	log   *slog.Logger
}

func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	rec := httpx.NewRecorder(w)
	info := &httpx.Info{Route: "none"}
	session, named := sessionID(r)
	info.RequestID, info.SessionID, info.Named = idOr(one(r, "X-Request-ID")), idOr(session), named
	info.Log = e.log.With("request_id", info.RequestID, "session", info.SessionID)
	r = r.WithContext(httpx.WithInfo(r.Context(), info))
	h := rec.Header()
	h.Set("X-Request-ID", info.RequestID)
	h.Set("X-Session-ID", info.SessionID)
	h.Add("Vary", "Origin")
	defer func() {
		p := recover()
		aborted := e.caught(rec, r, p)
		e.report(rec, r, info, time.Since(begin))
		if aborted {
			panic(http.ErrAbortHandler) // the server's way to cut a connection
		}
	}()
	e.next.ServeHTTP(rec, r)
}

// caught answers for a handler that panicked, and tells whether the connection must be cut.
func (e *entrance) caught(rec *httpx.Recorder, r *http.Request, p any) (abort bool) {
	if p == nil {
		return false
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	cause := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	err := fault.Wrap(cause, fault.Internal, "internal", "internal error")
	if rec.Started() {
		httpx.LogFault(r, err)
		return true
	}
	httpx.Fail(rec, r, err)
	return false
}

func (e *entrance) report(rec *httpx.Recorder, r *http.Request, info *httpx.Info, took time.Duration) {
	status := rec.Status()
	if r.Context().Err() != nil && !rec.Started() {
		status = httpx.StatusCancelled
	}
	level := slog.LevelInfo
	if info.Route == "/live" || info.Route == "/ready" {
		level = slog.LevelDebug // probes come every few seconds
	}
	info.Log.LogAttrs(r.Context(), level, "request",
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Int64("bytes", rec.Bytes()), slog.Duration("took", took), slog.String("remote", r.RemoteAddr))
	method := r.Method
	if info.Route == "none" {
		method = "none" // the metric's labels must stay few
	}
	e.watch.Request(info.Route, method, status, took)
}

// validID tells whether an id that a client sent can be used.
func validID(id string) bool {
	if len(id) < 1 || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// one returns the only value of a header, "" for an absent one, and what cannot be an id for one that came
// twice.
func one(r *http.Request, name string) string {
	values := r.Header.Values(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return strings.TrimSpace(values[0])
	}
	return strings.Join(values, ", ")
}

// sessionID returns the session that the client names, and whether it names one. A WebSocket of a browser,
// which cannot set headers, names it in the query.
func sessionID(r *http.Request) (id string, named bool) {
	id = one(r, "X-Session-ID")
	if query := r.URL.Query()["session_id"]; isUpgrade(r) && len(query) > 0 {
		if len(query) > 1 || id != "" && id != query[0] {
			return "two, names", true // not an id
		}
		id = query[0]
	}
	return id, id != ""
}

func isUpgrade(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// idOr returns id when it is a valid one, and a new one otherwise.
func idOr(id string) string {
	if validID(id) {
		return id
	}
	return uuid.Must(uuid.NewV7()).String() // fails only when the system has no randomness
}

// checkIDs returns the fault of ids that cannot be used.
func checkIDs(r *http.Request) error {
	if id, named := sessionID(r); named && !validID(id) {
		return badID("X-Session-ID")
	}
	if id := one(r, "X-Request-ID"); id != "" && !validID(id) {
		return badID("X-Request-ID")
	}
	return nil
}

func badID(name string) error {
	return fault.Field(name,
		"%s must be sent once and have 1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-'", name)
}
