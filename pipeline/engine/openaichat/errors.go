package openaichat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"brenda/pipeline/engine/peer"
	"brenda/pipeline/fault"
)

// Texts by which servers say that a prompt is too long, in lower case: llama.cpp, OpenAI, vLLM (two
// generations), Ollama, SGLang, TGI, LM Studio.
func saysTooLong(text string) bool {
	for _, mark := range []string{
		"exceed_context_size", "exceeds the available context size", "context_length_exceeded",
		"maximum context length", "maximum model length", "exceeds the context length",
		"exceeds maximum context length", "longer than the model's context length", "max_new_tokens` must be",
		"greater than the context length", "prompt is too long", "exceeds context window", "context the overflows",
	} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	return false
}

// saysNoModel knows OpenAI's and llama.cpp's codes, and the sentences of Ollama and vLLM.
func saysNoModel(text string) bool {
	if strings.Contains(text, "model_not_found") || strings.Contains(text, "invalid model") {
		return true
	}
	return strings.Contains(text, "model") &&
		(strings.Contains(text, "not found") || strings.Contains(text, "does not exist"))
}

// refusal turns an answer other than 200, or an error inside the stream, into a fault. The server's own
// words go to the log only: they may hold paths and addresses.
func refusal(status int, header http.Header, body []byte) error {
	e := parseError(body)
	if n, ok := e.Code.(float64); ok && n >= 400 && n < 600 {
		status = int(n)
	}
	cause := fmt.Errorf("LLM server: status %d, code %v, type %q: %s", status, e.Code, e.Type, e.Message)
	text := strings.ToLower(fmt.Sprint(e.Code, " ", e.Type, " ", e.Message))
	wrap := func(kind fault.Kind, code, msg string) error {
		return &fault.Error{Kind: kind, Code: code, Msg: msg, Err: cause, RetryAfter: peer.RetryAfter(header)}
	}
	switch {
	case saysTooLong(text):
		return wrap(fault.Invalid, "context_length_exceeded",
			"the conversation is longer than the model's context; shorten it")
	case status != http.StatusServiceUnavailable && saysNoModel(text):
		return unknownModel(cause)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return wrap(fault.Upstream, "llm_unauthorized", "the LLM server refuses our key; check llm.key")
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return wrap(fault.Upstream, "llm_not_compatible",
			"what answers at llm.url is no OpenAI-compatible server; check llm.url")
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return wrap(fault.Unavailable, "llm_busy", "the LLM server is loading or full; try again")
	case status >= http.StatusInternalServerError:
		return wrap(fault.Upstream, "llm_failed", "the LLM server failed; see its log, or set llm.url to another")
	}
	return wrap(fault.Invalid, "llm_refused", "the LLM server refuses this request; see Brenda's log")
}

// explain gives a failure of the network its kind. The end of the caller's context wins over what it broke.
func (c *Client) explain(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errStalled) {
		return fault.Wrap(cause, fault.Timeout, "llm_stalled", "the LLM server went silent; try again")
	}
	if cause != nil {
		return cause
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if peer.Unreachable(err) {
		return fault.Wrap(err, fault.Unavailable, "llm_unreachable",
			"no LLM server answers; start the one that llm.url names, or set llm.url")
	}
	return fault.Wrap(err, fault.Upstream, "llm_cut", "the LLM server broke off its answer; try again")
}
