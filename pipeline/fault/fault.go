// Package fault is the one error type that crosses Brenda's layers.
//
// An [Error] splits what a client may read (Code, Msg, Param) from what only the log sees (Err). The transports map its
// Kind once: rest/httpx to a status, realtime/protocol to an error event or a close code. Anything else is Internal, and
// its text is hidden.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind groups errors by what the caller can do about them.
type Kind int

// The kinds, with the HTTP status that rest/httpx gives them.
const (
	Internal     Kind = iota // 500: our fault or an engine's
	Invalid                  // 400: the caller's input is wrong
	Unauthorized             // 401: no token, or a wrong one
	Forbidden                // 403: outside what is allowed
	NotFound                 // 404: no such thing
	Conflict                 // 409: it exists already
	TooLarge                 // 413: over a limit of size
	Unsupported              // 415: not a supported image or audio format
	BadRange                 // 416: the range asked for does not exist
	Misdirected              // 421: a Host this server does not answer for
	RateLimited              // 429: this client asks too often
	Upstream                 // 502: a server we had to ask failed
	Unavailable              // 503: an engine is missing, loading or full
	Timeout                  // 504: a server we had to ask was too slow
	Cancelled                // 499 in logs: the caller went away or was interrupted
)

// Error is an error with a text that is safe to show to the client.
type Error struct {
	Kind       Kind
	Code       string        // stable lower-case word, e.g. "no_speech"; empty means the kind's own word
	Msg        string        // what went wrong and what to do about it; holds no path and no secret
	Param      string        // the field to blame, if one is
	RetryAfter time.Duration // for Unavailable and RateLimited; 0 means a default
	Err        error         // the cause, for the log only
}

// Error returns the text for the log: message and cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of this kind whose message the client may read.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Msg: fmt.Sprintf(format, args...)}
}

// Field returns an Invalid error that blames one field of the request.
func Field(param, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Code: "invalid_request", Param: param, Msg: fmt.Sprintf(format, args...)}
}

// Wrap gives a cause a kind and a message for the client. It returns nil for a nil cause.
func Wrap(err error, kind Kind, code, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Code: code, Msg: fmt.Sprintf(format, args...), Err: err}
}

// As returns err as an [*Error]: itself when it holds one, Cancelled for a context's end, Internal otherwise.
func As(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, ErrBargeIn), errors.Is(err, ErrSuperseded),
		errors.Is(err, ErrStopped), errors.Is(err, ErrDraining), errors.Is(err, ErrPreempted):
		return &Error{Kind: Cancelled, Code: "cancelled", Msg: "the request was cancelled", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Unavailable, Code: "timeout", Msg: "the server took too long; try again", Err: err}
	}
	return &Error{Kind: Internal, Code: "internal", Msg: "internal error", Err: err}
}

// KindOf returns the kind of err, Internal for an error of no kind.
func KindOf(err error) Kind { return As(err).Kind }

// Why a turn was ended before its time, used as the cause of its context. None of them is a failure.
var (
	ErrBargeIn    = errors.New("the person spoke")
	ErrSuperseded = errors.New("a newer turn took over")
	ErrStopped    = errors.New("stopped by request")
	ErrDraining   = errors.New("the server is shutting down")
	ErrPreempted  = errors.New("more urgent work needs the machine")
)

// Blame names the field that a fault is about, unless it names one itself. Other errors stay as they are.
func Blame(err error, param string) error {
	f, ok := errors.AsType[*Error](err)
	if !ok || f.Param != "" {
		return err
	}
	copied := *f
	copied.Param = param
	return &copied
}
