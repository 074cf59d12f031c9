package realtime

import (
	"context"
	"encoding/json"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/session"
	"brenda/realtime/protocol"
)

// toolsOf returns what the model is offered.
func toolsOf(tools []protocol.Tool) []pipeline.Tool {
	out := make([]pipeline.Tool, len(tools))
	for i, t := range tools {
		out[i] = pipeline.Tool{Name: t.Name, Description: t.Description, Parameters: json.RawMessage(t.Parameters)}
	}
	return out
}

// toolTokens estimates what the tools take of a prompt.
func toolTokens(tools []pipeline.Tool) int {
	n := 0
	for _, t := range tools {
		n += tokens(t.Name) + tokens(t.Description) + tokens(string(t.Parameters))
	}
	return n
}

// invoke takes the next piece of a function call. The client gets it at once, also while the words before it are still
// being spoken: what it does takes time, too.
func (c *call) invoke(r *response, d pipeline.CallDelta) *protocol.Error {
	if d.Index >= len(r.calls) {
		if err := c.closeCalls(r); err != nil {
			return err
		}
		it := &item{Item: protocol.Item{
			ID: protocol.NewID("item"), Type: protocol.FunctionCall, Status: protocol.InProgress, Name: d.Name, CallID: d.ID,
		}}
		r.calls = append(r.calls, it)
		c.show(r, it)
	}
	it := r.calls[d.Index]
	if it.Arguments += d.Arguments; d.Arguments != "" {
		c.send(protocol.ArgumentsDelta{CallRef: r.ref(it), Delta: d.Arguments})
	}
	return nil
}

func (r *response) ref(it *item) protocol.CallRef {
	return protocol.CallRef{ResponseID: r.id, ItemID: it.ID, OutputIndex: r.index(it), CallID: it.CallID}
}

// closeCalls ends the calls that are open: they are whole. What is not JSON is never called.
func (c *call) closeCalls(r *response) *protocol.Error {
	for _, it := range r.calls {
		if it.Status != protocol.InProgress {
			continue
		}
		if !isObject(it.Arguments) {
			return &protocol.Error{
				Type: protocol.ServerFault, Code: "bad_tool_call",
				Message: "The model wrote a function call that is none; try again.",
			}
		}
		it.Status = protocol.Completed
		c.send(protocol.ArgumentsDone{CallRef: r.ref(it), Name: it.Name, Arguments: it.Arguments})
		c.sendDone(r, it)
	}
	return nil
}

// breakCalls ends the calls that will not be whole any more: nobody must carry them out.
func (c *call) breakCalls(r *response) {
	for _, it := range r.calls {
		if it.Status == protocol.InProgress {
			it.Status = protocol.Incomplete
			c.sendDone(r, it)
		}
	}
}

func isObject(text string) bool {
	var o map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &o) == nil && o != nil
}

// called tells whether the client may have begun to carry out a call of this response.
func (r *response) called() bool {
	for _, it := range r.calls {
		if it.Status == protocol.Completed {
			return true
		}
	}
	return false
}

// checkTool finds what is wrong with a call, or the result of one, that a client puts into the conversation.
func (c *call) checkTool(it *item) error {
	switch it.Type {
	case protocol.FunctionCall:
		if strings.TrimSpace(it.Arguments) == "" {
			it.Arguments = "{}"
		}
		if it.CallID == "" {
			it.CallID = protocol.NewID("call")
		}
		if !isObject(it.Arguments) {
			return protocol.Invalid(protocol.CodeInvalidValue, "item.arguments", "Invalid value: not a JSON object.")
		}
	case protocol.FunctionCallOutput:
		for _, other := range c.items.list {
			if other.Type == protocol.FunctionCall && other.CallID == it.CallID {
				return nil
			}
		}
		return protocol.Invalid("invalid_tool_call_id", "item.call_id",
			"Tool call ID '%.64s' not found in conversation.", it.CallID)
	}
	return nil
}

// noResult stands for the result of a call that the client has not answered.
const noResult = `{"error":"no result yet"}`

// answered puts the result of each call right behind it, which is the only place where models know what to do with it, and
// drops results that belong to no call.
func answered(ms []pipeline.Message) []pipeline.Message {
	results := map[string]string{}
	for _, m := range ms {
		if m.Role == roleTool {
			results[m.ToolCallID] = m.Content
		}
	}
	var out []pipeline.Message
	for _, m := range ms {
		if m.Role == roleTool {
			continue
		}
		out = session.Join(out, m)
		for _, call := range m.ToolCalls {
			text, there := results[call.ID]
			if !there {
				text = noResult
			}
			out = append(out, pipeline.Message{Role: roleTool, ToolCallID: call.ID, Content: text})
		}
	}
	return out
}

// roleTool is the role of a result in a prompt.
const roleTool = "tool"

// follow has a response made as soon as the present one is over, when that one has called functions and only its words
// are still being spoken: the client has their results sooner than the person has heard that they are looked for.
func (c *call) follow(cfg protocol.ResponseConfig) bool {
	if c.answer == nil || !c.answer.called() || c.after != nil {
		return false
	}
	c.after = func(ctx context.Context) { c.begin(ctx, cfg, plan{}) }
	return true
}
