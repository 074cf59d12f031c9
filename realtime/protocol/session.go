package protocol

import (
	"encoding/json"
	"slices"
)

// The types of a session.
const (
	Realtime      = "realtime"      // hears and answers
	Transcription = "transcription" // hears and writes down
)

// The output modalities. A session has exactly one: sound always comes with its words.
const (
	AudioOut = "audio"
	TextOut  = "text"
)

// Session is a whole effective configuration, as session.created and session.updated show it.
type Session struct {
	ID        string // "sess_…"
	Type      string // Realtime or Transcription
	Model     string
	ExpiresAt int64 // seconds since 1970; 0 means never, null in JSON

	Instructions    string // the system prompt
	Modality        string // AudioOut or TextOut
	Input           Input
	Output          Output
	Tools           []Tool
	ToolChoice      ToolChoice
	MaxOutputTokens Limit

	Temperature float64 // only in the beta dialect; 0.6…1.2

	Truncation        Any       // see Cut
	ParallelToolCalls Opt[bool] // left out unless the client set it, as is Reasoning

	// Echoed and without an effect.
	Tracing   Any
	Prompt    Any
	Include   Opt[[]string]
	Reasoning Any
}

// Input is how sound comes in and what is made of it.
type Input struct {
	Format         Format
	NoiseReduction *NoiseReduction // nil: off
	Transcription  *Transcriber    // nil: the client gets no transcription events
	TurnDetection  *TurnDetection  // nil: push-to-talk; the client commits and asks for responses itself
}

// Output is how sound goes out.
type Output struct {
	Format Format
	Voice  string
	Speed  float64 // 0.25…1.5 times the usual
}

// The types of a [Format].
const (
	PCM   = "audio/pcm"  // 16 bit little endian, mono
	MuLaw = "audio/pcmu" // G.711 µ-law, 8 kHz
	ALaw  = "audio/pcma" // G.711 A-law, 8 kHz
)

// The rates of PCM that are accepted. The hosted API has 24000 only; others are Brenda's extension.
const (
	minRate     = 8000
	maxRate     = 48000
	defaultRate = 24000
)

// Format is how sound is coded.
type Format struct {
	Type string // PCM, MuLaw or ALaw
	Rate int    // samples per second
}

// BytesPerSecond returns the size of one second of sound.
func (f Format) BytesPerSecond() int {
	if f.Type == PCM {
		return 2 * f.Rate
	}
	return f.Rate
}

// MarshalJSON writes {"type":"audio/pcm","rate":24000}; the others have no rate.
func (f Format) MarshalJSON() ([]byte, error) {
	if f.Type != PCM {
		return json.Marshal(map[string]string{"type": f.Type})
	}
	return json.Marshal(struct {
		Type string `json:"type"`
		Rate int    `json:"rate"`
	}{f.Type, f.Rate})
}

// decodeAt also reads the names that the beta dialect has for formats.
func (f *Format) decodeAt(raw json.RawMessage, path string, _ rule) *Error {
	if isNull(raw) {
		return nil
	}
	var parts struct {
		Type string   `json:"type" rule:"required"`
		Rate Opt[int] `json:"rate"`
	}
	at := join(path, "type")
	if json.Unmarshal(raw, &parts.Type) == nil { // a bare string
		at = path
	} else if err := decodeInto(raw, &parts, path); err != nil {
		return err
	}
	switch parts.Type {
	case PCM, "pcm16", "pcm":
		rate := defaultRate
		parts.Rate.to(&rate)
		if rate < minRate || rate > maxRate {
			return Invalid(CodeInvalidValue, join(path, "rate"), "Invalid value: the rate must be from %d to %d.",
				minRate, maxRate)
		}
		*f = Format{Type: PCM, Rate: rate}
	case MuLaw, "g711_ulaw":
		*f = Format{Type: MuLaw, Rate: 8000}
	case ALaw, "g711_alaw":
		*f = Format{Type: ALaw, Rate: 8000}
	default:
		return notOneOf(at, parts.Type, []string{PCM, MuLaw, ALaw})
	}
	return nil
}

// NoiseReduction asks for a filter in front of everything that listens.
type NoiseReduction struct {
	Type     string   `json:"type" rule:"enum=near_field|far_field"` // headset, or across a room
	Strength *float64 `json:"strength,omitempty" rule:"min=0,max=1"`
}

// Transcriber is how the words of the person are written down.
type Transcriber struct {
	Model     string   `json:"model"`
	Language  string   `json:"language,omitempty" rule:"maxlen=16"` // ISO 639-1; empty: the server's default
	Languages []string `json:"languages,omitempty" rule:"maxlen=32"`
	Prompt    string   `json:"prompt,omitempty" rule:"maxlen=16384"`  // words to help with the spelling
	Keywords  []string `json:"keywords,omitempty" rule:"maxlen=1024"` // likewise
	Delay     string   `json:"delay,omitempty" rule:"enum=minimal|low|medium|high|xhigh"`
}

// The types of a [TurnDetection].
const (
	ServerVAD   = "server_vad"
	SemanticVAD = "semantic_vad"
)

// TurnDetection is how the end of the person's turn is found.
type TurnDetection struct {
	Type              string
	CreateResponse    bool // answer when the turn ends
	InterruptResponse bool // stop talking when the person speaks

	// ServerVAD
	Threshold         float64 // 0…1: how sure to be that it is speech
	PrefixPaddingMs   int     // sound kept from before the speech was noticed
	SilenceDurationMs int     // silence that ends the turn
	IdleTimeoutMs     *int    // 5000…30000: ask "are you still there?" after this long; nil: never

	// SemanticVAD
	Eagerness string // low, medium, high or auto: waits at most 8, 4, 2 and 4 s
}

// newTurnDetection returns the defaults of a type.
func newTurnDetection(kind string) *TurnDetection {
	t := &TurnDetection{Type: kind, CreateResponse: true, InterruptResponse: true}
	if kind == SemanticVAD {
		t.Eagerness = "auto"
		return t
	}
	t.Threshold, t.PrefixPaddingMs, t.SilenceDurationMs = 0.5, 300, 500
	return t
}

// MarshalJSON writes the fields of the type, all of them.
func (t TurnDetection) MarshalJSON() ([]byte, error) {
	if t.Type == SemanticVAD {
		return json.Marshal(struct {
			Type              string `json:"type"`
			Eagerness         string `json:"eagerness"`
			CreateResponse    bool   `json:"create_response"`
			InterruptResponse bool   `json:"interrupt_response"`
		}{t.Type, t.Eagerness, t.CreateResponse, t.InterruptResponse})
	}
	return json.Marshal(struct {
		Type              string  `json:"type"`
		Threshold         float64 `json:"threshold"`
		PrefixPaddingMs   int     `json:"prefix_padding_ms"`
		SilenceDurationMs int     `json:"silence_duration_ms"`
		IdleTimeoutMs     *int    `json:"idle_timeout_ms"`
		CreateResponse    bool    `json:"create_response"`
		InterruptResponse bool    `json:"interrupt_response"`
	}{
		t.Type, t.Threshold, t.PrefixPaddingMs, t.SilenceDurationMs, t.IdleTimeoutMs, t.CreateResponse,
		t.InterruptResponse,
	})
}

// Tool is a function that the model may call.
type Tool struct {
	Type        string `json:"type" rule:"required"` // "function"
	Name        string `json:"name" rule:"maxlen=128"`
	Description string `json:"description"`
	Parameters  Any    `json:"parameters"` // a JSON Schema
}

func (t *Tool) check(path string) *Error {
	switch {
	case t.Type == "mcp":
		return Invalid(CodeUnsupported, join(path, "type"), "MCP tools are not supported by this server.")
	case t.Type != "function":
		return notOneOf(join(path, "type"), t.Type, []string{"function"})
	case t.Name == "":
		return missing(join(path, "name"))
	case len(t.Parameters) > 0 && t.Parameters[0] != '{':
		return wrongType(join(path, "parameters"), "an object", t.Parameters)
	case t.Parameters == nil:
		t.Parameters = Any(`{}`)
	}
	return nil
}

// ToolChoice is which tool the model must call, if any.
type ToolChoice struct {
	Mode string // "auto", "none", "required" or "function"
	Name string // of the function, for the mode "function"
}

// MarshalJSON writes the mode, or {"type":"function","name":…}.
func (c ToolChoice) MarshalJSON() ([]byte, error) {
	if c.Mode != "function" {
		return json.Marshal(c.Mode)
	}
	return json.Marshal(map[string]string{"type": "function", "name": c.Name})
}

func (c *ToolChoice) decodeAt(raw json.RawMessage, path string, _ rule) *Error {
	modes := []string{"auto", "none", "required"}
	var mode string
	if json.Unmarshal(raw, &mode) == nil {
		if !slices.Contains(modes, mode) {
			return notOneOf(path, mode, modes)
		}
		*c = ToolChoice{Mode: mode}
		return nil
	}
	var parts struct {
		Type string `json:"type" rule:"required"`
		Name string `json:"name" rule:"required"`
	}
	if err := decodeInto(raw, &parts, path); err != nil {
		return err
	}
	if parts.Type != "function" {
		return Invalid(CodeUnsupported, join(path, "type"), "Only functions can be chosen on this server.")
	}
	*c = ToolChoice{Mode: parts.Type, Name: parts.Name}
	return nil
}

// Limit is a greatest number of tokens; 0 means no limit but the model's own, "inf" in JSON.
type Limit int

// MarshalJSON writes the number, or "inf".
func (l Limit) MarshalJSON() ([]byte, error) {
	if l == 0 {
		return []byte(`"inf"`), nil
	}
	return json.Marshal(int(l))
}

func (l *Limit) decodeAt(raw json.RawMessage, path string, _ rule) *Error {
	if isNull(raw) || string(raw) == `"inf"` {
		*l = 0
		return nil
	}
	n := 0
	if err := decodeInto(raw, &n, path, "min=1,max=4096"); err != nil {
		if err.Code == CodeInvalidType {
			err = wrongType(path, "an integer from 1 to 4096, or 'inf'", raw)
		}
		return err
	}
	*l = Limit(n)
	return nil
}

// NewSession returns the configuration that a session begins with: the hosted API's defaults. The caller
// sets Model, Instructions and Voice, and what else is its own.
func NewSession(kind string) Session {
	s := Session{
		ID: NewID("sess"), Type: kind, Modality: AudioOut, ToolChoice: ToolChoice{Mode: "auto"}, Temperature: 0.8,
		Input:      Input{Format: Format{Type: PCM, Rate: defaultRate}, TurnDetection: newTurnDetection(ServerVAD)},
		Output:     Output{Format: Format{Type: PCM, Rate: defaultRate}, Speed: 1},
		Truncation: Any(`"auto"`),
	}
	if kind == Transcription {
		s.Input.Transcription = &Transcriber{}
	}
	return s
}

// MarshalJSON writes the whole configuration.
func (s Session) MarshalJSON() ([]byte, error) {
	type input struct {
		Format         Format          `json:"format"`
		NoiseReduction *NoiseReduction `json:"noise_reduction"`
		Transcription  *Transcriber    `json:"transcription"`
		TurnDetection  *TurnDetection  `json:"turn_detection"`
	}
	type output struct {
		Format Format  `json:"format"`
		Voice  string  `json:"voice"`
		Speed  float64 `json:"speed"`
	}
	type audio struct {
		Input  input   `json:"input"`
		Output *output `json:"output,omitempty"`
	}
	type head struct {
		ID        string   `json:"id"`
		Object    string   `json:"object"`
		Type      string   `json:"type"`
		ExpiresAt *int64   `json:"expires_at"`
		Include   []string `json:"include"`
		Audio     audio    `json:"audio"`
	}
	h := head{
		ID: s.ID, Object: "realtime.session", Type: s.Type, Include: s.Include.Value,
		Audio: audio{Input: input(s.Input)},
	}
	if s.ExpiresAt != 0 {
		h.ExpiresAt = &s.ExpiresAt
	}
	if s.Type == Transcription {
		h.Object = "realtime.transcription_session"
		return json.Marshal(h)
	}
	h.Audio.Output = &output{s.Output.Format, s.Output.Voice, s.Output.Speed}
	var parallel *bool
	if v, ok := s.ParallelToolCalls.Get(); ok {
		parallel = &v
	}
	return json.Marshal(struct {
		head
		Model             string     `json:"model"`
		Instructions      string     `json:"instructions"`
		OutputModalities  []string   `json:"output_modalities"`
		Tools             []Tool     `json:"tools"`
		ToolChoice        ToolChoice `json:"tool_choice"`
		MaxOutputTokens   Limit      `json:"max_output_tokens"`
		Truncation        Any        `json:"truncation"`
		Tracing           Any        `json:"tracing"`
		Prompt            Any        `json:"prompt"`
		ParallelToolCalls *bool      `json:"parallel_tool_calls,omitempty"`
		Reasoning         Any        `json:"reasoning,omitempty"`
	}{
		h, s.Model, s.Instructions,
		[]string{s.Modality},
		notNil(s.Tools), s.ToolChoice, s.MaxOutputTokens,
		s.Truncation, s.Tracing, s.Prompt, parallel, s.Reasoning,
	})
}
