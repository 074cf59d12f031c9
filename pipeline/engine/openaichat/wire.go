package openaichat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// request is the body of POST /v1/chat/completions. The last two fields are llama.cpp's own.
type request struct {
	Model          string          `json:"model,omitempty"`
	Messages       []message       `json:"messages"`
	MaxTokens      int             `json:"max_tokens"`
	Temperature    *float64        `json:"temperature,omitempty"`
	Stream         bool            `json:"stream"`
	StreamOptions  streamOptions   `json:"stream_options"`
	Tools          []tool          `json:"tools,omitempty"`
	ToolChoice     string          `json:"tool_choice,omitempty"`
	Parallel       *bool           `json:"parallel_tool_calls,omitempty"`
	ResponseFormat json.RawMessage `json:"response_format,omitempty"`
	CachePrompt    bool            `json:"cache_prompt,omitempty"`
	Slot           *int            `json:"id_slot,omitempty"`

	names map[string]bool // of the tools that the conversation knows
	mute  bool            // none of them may be called
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// request turns a prompt into a body; slot is −1 for none.
func (c *Client) request(p pipeline.Prompt, slot int) (request, error) {
	r := request{
		Model: p.Model, Messages: messages(p.Messages), MaxTokens: p.MaxTokens, Temperature: p.Temperature,
		Stream: true, StreamOptions: streamOptions{IncludeUsage: true}, CachePrompt: c.cfg.Slots > 0,
	}
	if r.Model == "" {
		r.Model = c.cfg.Model
	}
	if r.MaxTokens <= 0 {
		r.MaxTokens = c.cfg.MaxTokens
	}
	if slot >= 0 {
		r.Slot = &slot
	}
	return r, r.offer(p, c.cfg.Slots > 0)
}

// chunk is one event of the answer. Reasoning and logprobs are not read: they are not to be spoken.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content   string      `json:"content"`
			ToolCalls []callPiece `json:"tool_calls"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		TotalTokens      int `json:"total_tokens"`
		Details          struct {
			CachedTokens int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
	Timings *struct { // llama.cpp
		CacheN     int `json:"cache_n"`
		PromptN    int `json:"prompt_n"`
		PredictedN int `json:"predicted_n"`
	} `json:"timings"`
	Error json.RawMessage `json:"error"`
}

// answer reads the events of one generation.
type answer struct {
	events *events
	emit   func(pipeline.Delta) error
	alive  func() // called for each event: the server is at work

	text    textCalls
	calls   calls
	done    pipeline.Completion
	deltas  int
	refused bool // the error is the receiver's or the server's own word, and needs no explanation
}

func (a *answer) read(asked request) (pipeline.Completion, error) {
	a.text = textCalls{names: asked.names, only: asked.ResponseFormat != nil, mute: asked.mute}
	a.calls = calls{names: asked.names, emit: a.emit}
	for !a.text.past {
		data, err := a.events.next()
		if errors.Is(err, io.EOF) && a.done.FinishReason != "" {
			break // some servers end without [DONE]
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return a.done, err
		}
		a.alive()
		if string(data) == "[DONE]" {
			break
		}
		if err := a.take(data); err != nil {
			return a.done, err
		}
	}
	if a.done.FinishReason == "" && !a.text.past {
		return a.done, fmt.Errorf("%w before finish_reason", io.ErrUnexpectedEOF)
	}
	if err := a.end(); err != nil {
		a.refused = true
		return a.done, err
	}
	a.estimate(asked)
	return a.done, nil
}

// end hands out what was held back, and judges the last call.
func (a *answer) end() error {
	if err := a.give(a.text.flush()); err != nil {
		return err
	}
	if a.done.FinishReason == "length" {
		return nil // a call that is not whole is cut like any text
	}
	if err := a.calls.complete(); err != nil {
		return err
	}
	switch {
	case len(a.calls.list) > 0:
		a.done.FinishReason = "tool_calls"
	case a.text.cut && !a.text.begun, a.text.only:
		return badCall(errNoCall)
	}
	return nil
}

// give hands out text, and the calls that were found in it.
func (a *answer) give(text string, found []pipeline.ToolCall, err error) error {
	if text != "" {
		if err := a.emit(pipeline.Delta{Text: text}); err != nil {
			return err
		}
	}
	for _, call := range found {
		if err := a.calls.begin(call); err != nil {
			return err
		}
	}
	return err
}

func (a *answer) take(data []byte) error {
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if len(c.Error) > 0 && string(c.Error) != "null" {
		a.refused = true
		return refusal(http.StatusInternalServerError, nil, data)
	}
	if u := c.Usage; u != nil {
		a.done.Usage = pipeline.Usage{
			PromptTokens: u.PromptTokens, CachedTokens: u.Details.CachedTokens,
			CompletionTokens: u.CompletionTokens, TotalTokens: u.TotalTokens,
		}
	} else if t := c.Timings; t != nil {
		a.done.Usage = pipeline.Usage{
			PromptTokens: t.CacheN + t.PromptN, CachedTokens: t.CacheN, CompletionTokens: t.PredictedN,
		}
	}
	if len(c.Choices) == 0 {
		return nil
	}
	first := c.Choices[0]
	switch first.FinishReason {
	case "":
	case "length":
		a.done.FinishReason = "length"
	default: // "stop", "tool_calls", "content_filter", "eos": the model has no more to say
		a.done.FinishReason = "stop"
	}
	err := a.piece(first.Delta.Content, first.Delta.ToolCalls)
	a.refused = err != nil
	return err
}

// piece takes what an event adds to the answer.
func (a *answer) piece(text string, pieces []callPiece) error {
	if text == "" && len(pieces) == 0 {
		return nil
	}
	a.deltas++
	if text != "" {
		if err := a.give(a.text.push(text)); err != nil {
			return err
		}
	}
	for _, p := range pieces {
		if err := a.calls.take(p); err != nil {
			return err
		}
	}
	return nil
}

// estimate fills what a server did not count: a delta is about a token, and so are three letters of French.
func (a *answer) estimate(asked request) {
	u := &a.done.Usage
	if u.PromptTokens == 0 {
		letters := 0
		for _, m := range asked.Messages {
			letters += len(m.Content)
			for _, c := range m.ToolCalls {
				letters += len(c.Function.Arguments)
			}
		}
		u.PromptTokens = letters/3 + 1
	}
	if u.CompletionTokens == 0 {
		u.CompletionTokens = a.deltas
	}
	u.TotalTokens = max(u.TotalTokens, u.PromptTokens+u.CompletionTokens)
}

// serverError is what servers say when they refuse: OpenAI, llama.cpp and vLLM an object, Ollama at times a
// string, older vLLM the object's fields without the object.
type serverError struct {
	Code    any    `json:"code"`
	Type    string `json:"type"`
	Message string `json:"message"`
}

func parseError(body []byte) serverError {
	var outer struct {
		Error json.RawMessage `json:"error"`
		serverError
	}
	if json.Unmarshal(body, &outer) != nil {
		return serverError{Message: strings.ToValidUTF8(string(body[:min(len(body), 300)]), "?")}
	}
	var inner serverError
	if json.Unmarshal(outer.Error, &inner) == nil {
		return inner
	}
	var text string
	if json.Unmarshal(outer.Error, &text) == nil {
		return serverError{Message: text}
	}
	return outer.serverError
}

func unknownModel(err error) error {
	return &fault.Error{
		Kind: fault.NotFound, Code: "model_not_found", Param: "model", Err: err,
		Msg: "the LLM server has no model of this name; GET /v1/ai/models lists what there is",
	}
}
