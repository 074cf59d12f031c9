package pipeline

import "time"

// TurnID numbers the turns of one session, from 1 up. It rides on every event, so that nothing of an old turn is played.
type TurnID uint64

// EventKind tells what an Event carries.
type EventKind int

// The kinds of events, in the order in which a turn can first send them.
const (
	TranscriptEvent EventKind = iota // Text: what the person said; once, for spoken input only
	TextEvent                        // Text: the next piece of the answer
	AudioEvent                       // PCM: the sound of one chunk; Text: the words spoken; Source: the words as written
	CallEvent                        // Call: the next piece of a function call
	DoneEvent                        // Result: how the turn ended; exactly one, last
)

// Event is what a turn tells its session.
type Event struct {
	Turn   TurnID
	Kind   EventKind
	Text   string
	Source string
	PCM    []float32 // mono, OutputRate, −1…1
	Call   *CallDelta
	Handed time.Duration // for AudioEvent: when its text was handed to the voice, from the turn's start
	Result *Result
}

// Result is how a turn ended.
type Result struct {
	FinishReason string // "stop", "length", "tool_calls" or "cancelled"; empty when Err is set
	Transcript   string
	Text         string // all of the answer that was written
	Usage        Usage
	Timings      Timings
	Err          error // a failure; an interruption is no failure
}

// Timings says when each stage of a turn had its first result, counted from the turn's start. Zero means never.
type Timings struct {
	VAD        time.Duration // speech found in the sound
	STT        time.Duration // transcript complete
	FirstToken time.Duration // first token of the LLM
	FirstChunk time.Duration // first chunk of text handed to the TTS
	FirstAudio time.Duration // first sound out of the TTS
	Total      time.Duration // the turn's end
}
