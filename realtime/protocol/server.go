package protocol

import "encoding/json"

// ServerEvent is an event that the server sends: one of the structs below. Its event_id is made when it is
// written, by [Encoder].
type ServerEvent interface{ eventType() string }

// TypeOf returns the value of "type" in the GA dialect.
func TypeOf(ev ServerEvent) string { return ev.eventType() }

// SessionCreated is the first event of a connection, with the whole configuration.
type SessionCreated struct {
	Session Session `json:"session"`
}

// SessionUpdated answers session.update, with the whole effective configuration.
type SessionUpdated struct {
	Session Session `json:"session"`
}

// ConversationCreated follows SessionCreated.
type ConversationCreated struct {
	Conversation Conversation `json:"conversation"`
}

// Conversation is the session's one conversation.
type Conversation struct {
	ID string // "conv_…"
}

// MarshalJSON adds the kind of object.
func (c Conversation) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"id": c.ID, "object": "realtime.conversation"})
}

// ErrorEvent tells of something that went wrong; the session goes on.
type ErrorEvent struct {
	Error *Error `json:"error"`
}

// SpeechStarted tells that the person speaks. AudioStartMs counts from the beginning of all sound that was
// ever appended, and includes the prefix padding. ItemID is the message that the speech will become.
type SpeechStarted struct {
	ItemID       string `json:"item_id"`
	AudioStartMs int    `json:"audio_start_ms"`
}

// SpeechStopped tells that the person's turn is over, at AudioEndMs from the beginning of all sound.
type SpeechStopped struct {
	ItemID     string `json:"item_id"`
	AudioEndMs int    `json:"audio_end_ms"`
}

// InputCommitted tells that the sound so far became the message ItemID. PreviousItemID is nil for the first
// item.
type InputCommitted struct {
	ItemID         string  `json:"item_id"`
	PreviousItemID *string `json:"previous_item_id"`
}

// InputCleared answers input_audio_buffer.clear.
type InputCleared struct{}

// TimeoutTriggered tells that the person has been silent for the idle timeout.
type TimeoutTriggered struct {
	ItemID       string `json:"item_id"`
	AudioStartMs int    `json:"audio_start_ms"` // where the silence began
	AudioEndMs   int    `json:"audio_end_ms"`
}

// ItemAdded tells of a new item, the beginning of one when it is the assistant's.
type ItemAdded struct {
	PreviousItemID *string `json:"previous_item_id"` // nil for the first item
	Item           Item    `json:"item"`
}

// ItemDone tells that an item is complete.
type ItemDone struct {
	PreviousItemID *string `json:"previous_item_id"`
	Item           Item    `json:"item"`
}

// ItemDeleted answers conversation.item.delete.
type ItemDeleted struct {
	ItemID string `json:"item_id"`
}

// ItemRetrieved answers conversation.item.retrieve.
type ItemRetrieved struct {
	Item Item `json:"item"`
}

// ItemTruncated answers conversation.item.truncate.
type ItemTruncated struct {
	ItemID       string `json:"item_id"`
	ContentIndex int    `json:"content_index"`
	AudioEndMs   int    `json:"audio_end_ms"` // milliseconds of the item's sound that remain
}

// TranscriptionDelta is the next piece of what the person said.
type TranscriptionDelta struct {
	ItemID       string `json:"item_id"`
	ContentIndex int    `json:"content_index"`
	Delta        string `json:"delta"`
}

// TranscriptionCompleted is all that the person said in an item. It may come after the response to it.
type TranscriptionCompleted struct {
	ItemID       string        `json:"item_id"`
	ContentIndex int           `json:"content_index"`
	Transcript   string        `json:"transcript"`
	Usage        DurationUsage `json:"usage"`
}

// DurationUsage is what was transcribed, in seconds of sound.
type DurationUsage float64

// MarshalJSON writes {"type":"duration","seconds":…}.
func (d DurationUsage) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type    string  `json:"type"`
		Seconds float64 `json:"seconds"`
	}{"duration", float64(d)})
}

// TranscriptionFailed tells that an item could not be transcribed.
type TranscriptionFailed struct {
	ItemID       string             `json:"item_id"`
	ContentIndex int                `json:"content_index"`
	Error        TranscriptionError `json:"error"`
}

// TranscriptionError is why there is no transcript.
type TranscriptionError struct {
	Type    string  `json:"type"`
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param,omitempty"` // left out for none: the Agents SDK takes no null here
}

// TranscriptionSegment is a stretch of a transcript; Start and End in seconds from the beginning of the item.
type TranscriptionSegment struct {
	ID           string  `json:"id"`
	ItemID       string  `json:"item_id"`
	ContentIndex int     `json:"content_index"`
	Text         string  `json:"text"`
	Speaker      string  `json:"speaker"` // empty: speakers are not told apart
	Start        float64 `json:"start"`
	End          float64 `json:"end"`
}

// ResponseCreated begins a response: its state is in_progress and its output empty.
type ResponseCreated struct {
	Response Response `json:"response"`
}

// ResponseDone ends a response, whatever became of it. It comes exactly once, and nothing of the response
// comes after it.
type ResponseDone struct {
	Response Response `json:"response"`
}

// OutputItemAdded begins an item of a response.
type OutputItemAdded struct {
	ResponseID  string `json:"response_id"`
	OutputIndex int    `json:"output_index"`
	Item        Item   `json:"item"`
}

// OutputItemDone ends an item of a response.
type OutputItemDone struct {
	ResponseID  string `json:"response_id"`
	OutputIndex int    `json:"output_index"`
	Item        Item   `json:"item"`
}

// PartRef says which part of which item of which response an event is about.
type PartRef struct {
	ResponseID   string `json:"response_id"`
	ItemID       string `json:"item_id"`
	OutputIndex  int    `json:"output_index"`
	ContentIndex int    `json:"content_index"`
}

// ContentPartAdded begins a part of a message.
type ContentPartAdded struct {
	PartRef
	Part Part `json:"part"`
}

// ContentPartDone ends a part of a message.
type ContentPartDone struct {
	PartRef
	Part Part `json:"part"`
}

// Part is a part of a message as these two events show it: with the short names of types.
type Part struct {
	Type string // AudioOut or TextOut
	Text string // what is written, or spoken
}

// MarshalJSON writes the words as "transcript" or "text".
func (p Part) MarshalJSON() ([]byte, error) {
	if p.Type == TextOut {
		return json.Marshal(map[string]string{"type": p.Type, "text": p.Text})
	}
	return json.Marshal(map[string]string{"type": p.Type, "transcript": p.Text})
}

// OutputAudioDelta is the next sound, in the response's output format.
type OutputAudioDelta struct {
	PartRef
	Delta Audio `json:"delta"`
}

// OutputAudioDone ends the sound of a part.
type OutputAudioDone struct{ PartRef }

// OutputTranscriptDelta is the next piece of the words that are spoken.
type OutputTranscriptDelta struct {
	PartRef
	Delta string `json:"delta"`
}

// OutputTranscriptDone has all words of a part of sound.
type OutputTranscriptDone struct {
	PartRef
	Transcript string `json:"transcript"`
}

// OutputTextDelta is the next piece of a written answer.
type OutputTextDelta struct {
	PartRef
	Delta string `json:"delta"`
}

// OutputTextDone has all of a written answer.
type OutputTextDone struct {
	PartRef
	Text string `json:"text"`
}

// CallRef says which function call an event is about.
type CallRef struct {
	ResponseID  string `json:"response_id"`
	ItemID      string `json:"item_id"`
	OutputIndex int    `json:"output_index"`
	CallID      string `json:"call_id"`
}

// ArgumentsDelta is the next piece of a function call's arguments.
type ArgumentsDelta struct {
	CallRef
	Delta string `json:"delta"`
}

// ArgumentsDone has all arguments of a function call: JSON as text.
type ArgumentsDone struct {
	CallRef
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// RateLimitsUpdated tells what the client may still use. Brenda has no such limits and sends an empty list.
type RateLimitsUpdated struct {
	RateLimits []RateLimit
}

// RateLimit is one limit.
type RateLimit struct {
	Name         string  `json:"name"` // "requests" or "tokens"
	Limit        int     `json:"limit"`
	Remaining    int     `json:"remaining"`
	ResetSeconds float64 `json:"reset_seconds"`
}

// MarshalJSON writes a list that is never null.
func (e RateLimitsUpdated) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string][]RateLimit{"rate_limits": notNil(e.RateLimits)})
}

// OutputBufferStarted tells that a response's sound begins to play, on connections where the server knows.
type OutputBufferStarted struct {
	ResponseID string `json:"response_id"`
}

// OutputBufferStopped tells that a response's sound was played to its end.
type OutputBufferStopped struct {
	ResponseID string `json:"response_id"`
}

// OutputBufferCleared tells that a response's sound was cut.
type OutputBufferCleared struct {
	ResponseID string `json:"response_id"`
}
