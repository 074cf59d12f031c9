// Package pipeline is Brenda's voice pipeline: sound → VAD → STT → LLM tokens → speech text → TTS → sound.
//
// It owns the ports: small interfaces that engines fill. An engine blocks until it is done, streams through emit, obeys
// its context promptly and starts no goroutine that its caller must stop. emit blocking is back-pressure; emit failing
// stops the engine, which then returns emit's error. Engines live in pipeline/engine, one package per technology; only
// cmd knows them.
package pipeline

import "context"

// Rates and sizes that every engine agrees on. Sound inside Brenda is mono float32 in −1…1.
const (
	InputRate    = 16000 // Hz: what listening engines take
	OutputRate   = 24000 // Hz: what speaking engines give
	FrameSamples = 512   // samples of one VAD frame at InputRate: 32 ms
)

// VAD judges whether a frame holds speech.
type VAD interface {
	// Speech returns one probability (0…1) for each frame of pcm, whose length must be a multiple of FrameSamples at
	// InputRate, and advances st. The caller owns the state, so the engine may crash and come back between two calls.
	Speech(ctx context.Context, st *VADState, pcm []float32) ([]float32, error)
}

// VADState is the memory of one sound stream between calls. The zero value is the start of a stream.
type VADState struct {
	Hidden [256]float32 // the network's recurrent state (2×1×128)
	Tail   [64]float32  // the last samples of the frame before
}

// TurnDetector judges from the sound whether the person has finished.
type TurnDetector interface {
	// Finished returns the probability (0…1) that the turn is over at the end of pcm (InputRate; the last 8 s count).
	Finished(ctx context.Context, pcm []float32) (float32, error)
}

// Recognizer turns one stretch of speech into text.
type Recognizer interface {
	// Transcribe returns the words of s.PCM, at most about 30 s at InputRate. An unknown s.Model is fault.NotFound.
	Transcribe(ctx context.Context, s Speech) (Transcript, error)
}

// Speech is what a Recognizer is asked for.
type Speech struct {
	PCM      []float32 // mono, InputRate
	Language string    // ISO 639-1, or "auto"; empty means the engine's default
	Model    string    // a size such as "base"; empty means the default
	Prompt   string    // words that came before, to help with spelling; may be empty
	Thorough bool      // take more care at more cost: for a second try after a doubtful result
}

// Transcript is what was said.
type Transcript struct {
	Text     string
	Language string // ISO 639-1, as asked or as detected
	Model    string // the size that was used
	Segments []Segment
	Tokens   int  // how many tokens were decoded
	Capped   bool // the token limit was reached: probably a loop
	// Confidence is the tokens' mean probability (geometric), above 0 and up to 1; 0 when the engine does not tell.
	Confidence float64
}

// Segment is a stretch of a transcript; times in seconds from the start of the sound.
type Segment struct {
	Start, End float64
	Text       string
}

// Generator writes text.
type Generator interface {
	// Generate streams the answer to p through emit, in order, and returns why it ended. A prompt longer than the
	// model's context is fault.Invalid with code "context_length_exceeded". An unknown p.Model is fault.NotFound. A call that
	// is none, because its arguments are no JSON object or the function is not among p.Tools, is fault.Upstream with code
	// "bad_tool_call"; one that the token limit cuts ends with "length".
	Generate(ctx context.Context, p Prompt, emit func(Delta) error) (Completion, error)
}

// Prompt is what a Generator is asked for.
type Prompt struct {
	Model       string // empty means the default
	Messages    []Message
	MaxTokens   int      // 0 means the engine's default
	Temperature *float64 // nil means the engine's default
	Affinity    string   // requests with the same value profit from one prompt cache; may be empty

	Tools      []Tool
	ToolChoice ToolChoice
	OneCall    bool // at most one call in the answer
}

// Message is one entry of a conversation.
type Message struct {
	Role       string     `json:"role"` // "system", "user", "assistant" or "tool"
	Content    string     `json:"content"`
	ToolCalls  []ToolCall `json:"-"` // of an assistant; the answers to them are the next messages, in the same order
	ToolCallID string     `json:"-"` // of a tool: the call that it answers
}

// Delta is a piece of the answer as it is written: of its text, or of a call.
type Delta struct {
	Text string
	Call *CallDelta // nil for text; the receiver's to keep
}

// Completion says how a generation ended.
type Completion struct {
	FinishReason string // "stop", "length" or "tool_calls"
	Usage        Usage
}

// Usage counts tokens.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CachedTokens     int `json:"cached_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// Synthesizer speaks.
type Synthesizer interface {
	// Synthesize speaks l.Text and emits its sound at OutputRate, in order, in one piece or more. The text is already
	// spoken language (see speechtext): no digits, no abbreviations. An unknown voice is fault.NotFound. The slice
	// given to emit is the receiver's to keep.
	Synthesize(ctx context.Context, l Line, emit func(pcm []float32) error) error
}

// Line is what a Synthesizer is asked for: one chunk of speech.
type Line struct {
	Text     string
	Voice    string  // a voice's name; empty means the default
	Language string  // ISO 639-1; empty means the voice's own
	Speed    float64 // 0.5…2; 0 means 1
}
