package protocol

import "encoding/json"

// SessionPatch is what a session.update changes. Absent fields stay as they are; a null turns off what can
// be off (noise reduction, transcription, turn detection, tracing, prompt) and otherwise counts as absent.
type SessionPatch struct {
	Type              string          `json:"type" rule:"enum=realtime|transcription"`
	Model             Opt[string]     `json:"model" rule:"maxlen=256"`
	Instructions      Opt[string]     `json:"instructions"`
	Modality          Opt[modality]   `json:"output_modalities"`
	Audio             Opt[AudioPatch] `json:"audio"`
	Tools             Opt[[]Tool]     `json:"tools" rule:"maxlen=128"`
	ToolChoice        Opt[ToolChoice] `json:"tool_choice"`
	MaxOutputTokens   Opt[Limit]      `json:"max_output_tokens"`
	Temperature       Opt[float64]    `json:"temperature" rule:"min=0,max=2"`
	Truncation        Opt[Truncation] `json:"truncation"`
	Tracing           Opt[Any]        `json:"tracing"`
	Prompt            Opt[Any]        `json:"prompt"`
	Include           Opt[[]string]   `json:"include" rule:"maxlen=16"`
	ParallelToolCalls Opt[bool]       `json:"parallel_tool_calls"`
	Reasoning         Opt[Any]        `json:"reasoning"`
}

// AudioPatch is the part of a patch about sound.
type AudioPatch struct {
	Input  Opt[InputPatch]  `json:"input"`
	Output Opt[OutputPatch] `json:"output"`
}

// InputPatch changes an [Input].
type InputPatch struct {
	Format         Opt[Format]             `json:"format"`
	NoiseReduction Opt[NoiseReduction]     `json:"noise_reduction"`
	Transcription  Opt[TranscriberPatch]   `json:"transcription"`
	TurnDetection  Opt[TurnDetectionPatch] `json:"turn_detection"`
}

// OutputPatch changes an [Output].
type OutputPatch struct {
	Format Opt[Format]  `json:"format"`
	Voice  Opt[Voice]   `json:"voice"`
	Speed  Opt[float64] `json:"speed" rule:"min=0.25,max=1.5"`
}

// TranscriberPatch changes a [Transcriber].
type TranscriberPatch struct {
	Model     Opt[string]   `json:"model" rule:"maxlen=256"`
	Language  Opt[string]   `json:"language" rule:"maxlen=16"`
	Languages Opt[[]string] `json:"languages" rule:"maxlen=32"`
	Prompt    Opt[string]   `json:"prompt" rule:"maxlen=16384"`
	Keywords  Opt[[]string] `json:"keywords" rule:"maxlen=1024"`
	Delay     Opt[string]   `json:"delay" rule:"enum=minimal|low|medium|high|xhigh"`
}

// TurnDetectionPatch changes a [TurnDetection]. Another type begins with that type's defaults.
type TurnDetectionPatch struct {
	Type              string       `json:"type" rule:"enum=server_vad|semantic_vad"`
	CreateResponse    Opt[bool]    `json:"create_response"`
	InterruptResponse Opt[bool]    `json:"interrupt_response"`
	Threshold         Opt[float64] `json:"threshold" rule:"min=0,max=1"`
	PrefixPaddingMs   Opt[int]     `json:"prefix_padding_ms" rule:"min=0,max=5000"`
	SilenceDurationMs Opt[int]     `json:"silence_duration_ms" rule:"min=0,max=10000"`
	IdleTimeoutMs     Opt[int]     `json:"idle_timeout_ms" rule:"min=5000,max=30000"`
	Eagerness         Opt[string]  `json:"eagerness" rule:"enum=low|medium|high|auto"`
}

// Voice is a voice's name; {"id":"name"} is read too.
type Voice string

func (v *Voice) decodeAt(raw json.RawMessage, path string, _ rule) *Error {
	var parts struct {
		ID string `json:"id" rule:"required,maxlen=256"`
	}
	if len(raw) > 0 && raw[0] == '{' {
		if err := decodeInto(raw, &parts, path); err != nil {
			return err
		}
	} else if err := decodeInto(raw, &parts.ID, path, "maxlen=256"); err != nil {
		return err
	}
	if parts.ID == "" {
		return Invalid(CodeInvalidValue, path, "Invalid value: a voice has a name.")
	}
	*v = Voice(parts.ID)
	return nil
}

// Truncation is "auto", "disabled" or {"type":"retention_ratio",…}, as it came.
type Truncation Any

func (t *Truncation) decodeAt(raw json.RawMessage, path string, _ rule) *Error {
	var parts struct {
		Type  string  `json:"type" rule:"required,enum=retention_ratio"`
		Ratio float64 `json:"retention_ratio" rule:"required,min=0,max=1"`
	}
	if len(raw) > 0 && raw[0] == '{' {
		if err := decodeInto(raw, &parts, path); err != nil {
			return err
		}
	} else if err := decodeInto(raw, &parts.Type, path, "enum=auto|disabled"); err != nil {
		return err
	}
	return (*Any)(t).decodeAt(raw, path, rule{})
}

// modality is the one entry of output_modalities.
type modality string

func (m *modality) decodeAt(raw json.RawMessage, path string, _ rule) *Error {
	var list []string
	if err := decodeInto(raw, &list, path, "enum="+AudioOut+"|"+TextOut); err != nil {
		return err
	}
	if len(list) != 1 {
		return Invalid(CodeInvalidValue, path, `Invalid modalities: either ["text"] or ["audio"].`)
	}
	*m = modality(list[0])
	return nil
}

// Merge returns the session after the patch. voiceLocked says that the assistant has been heard already,
// after which its voice cannot change. The error is an [*Error]; the session itself is never changed.
func (s Session) Merge(p SessionPatch, voiceLocked bool) (Session, error) {
	if p.Type != "" && p.Type != s.Type {
		return s, Invalid(CodeInvalidValue, "session.type", "A session keeps its type: '%s'.", s.Type)
	}
	voice := s.Output.Voice
	if a, ok := p.Audio.Get(); ok {
		if in, ok := a.Input.Get(); ok {
			s.Input = s.Input.merge(in)
		}
		if out, ok := a.Output.Get(); ok {
			out.Format.to(&s.Output.Format)
			out.Speed.to(&s.Output.Speed)
			if v, ok := out.Voice.Get(); ok {
				s.Output.Voice = string(v)
			}
		}
	}
	if voiceLocked && s.Output.Voice != voice {
		return s, Invalid(CodeVoiceLocked, "session.audio.output.voice",
			"Cannot update a conversation's voice if assistant audio is present.")
	}
	p.Model.to(&s.Model)
	p.Instructions.to(&s.Instructions)
	p.Tools.to(&s.Tools)
	p.ToolChoice.to(&s.ToolChoice)
	p.Temperature.to(&s.Temperature)
	if m, ok := p.Modality.Get(); ok {
		s.Modality = string(m)
	}
	if p.MaxOutputTokens.Set {
		s.MaxOutputTokens = p.MaxOutputTokens.Value // null means no limit
	}
	if t, ok := p.Truncation.Get(); ok {
		s.Truncation = Any(t)
	}
	s.echo(p)
	return s, s.checkToolChoice()
}

// echo takes over what has no effect.
func (s *Session) echo(p SessionPatch) {
	for _, f := range []struct {
		patch Opt[Any]
		to    *Any
	}{{p.Tracing, &s.Tracing}, {p.Prompt, &s.Prompt}, {p.Reasoning, &s.Reasoning}} {
		if f.patch.Set {
			*f.to = f.patch.Value
		}
	}
	if p.Include.Set {
		s.Include = p.Include
	}
	if p.ParallelToolCalls.Set {
		s.ParallelToolCalls = p.ParallelToolCalls
	}
}

// checkToolChoice finds a choice of a function that is not there.
func (s *Session) checkToolChoice() error {
	if !known(s.ToolChoice, s.Tools) {
		return noTool("session.tool_choice", s.ToolChoice.Name)
	}
	return nil
}

func known(c ToolChoice, tools []Tool) bool {
	if c.Mode != "function" {
		return true
	}
	for _, t := range tools {
		if t.Name == c.Name {
			return true
		}
	}
	return false
}

func (in Input) merge(p InputPatch) Input {
	p.Format.to(&in.Format)
	if p.NoiseReduction.Set {
		in.NoiseReduction = in.NoiseReduction.merge(p.NoiseReduction)
	}
	if p.Transcription.Set {
		in.Transcription = in.Transcription.merge(p.Transcription)
	}
	if p.TurnDetection.Set {
		in.TurnDetection = in.TurnDetection.merge(p.TurnDetection)
	}
	return in
}

func (n *NoiseReduction) merge(o Opt[NoiseReduction]) *NoiseReduction {
	next, on := o.Get()
	if !on {
		return nil
	}
	if n == nil {
		n = &NoiseReduction{Type: "near_field"}
	}
	if next.Type == "" {
		next.Type = n.Type
	}
	if next.Strength == nil {
		next.Strength = n.Strength
	}
	return &next
}

func (t *Transcriber) merge(o Opt[TranscriberPatch]) *Transcriber {
	p, on := o.Get()
	if !on {
		return nil
	}
	var next Transcriber
	if t != nil {
		next = *t
	}
	p.Model.to(&next.Model)
	p.Language.to(&next.Language)
	p.Languages.to(&next.Languages)
	p.Prompt.to(&next.Prompt)
	p.Keywords.to(&next.Keywords)
	p.Delay.to(&next.Delay)
	return &next
}

func (t *TurnDetection) merge(o Opt[TurnDetectionPatch]) *TurnDetection {
	p, on := o.Get()
	if !on {
		return nil
	}
	kind := p.Type
	if kind == "" && t != nil {
		kind = t.Type
	}
	if kind == "" {
		kind = ServerVAD
	}
	next := newTurnDetection(kind)
	if t != nil && t.Type == kind {
		*next = *t
	}
	p.CreateResponse.to(&next.CreateResponse)
	p.InterruptResponse.to(&next.InterruptResponse)
	if kind == SemanticVAD {
		p.Eagerness.to(&next.Eagerness)
		return next
	}
	p.Threshold.to(&next.Threshold)
	p.PrefixPaddingMs.to(&next.PrefixPaddingMs)
	p.SilenceDurationMs.to(&next.SilenceDurationMs)
	if p.IdleTimeoutMs.Set {
		next.IdleTimeoutMs = nil
		if v, ok := p.IdleTimeoutMs.Get(); ok {
			next.IdleTimeoutMs = &v
		}
	}
	return next
}
