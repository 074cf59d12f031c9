package pipeline

import "encoding/json"

// Tool is a function that a Generator may ask its caller to call.
type Tool struct {
	Name        string
	Description string          // for the model
	Parameters  json.RawMessage // a JSON Schema of an object; empty means no arguments
}

// The modes of a [ToolChoice].
const (
	ToolAuto     = "auto" // the model decides; so does an empty mode
	ToolNone     = "none" // no call
	ToolRequired = "required"
	ToolNamed    = "function"
)

// ToolChoice says whether the model must call. Where a server has no way to force its model, Required and Named are wishes.
type ToolChoice struct {
	Mode string
	Name string // of the function, for ToolNamed
}

// ToolCall is a finished wish to have a function called.
type ToolCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // a JSON object as text
}

// CallDelta is a piece of a call. The first one of a call has ID and Name, and perhaps Arguments; all later ones have
// Arguments only. Calls come one after the other: the next Index begins when a call is complete, and then its arguments
// together are a JSON object.
type CallDelta struct {
	Index     int // from 0 up, within one generation
	ID        string
	Name      string
	Arguments string
}

// CanCall returns the tools that the answer to p may call, and whether it must call one of them.
func (p Prompt) CanCall() (tools []Tool, must bool) {
	switch p.ToolChoice.Mode {
	case ToolNone:
		return nil, false
	case ToolNamed:
		for _, t := range p.Tools {
			if t.Name == p.ToolChoice.Name {
				return []Tool{t}, true
			}
		}
		return nil, false
	}
	return p.Tools, p.ToolChoice.Mode == ToolRequired && len(p.Tools) > 0
}
