package openaichat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"brenda/pipeline"
)

var (
	errNoObject = errors.New("not a JSON object")
	errNoCall   = errors.New("not a call")
)

// Where small models put calls that their server does not see: between tags, in a block of code, or bare.
const (
	openTag  = "<tool_call>"
	closeTag = "</tool_call>"
	fence    = "```"
	maxHeld  = 32 << 10 // bytes of a block that may be a call; a longer one is text
)

// textCalls finds the calls in a text as it is written, so that nobody hears them read out. What may still become a call
// is held back.
type textCalls struct {
	names map[string]bool // of the tools; without any, everything is text
	only  bool            // the answer is bound to be a call: no part of it is text
	mute  bool            // no call is wanted: what is written like one is dropped
	held  string          // not judged yet
	line  bool            // something stands before held on its line
	begun bool            // there was text that is not blank
	found int             // calls
	past  bool            // text has come after a call: the model makes the result up
	cut   bool            // a call was dropped: the answer ended within it, or it was not wanted
}

// push takes the next piece, and returns what is known to be text, and the calls that are complete.
func (t *textCalls) push(s string) (string, []pipeline.ToolCall, error) {
	if len(t.names) == 0 {
		return s, nil, nil
	}
	t.held += s
	return t.drain(false)
}

// flush returns what was held back at the end of the answer.
func (t *textCalls) flush() (string, []pipeline.ToolCall, error) {
	if len(t.names) == 0 || t.held == "" {
		return "", nil, nil
	}
	return t.drain(true)
}

func (t *textCalls) drain(last bool) (string, []pipeline.ToolCall, error) {
	var text strings.Builder
	var calls []pipeline.ToolCall
	for t.held != "" {
		at := t.opening(last)
		if at > 0 {
			t.text(&text, t.held[:at])
			t.held = t.held[at:]
		}
		if at < 0 || t.held == "" {
			break
		}
		n, block, closed := t.block(last)
		if n == 0 { // it may go on
			break
		}
		cs, err := t.parse(block)
		switch {
		case err == nil && t.mute:
			t.cut = true
		case err == nil:
			calls, t.found = append(calls, cs...), t.found+len(cs)
		case !closed && t.resembles(t.held):
			t.cut = true
		case strings.HasPrefix(t.held, openTag) && !t.mute:
			return text.String(), calls, badCall(fmt.Errorf("%.200q: %w", block, err))
		default:
			t.text(&text, t.held[:n])
		}
		t.held = t.held[n:]
	}
	return text.String(), calls, nil
}

// text passes a piece on. Blanks in front of all words are dropped, and so is everything behind a call.
func (t *textCalls) text(to *strings.Builder, s string) {
	blank := strings.TrimSpace(s) == ""
	end := strings.TrimRightFunc(s, func(r rune) bool { return unicode.IsSpace(r) && r != '\n' })
	t.line = end == "" && t.line || end != "" && !strings.HasSuffix(end, "\n")
	switch {
	case t.only:
	case t.found > 0:
		t.past = t.past || !blank
	case t.begun:
		to.WriteString(s)
	case !blank:
		t.begun = true
		to.WriteString(strings.TrimLeftFunc(s, unicode.IsSpace))
	}
}

// opening returns where in held a block begins; len(held) for nowhere. −1 means that all of held must wait.
func (t *textCalls) opening(last bool) int {
	first := len(t.held)
	for _, mark := range []string{openTag, fence} {
		if i := strings.Index(t.held, mark); i >= 0 {
			first = min(first, i)
		}
	}
	line := t.line
	for i, r := range t.held[:first] {
		if !line && (r == '{' || r == '[') {
			return i
		}
		line = r != '\n' && (line || !unicode.IsSpace(r))
	}
	if first < len(t.held) || last {
		return first
	}
	for n := min(len(openTag)-1, len(t.held)); n > 0; n-- { // the beginning of a mark?
		if end := t.held[len(t.held)-n:]; strings.HasPrefix(openTag, end) || strings.HasPrefix(fence, end) {
			if n == len(t.held) {
				return -1
			}
			return len(t.held) - n
		}
	}
	return first
}

// resembles tells whether a block that has no end was going to be a call.
func (t *textCalls) resembles(s string) bool {
	return strings.HasPrefix(s, openTag) || t.only || strings.Contains(s, `"name"`)
}

// block returns the length of the block at the beginning of held, 0 when its end has not come, what is in it, and whether
// it has an end.
func (t *textCalls) block(last bool) (n int, inside string, closed bool) {
	whole := func(begin, end string) (int, string, bool) {
		rest := strings.TrimPrefix(t.held, begin)
		if i := strings.Index(rest, end); i >= 0 {
			return len(begin) + i + len(end), rest[:i], true
		}
		if last || len(t.held) > maxHeld {
			return len(t.held), rest, false
		}
		return 0, "", false
	}
	switch {
	case strings.HasPrefix(t.held, openTag):
		return whole(openTag, closeTag)
	case strings.HasPrefix(t.held, fence):
		n, inside, closed = whole(fence, fence)
		if first, rest, ok := strings.Cut(inside, "\n"); ok && !strings.ContainsAny(first, "{[") {
			inside = rest // behind the name of the language
		}
		return n, inside, closed
	}
	d := json.NewDecoder(strings.NewReader(t.held))
	var v json.RawMessage
	err := d.Decode(&v)
	switch {
	case err == nil:
		return int(d.InputOffset()), string(v), true
	case errors.Is(err, io.ErrUnexpectedEOF) && !last && len(t.held) <= maxHeld:
		return 0, "", false
	case errors.Is(err, io.ErrUnexpectedEOF) && t.resembles(t.held):
		return len(t.held), "", false
	}
	return 1, "", true // a bracket, no JSON
}

// parse reads calls: JSON objects one after the other, or in a list.
func (t *textCalls) parse(s string) ([]pipeline.ToolCall, error) {
	d := json.NewDecoder(strings.NewReader(s))
	var out []pipeline.ToolCall
	for {
		var v json.RawMessage
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		list := []json.RawMessage{v}
		if v[0] == '[' {
			if err := json.Unmarshal(v, &list); err != nil {
				return nil, err
			}
		}
		for _, v := range list {
			call, err := t.call(v)
			if err != nil {
				return nil, err
			}
			out = append(out, call)
		}
	}
}

func (t *textCalls) call(raw json.RawMessage) (pipeline.ToolCall, error) {
	var parts struct {
		Name       string          `json:"name"`
		Arguments  json.RawMessage `json:"arguments"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return pipeline.ToolCall{}, err
	}
	if !t.names[parts.Name] {
		return pipeline.ToolCall{}, errNoCall
	}
	args := parts.Arguments
	if args == nil {
		args = parts.Parameters
	}
	var text string
	if json.Unmarshal(args, &text) == nil && text != "" { // an object that was written as text
		args = json.RawMessage(text)
	}
	var object map[string]json.RawMessage
	switch {
	case len(args) == 0, string(args) == "null", string(args) == `""`:
		args = json.RawMessage(`{}`)
	case json.Unmarshal(args, &object) != nil:
		return pipeline.ToolCall{}, errNoObject
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, args); err != nil {
		return pipeline.ToolCall{}, err
	}
	return pipeline.ToolCall{Name: parts.Name, Arguments: compact.String()}, nil
}
