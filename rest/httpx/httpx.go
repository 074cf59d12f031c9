// Package httpx is what every REST handler stands on: handlers that return an error, JSON bodies in and out,
// big base64 fields read as a stream, server-sent events.
//
// A [Handler] returns a [fault.Error] and httpx makes the status and the body of it, once and in one place.
package httpx

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"
)

// writeTimeout is how long one write to a client may take before the client counts as gone.
const writeTimeout = 30 * time.Second

// Handler answers a request, or returns why it could not. After it has written anything itself, an error cuts
// the connection, so that the client sees that the answer is not whole.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP makes a Handler an [http.Handler].
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		Fail(w, r, err)
	}
}

// Info is what the server knows about a request besides its content.
type Info struct {
	RequestID string
	SessionID string
	Named     bool // the client sent the session's id itself; else it was made for this request
	Route     string
	Log       *slog.Logger
}

type infoKey struct{}

// WithInfo attaches info to ctx.
func WithInfo(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, infoKey{}, info)
}

// InfoOf returns what the server knows about r. Outside the server's middleware it is nearly empty, never
// nil.
func InfoOf(r *http.Request) *Info {
	if info, ok := r.Context().Value(infoKey{}).(*Info); ok {
		return info
	}
	return &Info{Log: slog.Default()}
}

// Write answers with v as JSON.
func Write(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(2 * writeTimeout)) // not every writer has one
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that went away needs no answer
	return nil
}
