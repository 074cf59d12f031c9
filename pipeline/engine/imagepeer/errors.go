package imagepeer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"brenda/pipeline/engine/peer"
	"brenda/pipeline/fault"
)

// errSilent ends a request whose server has not answered in time.
var errSilent = errors.New("no answer for too long")

// RefusedError is the answer of a server that does not want a request: any status but 2xx.
type RefusedError struct {
	Status int
	Text   string // the server's own words, for the log only: they may hold paths
}

// Error implements error.
func (r *RefusedError) Error() string {
	return fmt.Sprintf("image server: status %d: %s", r.Status, r.Text)
}

// StatusOf returns the status with which a server refused, 0 when err is something else.
func StatusOf(err error) int {
	if r, ok := errors.AsType[*RefusedError](err); ok {
		return r.Status
	}
	return 0
}

// refusal turns an answer other than 2xx into a fault.
func refusal(res *http.Response, body []byte) error {
	cause := &RefusedError{Status: res.StatusCode, Text: words(body)}
	wrap := func(kind fault.Kind, code, msg string) error {
		return &fault.Error{Kind: kind, Code: code, Msg: msg, Err: cause, RetryAfter: peer.RetryAfter(res.Header)}
	}
	switch s := res.StatusCode; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return wrap(fault.Internal, "image_unauthorized", "the image server refuses our key; check image.key")
	case s == http.StatusNotFound, s == http.StatusMethodNotAllowed, s < http.StatusBadRequest:
		return wrap(fault.Internal, "image_not_compatible",
			"what answers at image.url does not know this request; check image.url and image.kind")
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		return wrap(fault.Unavailable, "image_busy", "the image server is loading or full; try again")
	case s >= http.StatusInternalServerError:
		return Failed(cause)
	}
	return wrap(fault.Internal, "image_refused", "the image server refuses this request; see Brenda's log")
}

// words returns what a server says in its refusal, shortened.
func words(body []byte) string {
	const most = 500
	var said struct {
		Error   any `json:"error"`
		Message any `json:"message"`
		Detail  any `json:"detail"`
	}
	text := string(body)
	if json.Unmarshal(body, &said) == nil {
		text = fmt.Sprint(said.Error, " ", said.Message, " ", said.Detail)
	}
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// explain gives a failure of the network its kind. The end of the caller's context wins over what it broke.
func explain(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errSilent):
		return Silent(cause)
	case cause != nil:
		return cause
	case peer.Unreachable(err):
		return fault.Wrap(err, fault.Unavailable, "image_unreachable",
			"no image server answers; start the one that image.url names, or set image.url")
	}
	return fault.Wrap(err, fault.Internal, "engine_failed", "the image server broke off its answer; try again")
}

// Silent is the fault of a server that does not answer any more.
func Silent(err error) error {
	return fault.Wrap(err, fault.Internal, "engine_stalled", "the image server went silent; try again")
}

// Failed is the fault of a server that could not make the picture.
func Failed(err error) error {
	return fault.Wrap(err, fault.Internal, "engine_failed", "the image server failed; see its log")
}

// Broken is the fault of an answer that is not what the server's interface says.
func Broken(err error) error {
	return fault.Wrap(err, fault.Internal, "engine_failed",
		"the image server gave an answer that makes no sense; check image.url and image.kind")
}

// ErrNoPicture is the cause when an answer holds no picture.
var ErrNoPicture = errors.New("the answer holds no picture")

// Picture decodes a picture in base64, as a data URL or not.
func Picture(text string) ([]byte, error) {
	if strings.HasPrefix(text, "data:") {
		_, text, _ = strings.Cut(text, ",")
	}
	b, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return nil, Broken(err)
	case len(b) == 0:
		return nil, Broken(ErrNoPicture)
	}
	return b, nil
}
