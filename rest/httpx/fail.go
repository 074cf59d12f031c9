package httpx

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"brenda/pipeline/fault"
)

// StatusCancelled is the status, for the log above all, of a request whose client went away or whose work was
// stopped.
const StatusCancelled = 499

// defaultRetry is the Retry-After of an error that names none.
const defaultRetry = 5 * time.Second

// Status returns the HTTP status of an error's kind.
func Status(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.BadRange:
		return http.StatusRequestedRangeNotSatisfiable
	case fault.Misdirected:
		return http.StatusMisdirectedRequest
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Upstream:
		return http.StatusBadGateway
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Timeout:
		return http.StatusGatewayTimeout
	case fault.Cancelled:
		return StatusCancelled
	case fault.Internal:
	}
	return http.StatusInternalServerError
}

// word is the code of an error that has none of its own.
func word(k fault.Kind) string {
	switch k {
	case fault.Invalid:
		return "invalid_request"
	case fault.Unauthorized:
		return "unauthorized"
	case fault.Forbidden:
		return "forbidden"
	case fault.NotFound:
		return "not_found"
	case fault.Conflict:
		return "conflict"
	case fault.TooLarge:
		return "too_large"
	case fault.Unsupported:
		return "unsupported_media"
	case fault.BadRange:
		return "bad_range"
	case fault.Misdirected:
		return "misdirected"
	case fault.RateLimited:
		return "rate_limited"
	case fault.Upstream:
		return "upstream_failed"
	case fault.Unavailable:
		return "unavailable"
	case fault.Timeout:
		return "upstream_timeout"
	case fault.Cancelled:
		return "cancelled"
	case fault.Internal:
	}
	return "internal"
}

// Problem is the body of an error, as the client sees it.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

// Describe returns what the client may know about err.
func Describe(err error) Problem {
	f := fault.As(err)
	code := f.Code
	if code == "" {
		code = word(f.Kind)
	}
	return Problem{Code: code, Message: f.Msg, Param: f.Param}
}

// Fail answers with an error. Faults of ours are logged with their cause, which the client does not see. When
// the answer has begun already the connection is cut instead.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.As(err)
	LogFault(r, f)
	if rec, ok := w.(*Recorder); ok && rec.Started() {
		if rec.Hijacked() {
			return
		}
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for _, name := range []string{
		"Content-Length", "Content-Disposition", "Content-Encoding", "Etag", "Last-Modified",
	} {
		h.Del(name) // meant for the answer that did not come about
	}
	h.Set("Cache-Control", "no-store")
	switch f.Kind {
	case fault.Unavailable, fault.RateLimited:
		h.Set("Retry-After", strconv.Itoa(retrySeconds(f.RetryAfter)))
	case fault.Unauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="brenda"`)
	case fault.TooLarge:
		h.Set("Connection", "close")
	default:
	}
	body := struct {
		Error Problem `json:"error"`
	}{Describe(err)}
	if werr := Write(w, Status(f.Kind), body); werr != nil {
		InfoOf(r).Log.ErrorContext(r.Context(), "error not written", "error", werr)
	}
}

// LogFault logs an error that is the server's own fault, with its cause. Others are in the access line.
func LogFault(r *http.Request, err error) {
	f := fault.As(err)
	if f == nil || Status(f.Kind) < 500 {
		return
	}
	if r.Context().Err() != nil && errors.Is(err, r.Context().Err()) {
		return // the client left, or the time was up: the access line says it
	}
	InfoOf(r).Log.ErrorContext(r.Context(), "request failed", "code", Describe(err).Code, "error", err)
}

func retrySeconds(d time.Duration) int {
	if d <= 0 {
		d = defaultRetry
	}
	return int(math.Ceil(d.Seconds()))
}
