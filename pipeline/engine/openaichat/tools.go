package openaichat

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// message is a pipeline.Message as servers read it.
type message struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type toolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
}

func messages(ms []pipeline.Message) []message {
	out := make([]message, len(ms))
	for i, m := range ms {
		out[i] = message{Role: m.Role, Content: m.Content, ToolCallID: m.ToolCallID}
		for _, c := range m.ToolCalls {
			w := toolCall{ID: c.ID, Type: "function"}
			w.Function.Name, w.Function.Arguments = c.Name, c.Arguments
			out[i].ToolCalls = append(out[i].ToolCalls, w)
		}
	}
	return out
}

// offer puts the tools of a prompt into the body. OpenAI's servers know all of it; many others, llama.cpp among them, do
// not know a choice by name, so that one tool and "required" stand for it.
//
// llama.cpp takes "required" for a hint that a small model ignores: it writes prose until the token limit. There the answer
// is bound by a schema instead, which its grammar makes certain; the tools are still shown to the model.
func (r *request) offer(p pipeline.Prompt, llamaCPP bool) error {
	r.names = map[string]bool{}
	for _, t := range p.Tools {
		r.names[t.Name] = true
	}
	tools, must := p.CanCall()
	if len(tools) == 0 {
		r.mute = true
		for _, m := range p.Messages { // models imitate what they have done before
			for _, c := range m.ToolCalls {
				r.names[c.Name] = true
			}
		}
		if llamaCPP {
			r.Messages = withoutCalls(r.Messages)
		}
		return nil
	}
	for _, t := range tools {
		f := function{Name: t.Name, Description: t.Description, Parameters: t.Parameters}
		if len(f.Parameters) == 0 || string(bytes.TrimSpace(f.Parameters)) == "{}" {
			f.Parameters = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		r.Tools = append(r.Tools, tool{Type: "function", Function: f})
	}
	r.ToolChoice = "auto"
	switch {
	case must && llamaCPP:
		r.ToolChoice = "none"
		schema, err := callSchema(r.Tools)
		if err != nil {
			return fmt.Errorf("tools: %w", err)
		}
		r.ResponseFormat = schema
	case must:
		r.ToolChoice = "required"
	}
	if r.ResponseFormat == nil {
		parallel := !p.OneCall
		r.Parallel = &parallel
	}
	return nil
}

// withoutCalls tells in words what was called before and what came of it. A small model that is to answer, and sees the form
// of a call right before, calls again.
func withoutCalls(ms []message) []message {
	called := map[string]toolCall{}
	var out []message
	for _, m := range ms {
		for _, c := range m.ToolCalls {
			called[c.ID] = c
		}
		switch {
		case m.Role == "tool":
			c := called[m.ToolCallID].Function
			m = message{Role: "system", Content: fmt.Sprintf(
				"Résultat de %s(%s) : %s\nRéponds maintenant en une phrase, avec ce résultat.", c.Name, c.Arguments, m.Content)}
		case len(m.ToolCalls) > 0 && m.Content == "":
			continue
		}
		m.ToolCalls, m.ToolCallID = nil, ""
		out = append(out, m)
	}
	return out
}

// callSchema is the form of an answer that is a call of one of the tools, and nothing else.
func callSchema(tools []tool) (json.RawMessage, error) {
	var forms []any
	for _, t := range tools {
		forms = append(forms, map[string]any{
			"type": "object", "required": []string{"name", "arguments"}, "additionalProperties": false,
			"properties": map[string]any{
				"name": map[string]any{"const": t.Function.Name}, "arguments": t.Function.Parameters,
			},
		})
	}
	schema := forms[0]
	if len(forms) > 1 {
		schema = map[string]any{"anyOf": forms}
	}
	return json.Marshal(map[string]any{
		"type": "json_schema", "json_schema": map[string]any{"name": "call", "schema": schema},
	})
}

// callPiece is a part of a call in an event.
type callPiece struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// calls puts the calls of one answer together, and passes them on as they come.
type calls struct {
	names map[string]bool // of the tools that were offered
	list  []pipeline.ToolCall
	at    int // the server's index of the last one
	emit  func(pipeline.Delta) error
}

// take passes a piece on. Some servers number all calls 0, and some leave the id out.
func (c *calls) take(p callPiece) error {
	at := c.at
	if p.Index != nil {
		at = *p.Index
	}
	last := len(c.list) - 1
	begins := last < 0 || at != c.at || p.ID != "" && c.list[last].ID != p.ID ||
		p.ID == "" && p.Function.Name != "" && c.list[last].Arguments != "" && json.Valid([]byte(c.list[last].Arguments))
	c.at = at
	if !begins {
		c.list[last].Arguments += p.Function.Arguments
		if p.Function.Arguments == "" {
			return nil
		}
		return c.emit(pipeline.Delta{Call: &pipeline.CallDelta{Index: last, Arguments: p.Function.Arguments}})
	}
	if err := c.complete(); err != nil {
		return err
	}
	return c.begin(pipeline.ToolCall{ID: p.ID, Name: p.Function.Name, Arguments: p.Function.Arguments})
}

func (c *calls) begin(call pipeline.ToolCall) error {
	if !c.names[call.Name] {
		return badCall(fmt.Errorf("the model calls %q, which is no tool", call.Name))
	}
	if call.ID == "" {
		call.ID = "call_" + strings.ToLower(rand.Text())
	}
	c.list = append(c.list, call)
	return c.emit(pipeline.Delta{Call: &pipeline.CallDelta{
		Index: len(c.list) - 1, ID: call.ID, Name: call.Name, Arguments: call.Arguments,
	}})
}

// complete judges the call that has come to its end.
func (c *calls) complete() error {
	n := len(c.list)
	if n == 0 {
		return nil
	}
	last := &c.list[n-1]
	if strings.TrimSpace(last.Arguments) == "" { // a function without arguments
		last.Arguments += "{}"
		return c.emit(pipeline.Delta{Call: &pipeline.CallDelta{Index: n - 1, Arguments: "{}"}})
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(last.Arguments), &object); err != nil || object == nil {
		return badCall(fmt.Errorf("arguments %.200q of %s: %w", last.Arguments, last.Name, errNoObject))
	}
	return nil
}

func badCall(err error) error {
	return fault.Wrap(err, fault.Upstream, "bad_tool_call", "the model wrote a function call that is none; try again")
}
