package openaichat

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"brenda/pipeline"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

func weather(mode string) pipeline.Prompt {
	p := hello()
	p.Tools = []pipeline.Tool{
		{Name: "meteo", Description: "La météo", Parameters: json.RawMessage(`{"type":"object","properties":{"ville":{"type":"string"}}}`)},
		{Name: "heure"},
	}
	p.ToolChoice = pipeline.ToolChoice{Mode: mode, Name: "meteo"}
	return p
}

// called runs a prompt against a body, and returns what was said and the calls.
func called(t *testing.T, body string, p pipeline.Prompt) (string, []pipeline.ToolCall, pipeline.Completion, error) {
	t.Helper()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	c := client(t, Config{URL: url})
	var text strings.Builder
	var calls []pipeline.ToolCall
	done, err := c.Generate(t.Context(), p, func(d pipeline.Delta) error {
		text.WriteString(d.Text)
		switch k := d.Call; {
		case k == nil:
		case k.Index == len(calls):
			calls = append(calls, pipeline.ToolCall{ID: k.ID, Name: k.Name, Arguments: k.Arguments})
		default:
			calls[k.Index].Arguments += k.Arguments
		}
		return nil
	})
	return text.String(), calls, done, err
}

func stream(finish string, deltas ...string) string {
	var b strings.Builder
	for _, d := range deltas {
		fmt.Fprintf(&b, "data: {\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":null}]}\n\n", d)
	}
	fmt.Fprintf(&b, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":%q}]}\n\ndata: [DONE]\n\n", finish)
	return b.String()
}

func TestCallsOfServers(t *testing.T) {
	for name, c := range map[string]struct{ body, text, want, finish, code string }{
		"OpenAI, in pieces, two": {body: stream(
			"tool_calls",
			`{"content":"Je regarde."}`,
			`{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"meteo","arguments":""}}]}`,
			`{"tool_calls":[{"index":0,"function":{"arguments":"{\"ville\":"}}]}`,
			`{"tool_calls":[{"index":0,"function":{"arguments":"\"Paris\"}"}}]}`,
			`{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"heure","arguments":""}}]}`,
		), text: "Je regarde.", want: `a meteo {"ville":"Paris"}, b heure {}`, finish: "tool_calls"},
		"Ollama, whole, all numbered 0": {body: stream(
			"stop",
			`{"content":"","tool_calls":[{"index":0,"id":"a","function":{"name":"meteo","arguments":"{\"ville\":\"Lyon\"}"}}]}`,
			`{"content":"","tool_calls":[{"index":0,"id":"b","function":{"name":"meteo","arguments":"{\"ville\":\"Nice\"}"}}]}`,
		), want: `a meteo {"ville":"Lyon"}, b meteo {"ville":"Nice"}`, finish: "tool_calls"},
		"arguments that are no object": {body: stream(
			"tool_calls",
			`{"tool_calls":[{"index":0,"id":"a","function":{"name":"meteo","arguments":"Paris"}}]}`,
		), want: "a meteo Paris", code: "bad_tool_call"},
		"a function that there is not": {body: stream(
			"tool_calls",
			`{"tool_calls":[{"index":0,"id":"a","function":{"name":"rm","arguments":"{}"}}]}`,
		), code: "bad_tool_call"},
		"cut by the limit": {body: stream(
			"length",
			`{"tool_calls":[{"index":0,"id":"a","function":{"name":"meteo","arguments":"{\"vil"}}]}`,
		), want: `a meteo {"vil`, finish: "length"},
	} {
		t.Run(name, func(t *testing.T) {
			text, calls, done, err := called(t, c.body, weather("auto"))
			if got := show(calls); got != c.want || text != c.text {
				t.Errorf("said %q, called %s", text, got)
			}
			if c.code != "" {
				if fault.As(err).Code != c.code || fault.KindOf(err) != fault.Upstream {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || done.FinishReason != c.finish {
				t.Errorf("ended %+v, %v", done, err)
			}
		})
	}
}

func show(calls []pipeline.ToolCall) string {
	var out []string
	for _, c := range calls {
		out = append(out, c.ID+" "+c.Name+" "+c.Arguments)
	}
	return strings.Join(out, ", ")
}

// TestCallsInText writes the calls of small models letter by letter: none of them may be said.
func TestCallsInText(t *testing.T) {
	const call = `{"name": "meteo", "arguments": {"ville": "Paris"}}`
	const want = ` meteo {"ville":"Paris"}`
	for name, c := range map[string]struct{ written, text, want, finish, code string }{
		"tags":                        {"Je regarde. <tool_call>\n" + call + "\n</tool_call>", "Je regarde. ", want, "stop", ""},
		"two":                         {"<tool_call>" + call + "</tool_call>\n<tool_call>{\"name\":\"heure\"}</tool_call>", "", want + ",  heure {}", "stop", ""},
		"block of code":               {"\nVoici :\n```json\n" + call + "\n```", "Voici :\n", want, "stop", ""},
		"block without an end":        {"```json\n" + call, "", want, "stop", ""},
		"bare":                        {call, "", want, "stop", ""},
		"bare, and a made up end":     {"Bien :\n\n" + call + ".\n\nIl fait 20 degrés à Paris.", "Bien :\n\n", want, "stop", ""},
		"a list":                      {"[" + call + "," + call + "]", "", want + ", " + want, "stop", ""},
		"parameters, as text":         {`{"name":"meteo","parameters":"{\"ville\":\"Paris\"}"}`, "", want, "stop", ""},
		"tags without an end":         {"<tool_call>" + call, "", want, "stop", ""},
		"no call":                     {"Du code :\n```go\nfunc main() {}\n```\nVoilà.", "Du code :\n```go\nfunc main() {}\n```\nVoilà.", "", "stop", ""},
		"no call, bare":               {"[Note] {x} <b> 3 < 4\n{\"a\": 1} fin <tool", "[Note] {x} <b> 3 < 4\n{\"a\": 1} fin <tool", "", "stop", ""},
		"another function":            {"{\"name\":\"rm\",\"arguments\":{}}", "{\"name\":\"rm\",\"arguments\":{}}", "", "stop", ""},
		"tags around nothing":         {"Oui. <tool_call>rien</tool_call>", "Oui. ", "", "stop", "bad_tool_call"},
		"cut by the limit":            {"Oui. <tool_call>{\"name\":\"me", "Oui. ", "", "length", ""},
		"cut by itself":               {"{\"name\":\"me", "", "", "stop", "bad_tool_call"},
		"cut by itself, behind words": {"Oui.\n{\"name\":\"me", "Oui.\n", "", "stop", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var deltas []string
			for _, r := range c.written {
				b, _ := json.Marshal(map[string]string{"content": string(r)})
				deltas = append(deltas, string(b))
			}
			text, calls, done, err := called(t, stream(c.finish, deltas...), weather("auto"))
			ids := map[string]bool{"": true}
			for i := range calls {
				if ids[calls[i].ID] {
					t.Errorf("id %q missing or used before", calls[i].ID)
				}
				ids[calls[i].ID], calls[i].ID = true, ""
			}
			if text != c.text || show(calls) != c.want {
				t.Errorf("said %q, called %s", text, show(calls))
			}
			finish := c.finish
			if c.want != "" {
				finish = "tool_calls"
			}
			if c.code != "" {
				if fault.As(err).Code != c.code {
					t.Errorf("error %v", err)
				}
			} else if err != nil || done.FinishReason != finish {
				t.Errorf("ended %+v, %v", done, err)
			}
		})
	}
}

// TestTextWithoutToolsIsText: nobody has offered a tool, so nothing is a call.
func TestTextWithoutToolsIsText(t *testing.T) {
	const written = `<tool_call>{"name":"meteo"}</tool_call>`
	b, _ := json.Marshal(map[string]string{"content": written})
	if text, calls, _, err := called(t, stream("stop", string(b)), hello()); text != written || len(calls) > 0 || err != nil {
		t.Errorf("said %q, called %v, %v", text, calls, err)
	}
}

// TestUnwantedCall: a call that was forbidden is neither made nor said.
func TestUnwantedCall(t *testing.T) {
	const call = `{"content":"{\"name\":\"meteo\",\"arguments\":{}}"}`
	text, calls, _, err := called(t, stream("stop", call), weather("none"))
	if text != "" || len(calls) > 0 || fault.As(err).Code != "bad_tool_call" {
		t.Errorf("said %q, called %v, %v", text, calls, err)
	}
	after := hello()
	after.Messages = append(after.Messages,
		pipeline.Message{Role: "assistant", ToolCalls: []pipeline.ToolCall{{ID: "a", Name: "meteo", Arguments: "{}"}}},
		pipeline.Message{Role: "tool", ToolCallID: "a", Content: "soleil"})
	if text, calls, _, err := called(t, stream("stop", call), after); text != "" || len(calls) > 0 || fault.As(err).Code != "bad_tool_call" {
		t.Errorf("without tools, said %q, called %v, %v", text, calls, err)
	}
	text, calls, done, err := called(t, stream("stop", call, `{"content":"\nIl fait beau."}`), weather("none"))
	if text != "Il fait beau." || len(calls) > 0 || err != nil || done.FinishReason != "stop" {
		t.Errorf("said %q, called %v, %v", text, calls, err)
	}
}

func TestRequestWithTools(t *testing.T) {
	for _, c := range []struct {
		mode   string
		slots  int
		want   string // of the choice
		tools  int
		schema bool
	}{
		{"auto", 0, "auto", 2, false},
		{"", 0, "auto", 2, false},
		{"none", 0, "", 0, false},
		{"required", 0, "required", 2, false},
		{"function", 0, "required", 1, false},
		{"auto", 1, "auto", 2, false},
		{"required", 1, "none", 2, true},
		{"function", 1, "none", 1, true},
	} {
		var got request
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, stream("stop", `{"content":"{\"name\":\"meteo\",\"arguments\":{}}"}`))
		})
		p := weather(c.mode)
		p.Messages = append(p.Messages,
			pipeline.Message{Role: "assistant", ToolCalls: []pipeline.ToolCall{{ID: "a", Name: "heure", Arguments: "{}"}}},
			pipeline.Message{Role: "tool", Content: "midi", ToolCallID: "a"})
		cl := client(t, Config{URL: url, Slots: c.slots})
		if _, _, err := collect(cl, p); err != nil && c.mode != "none" {
			t.Error(err)
		}
		if got.ToolChoice != c.want || len(got.Tools) != c.tools || (got.ResponseFormat != nil) != c.schema {
			t.Errorf("%s with %d slots: %+v", c.mode, c.slots, got)
		}
		ms := got.Messages
		if len(ms) != 3 || ms[1].ToolCalls[0].Function.Name != "heure" || ms[1].ToolCalls[0].Type != "function" || ms[2].ToolCallID != "a" {
			t.Errorf("messages %+v", ms)
		}
	}
}

// TestToolConformance runs the suite that the real engine passes too over a server that calls what it must.
func TestToolConformance(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var req request
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		if req.ToolChoice != "required" {
			_, _ = io.WriteString(w, stream("stop", `{"content":"Il fait beau."}`))
			return
		}
		_, _ = io.WriteString(w, stream("tool_calls", fmt.Sprintf(
			`{"tool_calls":[{"index":0,"id":"a","function":{"name":%q,"arguments":"{}"}}]}`, req.Tools[0].Function.Name)))
	})
	enginetest.Tools(t, client(t, Config{URL: url}))
}

// FuzzTextCalls: whatever is written, in whatever pieces, nothing is lost that is no call, and no call has arguments that
// are no object.
func FuzzTextCalls(f *testing.F) {
	f.Add("Oui.\n```json\n{\"name\":\"meteo\",\"arguments\":{}}\n```", 3)
	f.Add("<tool_call>{\"name\":\"meteo\"}</tool_call> [1] {", 1)
	f.Fuzz(func(t *testing.T, s string, size int) {
		tc := textCalls{names: map[string]bool{"meteo": true}}
		var text strings.Builder
		take := func(piece string, calls []pipeline.ToolCall, err error) bool {
			text.WriteString(piece)
			for _, c := range calls {
				var object map[string]any
				if json.Unmarshal([]byte(c.Arguments), &object) != nil {
					t.Errorf("arguments %q", c.Arguments)
				}
			}
			return err == nil
		}
		size = max(size%16, 1)
		for rest := s; rest != ""; {
			n := min(size, len(rest))
			if !take(tc.push(rest[:n])) {
				return
			}
			rest = rest[n:]
		}
		if !take(tc.flush()) || tc.cut || tc.found > 0 {
			return
		}
		if got, want := text.String(), strings.TrimLeft(s, " \t\n\v\f\r\u0085\u00a0"); got != want && strings.TrimSpace(s) != "" &&
			strings.TrimSpace(got) != strings.TrimSpace(s) {
			t.Errorf("said %q of %q", got, want)
		}
	})
}
