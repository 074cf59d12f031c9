package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// The types of an [Item].
const (
	Message            = "message"
	FunctionCall       = "function_call"
	FunctionCallOutput = "function_call_output"
	ItemReference      = "item_reference" // an item of the conversation, by ID; only in the input of a response
)

// The states of an [Item] and, with Cancelled and Failed, of a [Response].
const (
	InProgress = "in_progress"
	Completed  = "completed"
	Incomplete = "incomplete"
	Cancelled  = "cancelled"
	Failed     = "failed"
)

// The roles of a message.
const (
	User      = "user"
	Assistant = "assistant"
	System    = "system"
)

// The types of a [Content].
const (
	InputText   = "input_text"
	InputAudio  = "input_audio"
	OutputText  = "output_text"
	OutputAudio = "output_audio"
)

// Item is one entry of a conversation. Which fields count depends on Type.
type Item struct {
	ID        string    `json:"id" rule:"maxlen=64"`                                 // the server's if absent
	Type      string    `json:"type" rule:"required"`                                // Message, FunctionCall …
	Status    string    `json:"status" rule:"enum=completed|incomplete|in_progress"` // Completed when absent
	Role      string    `json:"role"`                                                // of a message
	Content   []Content `json:"content"`                                             // of a message
	Name      string    `json:"name"`                                                // of a function call
	CallID    string    `json:"call_id"`                                             // of a call and its output
	Arguments string    `json:"arguments"`                                           // of a call: JSON as text
	Output    string    `json:"output"`                                              // of an output: any text
}

// Content is one part of a message. Audio is in the session's format of that direction.
type Content struct {
	Type       string  `json:"type" rule:"required"`
	Text       string  `json:"text"`       // of InputText and OutputText
	Transcript *string `json:"transcript"` // of InputAudio (nil until it is known) and OutputAudio
	Audio      Audio   `json:"audio"`      // of InputAudio and OutputAudio; nil when it is not shown
}

// check finds what no single field can: parts that do not belong together.
func (it *Item) check(path string) *Error {
	switch it.Type {
	case Message:
		return it.checkMessage(path)
	case FunctionCall:
		if it.Name == "" {
			return missing(join(path, "name"))
		}
	case FunctionCallOutput:
		if it.CallID == "" {
			return missing(join(path, "call_id"))
		}
	case ItemReference:
		if it.ID == "" {
			return missing(join(path, "id"))
		}
	default:
		if strings.HasPrefix(it.Type, "mcp_") {
			return Invalid(CodeUnsupported, join(path, "type"), "MCP items are not supported by this server.")
		}
		return notOneOf(join(path, "type"), it.Type, []string{Message, FunctionCall, FunctionCallOutput})
	}
	return nil
}

func (it *Item) checkMessage(path string) *Error {
	var allowed []string
	switch it.Role {
	case User:
		allowed = []string{InputText, InputAudio}
	case System:
		allowed = []string{InputText}
	case Assistant:
		allowed = []string{OutputText, OutputAudio}
	case "":
		return missing(join(path, "role"))
	default:
		return notOneOf(join(path, "role"), it.Role, []string{User, Assistant, System})
	}
	if it.Content == nil {
		return missing(join(path, "content"))
	}
	for i := range it.Content {
		if err := it.Content[i].normalize(it.Role, allowed, at(join(path, "content"), i)); err != nil {
			return err
		}
	}
	return nil
}

// normalize takes the short names "text" and "audio", which the beta dialect and careless clients use, for
// the long ones.
func (c *Content) normalize(role string, allowed []string, path string) *Error {
	side := "input_"
	if role == Assistant {
		side = "output_"
	}
	if c.Type == "text" || c.Type == "audio" {
		c.Type = side + c.Type
	}
	if slices.Contains(allowed, c.Type) {
		return nil
	}
	if c.Type == "input_image" {
		return Invalid(CodeUnsupported, join(path, "type"), "Images are not supported by this server.")
	}
	return notOneOf(join(path, "type"), c.Type, allowed)
}

// MarshalJSON writes the fields that belong to the item's type, all of them.
func (it Item) MarshalJSON() ([]byte, error) {
	type head struct {
		ID     string `json:"id"`
		Object string `json:"object"`
		Type   string `json:"type"`
		Status string `json:"status"`
	}
	h := head{ID: it.ID, Object: "realtime.item", Type: it.Type, Status: it.Status}
	if h.Status == "" {
		h.Status = Completed
	}
	switch it.Type {
	case FunctionCall:
		return json.Marshal(struct {
			head
			Name      string `json:"name"`
			CallID    string `json:"call_id"`
			Arguments string `json:"arguments"`
		}{h, it.Name, it.CallID, it.Arguments})
	case FunctionCallOutput:
		return json.Marshal(struct {
			head
			CallID string `json:"call_id"`
			Output string `json:"output"`
		}{h, it.CallID, it.Output})
	}
	return json.Marshal(struct {
		head
		Role    string    `json:"role"`
		Content []Content `json:"content"`
	}{h, it.Role, notNil(it.Content)})
}

// MarshalJSON writes a part. The transcript of sound is always there, null while it is not known: clients
// of the Agents SDK fail without the key.
func (c Content) MarshalJSON() ([]byte, error) {
	switch c.Type {
	case InputText, OutputText:
		return json.Marshal(struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{c.Type, c.Text})
	}
	return json.Marshal(struct {
		Type       string  `json:"type"`
		Transcript *string `json:"transcript"`
		Audio      Audio   `json:"audio,omitempty"`
	}{c.Type, c.Transcript, c.Audio})
}

// Audio is sound as bytes; in JSON it is base64. Both alphabets are read, padded or not, also behind
// "data:…;base64,".
type Audio []byte

func (a *Audio) decodeAt(raw json.RawMessage, path string, _ rule) *Error {
	if isNull(raw) {
		return nil
	}
	if raw[0] != '"' {
		return wrongType(path, "a base64 string", raw)
	}
	text := raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // seldom, and microphones send 50 of these a second
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return wrongType(path, "a base64 string", raw)
		}
		text = []byte(s)
	}
	if bytes.HasPrefix(text, []byte("data:")) {
		_, text, _ = bytes.Cut(text, []byte(";base64,"))
	}
	text = bytes.TrimRight(text, "=")
	enc := base64.RawStdEncoding
	if bytes.IndexByte(text, '-') >= 0 || bytes.IndexByte(text, '_') >= 0 {
		enc = base64.RawURLEncoding
	}
	sound := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Decode(sound, text)
	if err != nil {
		return Invalid(CodeInvalidValue, path, "Invalid value: not base64.")
	}
	*a = sound[:n]
	return nil
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// notNil returns an empty slice for a nil one, since a null in the place of an array breaks clients.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
