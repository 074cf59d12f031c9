package enginetest

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"brenda/pipeline"
)

// Tools checks that g has functions called as pipeline.Generator says, where it can force its model to: a required call, a
// named one, none at all, and the answer to a result. It takes about two hundred tokens of a real model.
func Tools(t *testing.T, g pipeline.Generator) {
	t.Helper()
	s := generatorSuite{g: g}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("calls when it must", s.callsWhenItMust)
	t.Run("calls the named function", s.callsTheNamed)
	t.Run("calls nothing when it may not", s.callsNothing)
	t.Run("goes on from a result", s.goesOn)
}

// call puts the pieces of calls together, and checks their order.
func (l *listener) call(d pipeline.CallDelta) {
	switch n := len(l.wanted); {
	case d.Index == n:
		if d.ID == "" || d.Name == "" {
			l.t.Errorf("a call begins without id or name: %+v", d)
		}
		l.wanted = append(l.wanted, pipeline.ToolCall{ID: d.ID, Name: d.Name, Arguments: d.Arguments})
	case d.Index == n-1 && d.ID == "" && d.Name == "":
		l.wanted[n-1].Arguments += d.Arguments
	default:
		l.t.Errorf("a piece of call %d, which does not go on: %+v", d.Index, d)
	}
}

func (l *listener) checkCalls(done pipeline.Completion, allowed ...string) {
	l.t.Helper()
	if len(l.wanted) == 0 || done.FinishReason != "tool_calls" {
		l.t.Errorf("no call: %+v, text %q", done, l.text.String())
	}
	ids := map[string]bool{}
	for _, c := range l.wanted {
		var arguments map[string]any
		if err := json.Unmarshal([]byte(c.Arguments), &arguments); err != nil || arguments == nil {
			l.t.Errorf("arguments %q: %v", c.Arguments, err)
		}
		if ids[c.ID] {
			l.t.Errorf("the id %s is used twice", c.ID)
		}
		ids[c.ID] = true
		if !strings.Contains(strings.Join(allowed, " "), c.Name) {
			l.t.Errorf("%s was called", c.Name)
		}
	}
}

// errand is a question that two functions are offered for.
func errand(choice pipeline.ToolChoice) pipeline.Prompt {
	zero := 0.0
	return pipeline.Prompt{
		Messages: []pipeline.Message{{Role: "user", Content: "Quel temps fait-il à Paris ?"}},
		Tools: []pipeline.Tool{
			{
				Name: "get_weather", Description: "Tells the weather of a city.",
				Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`),
			},
			{Name: "get_time", Description: "Tells the time."},
		},
		ToolChoice: choice, MaxTokens: 60, Temperature: &zero,
	}
}

func (s generatorSuite) callsWhenItMust(t *testing.T) {
	l := &listener{t: t}
	done, err := s.run(t.Context(), l, errand(pipeline.ToolChoice{Mode: pipeline.ToolRequired}))
	if err != nil {
		t.Fatal(err)
	}
	l.checkCalls(done, "get_weather", "get_time")
}

func (s generatorSuite) callsTheNamed(t *testing.T) {
	l := &listener{t: t}
	done, err := s.run(t.Context(), l, errand(pipeline.ToolChoice{Mode: pipeline.ToolNamed, Name: "get_time"}))
	if err != nil {
		t.Fatal(err)
	}
	l.checkCalls(done, "get_time")
}

func (s generatorSuite) callsNothing(t *testing.T) {
	p := errand(pipeline.ToolChoice{Mode: pipeline.ToolNone})
	p.MaxTokens = 8
	l := &listener{t: t}
	done, err := s.run(t.Context(), l, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.wanted) > 0 || l.text.Len() == 0 || done.FinishReason == "tool_calls" {
		t.Errorf("ended %+v with %d calls and the text %q", done, len(l.wanted), l.text.String())
	}
}

func (s generatorSuite) goesOn(t *testing.T) {
	p := errand(pipeline.ToolChoice{})
	p.Messages = append(p.Messages,
		pipeline.Message{Role: "assistant", ToolCalls: []pipeline.ToolCall{
			{ID: "call_1", Name: "get_weather", Arguments: `{"city":"Paris"}`},
		}},
		pipeline.Message{Role: "tool", ToolCallID: "call_1", Content: `{"sky":"grand soleil","degrees":21}`})
	p.MaxTokens = 24
	l := &listener{t: t}
	if _, err := s.run(t.Context(), l, p); err != nil {
		t.Fatal(err)
	}
	if l.text.Len() == 0 && len(l.wanted) == 0 {
		t.Error("no answer")
	}
}
