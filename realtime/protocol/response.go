package protocol

import (
	"encoding/json"
	"unicode/utf8"
)

// ResponsePatch is what a response.create asks for; absent fields are the session's.
type ResponsePatch struct {
	Modality        Opt[modality]           `json:"output_modalities"`
	Instructions    Opt[string]             `json:"instructions"`
	Audio           Opt[ResponseAudioPatch] `json:"audio"`
	Tools           Opt[[]Tool]             `json:"tools" rule:"maxlen=128"`
	ToolChoice      Opt[ToolChoice]         `json:"tool_choice"`
	ParallelCalls   Opt[bool]               `json:"parallel_tool_calls"`
	MaxOutputTokens Opt[Limit]              `json:"max_output_tokens"`
	Temperature     Opt[float64]            `json:"temperature" rule:"min=0,max=2"`
	Conversation    Opt[string]             `json:"conversation" rule:"enum=auto|none"`
	Metadata        Metadata                `json:"metadata"`
	Input           Opt[[]Item]             `json:"input" rule:"maxlen=10000"`
}

// ResponseAudioPatch is how one response sounds.
type ResponseAudioPatch struct {
	Output Opt[OutputPatch] `json:"output"`
}

// Metadata is up to 16 pairs that the client attaches: names of up to 64 characters, texts of up to 512.
type Metadata map[string]string

// The limits of [Metadata].
const (
	maxPairs = 16
	maxName  = 64
	maxText  = 512
)

func (p *ResponsePatch) check(path string) *Error {
	at := join(path, "metadata")
	if len(p.Metadata) > maxPairs {
		return Invalid(CodeInvalidValue, at, "Invalid value: at most %d pairs are allowed.", maxPairs)
	}
	for name, text := range p.Metadata {
		if utf8.RuneCountInString(name) > maxName || utf8.RuneCountInString(text) > maxText {
			return Invalid(CodeInvalidValue, at, "Invalid value: at most %d characters in a name, %d in a text.",
				maxName, maxText)
		}
	}
	return nil
}

// ResponseConfig is everything that one response is made with: a snapshot that later updates do not touch.
type ResponseConfig struct {
	Modality        string
	Instructions    string
	Output          Output
	Tools           []Tool
	ToolChoice      ToolChoice
	ParallelCalls   bool // more than one call is allowed
	MaxOutputTokens Limit
	Temperature     float64
	Cut             Cut
	OutOfBand       bool // "conversation":"none": neither its input nor its output joins the conversation
	Metadata        Metadata
	Input           []Item // what to answer instead of the conversation; only when HasInput
	HasInput        bool
}

// Response returns what a response is made with, from the session and a response.create. The error is an
// [*Error].
func (s Session) Response(p ResponsePatch) (ResponseConfig, error) {
	c := ResponseConfig{
		Modality: s.Modality, Instructions: s.Instructions, Output: s.Output,
		Tools: s.Tools, ToolChoice: s.ToolChoice, ParallelCalls: true, MaxOutputTokens: s.MaxOutputTokens,
		Cut:         s.Cut(),
		Temperature: s.Temperature, Metadata: p.Metadata,
		Input: p.Input.Value, HasInput: p.Input.Set && !p.Input.Null, OutOfBand: p.Conversation.Value == "none",
	}
	if m, ok := p.Modality.Get(); ok {
		c.Modality = string(m)
	}
	p.Instructions.to(&c.Instructions)
	p.Tools.to(&c.Tools)
	p.ToolChoice.to(&c.ToolChoice)
	s.ParallelToolCalls.to(&c.ParallelCalls)
	p.ParallelCalls.to(&c.ParallelCalls)
	p.Temperature.to(&c.Temperature)
	if p.MaxOutputTokens.Set {
		c.MaxOutputTokens = p.MaxOutputTokens.Value
	}
	if out, ok := p.Audio.Value.Output.Get(); ok {
		out.Format.to(&c.Output.Format)
		out.Speed.to(&c.Output.Speed)
		if v, ok := out.Voice.Get(); ok {
			c.Output.Voice = string(v)
		}
	}
	if !known(c.ToolChoice, c.Tools) {
		return c, noTool("response.tool_choice", c.ToolChoice.Name)
	}
	return c, nil
}

// The reasons in a [Response] that did not come to its own end.
const (
	TurnDetected    = "turn_detected"     // Cancelled: the person spoke
	ClientCancelled = "client_cancelled"  // Cancelled: the client asked for it
	MaxTokens       = "max_output_tokens" // Incomplete: the limit was reached
	ContentFilter   = "content_filter"    // Incomplete
)

// Response is the object in response.created and response.done.
type Response struct {
	ID              string // "resp_…"
	Status          string // InProgress, Completed, Cancelled, Failed or Incomplete
	Reason          string // for Cancelled and Incomplete
	Error           *Error // for Failed
	Output          []Item
	ConversationID  string // empty for a response out of band
	Modality        string
	Sound           Output // how it sounds; left out for a written answer
	MaxOutputTokens Limit
	Temperature     float64 // only in the beta dialect
	Metadata        Metadata
	Usage           *Usage // nil while it runs
}

// Usage counts the tokens of a response. Sound is no input of a model here, so the audio counts are 0.
type Usage struct {
	Input  int // of which Cached came from a cache
	Cached int
	Output int
}

// MarshalJSON writes the counts with their details.
func (u Usage) MarshalJSON() ([]byte, error) {
	type cached struct {
		Text  int `json:"text_tokens"`
		Audio int `json:"audio_tokens"`
		Image int `json:"image_tokens"`
	}
	type input struct {
		Text   int    `json:"text_tokens"`
		Audio  int    `json:"audio_tokens"`
		Image  int    `json:"image_tokens"`
		Cached int    `json:"cached_tokens"`
		Detail cached `json:"cached_tokens_details"`
	}
	type output struct {
		Text  int `json:"text_tokens"`
		Audio int `json:"audio_tokens"`
	}
	return json.Marshal(struct {
		Total        int    `json:"total_tokens"`
		Input        int    `json:"input_tokens"`
		Output       int    `json:"output_tokens"`
		InputDetail  input  `json:"input_token_details"`
		OutputDetail output `json:"output_token_details"`
	}{
		u.Input + u.Output, u.Input, u.Output,
		input{Text: u.Input, Cached: u.Cached, Detail: cached{Text: u.Cached}},
		output{Text: u.Output},
	})
}

// MarshalJSON writes the whole object.
func (r Response) MarshalJSON() ([]byte, error) {
	type errorDetail struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	type details struct {
		Type   string       `json:"type"`
		Reason string       `json:"reason,omitempty"`
		Error  *errorDetail `json:"error,omitempty"`
	}
	type sound struct {
		Format Format `json:"format"`
		Voice  string `json:"voice"`
	}
	type audio struct {
		Output *sound `json:"output,omitempty"`
	}
	out := struct {
		ID               string   `json:"id"`
		Object           string   `json:"object"`
		Status           string   `json:"status"`
		StatusDetails    *details `json:"status_details"`
		Output           []Item   `json:"output"`
		ConversationID   *string  `json:"conversation_id"`
		OutputModalities []string `json:"output_modalities"`
		Audio            audio    `json:"audio"`
		MaxOutputTokens  Limit    `json:"max_output_tokens"`
		Metadata         Metadata `json:"metadata"`
		Usage            *Usage   `json:"usage"`
	}{
		ID: r.ID, Object: "realtime.response", Status: r.Status, Output: notNil(r.Output),
		OutputModalities: []string{r.Modality}, MaxOutputTokens: r.MaxOutputTokens,
		Metadata: r.Metadata, Usage: r.Usage,
	}
	if r.ConversationID != "" {
		out.ConversationID = &r.ConversationID
	}
	if r.Modality == AudioOut {
		out.Audio.Output = &sound{r.Sound.Format, r.Sound.Voice}
	}
	if r.Status != InProgress {
		out.StatusDetails = &details{Type: r.Status, Reason: r.Reason}
		if r.Error != nil {
			out.StatusDetails.Error = &errorDetail{r.Error.Type, r.Error.Code, r.Error.Message}
		}
	}
	return json.Marshal(out)
}
