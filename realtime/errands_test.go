package realtime

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/realtime/protocol"
)

// invalid tells what a model would not understand in a prompt: calls whose results are not right behind them, in order, and
// results of nothing.
func invalid(p pipeline.Prompt) string {
	var due []string
	for i, m := range p.Messages {
		switch {
		case m.Role == roleTool && (len(due) == 0 || due[0] != m.ToolCallID):
			return fmt.Sprintf("message %d is a result of %q, %q are due", i, m.ToolCallID, due)
		case m.Role == roleTool:
			due = due[1:]
			continue
		case len(due) > 0:
			return fmt.Sprintf("message %d follows calls without results: %q", i, due)
		}
		for _, c := range m.ToolCalls {
			due = append(due, c.ID)
			if !isObject(c.Arguments) {
				return fmt.Sprintf("message %d calls with %q", i, c.Arguments)
			}
		}
	}
	last := p.Messages[len(p.Messages)-1]
	if len(due) > 0 || last.Role == "assistant" {
		return fmt.Sprintf("ends with %s, %q are due", last.Role, due)
	}
	return ""
}

// badCalls finds what must never be told of calls: two ends or none, one that is whole without its arguments, or with such as are
// none, anything after the end.
func badCalls(events []event) []string {
	var bad []string
	arguments, done, ended := map[string]string{}, map[string]bool{}, map[string]bool{}
	begun := map[string][]string{} // items by response
	for i, e := range events {
		id := e.str("item_id")
		switch e.kind {
		case "response.output_item.added":
			begun[e.str("response_id")] = append(begun[e.str("response_id")], e.str("item", "id"))
		case "response.done":
			for _, id := range begun[e.str("response", "id")] {
				if !ended[id] {
					bad = append(bad, fmt.Sprintf("event %d: the item %s never ended", i, id))
				}
			}
		case "response.function_call_arguments.delta":
			arguments[id] += e.str("delta")
			if done[id] || ended[id] {
				bad = append(bad, fmt.Sprintf("event %d: arguments after the end", i))
			}
		case "response.function_call_arguments.done":
			if done[id] || ended[id] || e.str("arguments") != arguments[id] || !isObject(arguments[id]) || e.str("call_id") == "" {
				bad = append(bad, fmt.Sprintf("event %d: done with %q after %q", i, e.str("arguments"), arguments[id]))
			}
			done[id] = true
		case "response.output_item.done":
			id = e.str("item", "id")
			whole := e.str("item", "status") == "completed"
			if ended[id] || e.str("item", "type") == protocol.FunctionCall && whole != done[id] {
				bad = append(bad, fmt.Sprintf("event %d: ended twice, or %s with arguments done: %v", i, e.str("item", "status"), done[id]))
			}
			ended[id] = true
		}
	}
	return bad
}

// TestAnyErrand has a model that says and calls what comes to its mind, and a client that answers, speaks, cancels and
// deletes as it likes.
func TestAnyErrand(t *testing.T) {
	n := 40
	if testing.Short() {
		n = 6
	}
	for seed := range n {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 9))
			var made, asked atomic.Uint64
			pick := func(from *atomic.Uint64, n uint64) uint64 { return from.Add(1) * 2654435761 >> 7 % n }
			s := script{
				words:  []string{"Quel temps fait-il ?", "oui", "stop", "", "je voudrais un"},
				update: `{"type":"realtime","audio":{"input":{"transcription":{"model":"whisper-1"}}},` + weatherTool + `}`,
				llm: func(p pipeline.Prompt) (string, error) {
					if why := invalid(p); why != "" {
						t.Errorf("prompt: %s: %+v", why, p.Messages)
					}
					return []string{"", "Un instant.", usualAnswer}[pick(&asked, 3)], nil
				},
				calls: func(pipeline.Prompt) []pipeline.ToolCall {
					var out []pipeline.ToolCall
					for range pick(&asked, 4) {
						arguments := []string{"{}", `{"ville":"Paris","jour":"demain"}`, `{"ville":`, `{"a":1,"b":2}`}[pick(&made, 4)]
						out = append(out, pipeline.ToolCall{ID: fmt.Sprint("call_", made.Add(1)), Name: "meteo", Arguments: arguments})
					}
					return out
				},
			}
			scene(t, s, func(p *person) {
				for range 25 {
					if r.IntN(3) > 0 {
						anything(p, r)
						continue
					}
					p.answersSomething(r)
				}
				p.quiet(1000)
				time.Sleep(time.Minute)
				p.quiet(100)
				if left := open(p.line.events()); len(left) > 0 {
					t.Errorf("never ended: %v", left)
				}
				for _, why := range badCalls(p.line.events()) {
					t.Error(why)
				}
			})
		})
	}
}

// answersSomething sends the result of a call, perhaps twice, perhaps of one that was cut, and perhaps asks to go on.
func (p *person) answersSomething(r *rand.Rand) {
	var calls []string
	for _, e := range p.line.events() {
		if e.kind == "response.output_item.added" && e.str("item", "type") == protocol.FunctionCall {
			calls = append(calls, e.str("item", "call_id"))
		}
	}
	if len(calls) > 0 {
		p.result(calls[r.IntN(len(calls))], strings.Repeat("soleil ", 1+r.IntN(3)))
	}
	if r.IntN(2) == 0 {
		p.send(`{"type":"response.create"}`)
	}
}
