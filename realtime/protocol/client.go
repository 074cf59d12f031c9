package protocol

import (
	"encoding/json"
	"reflect"
	"slices"
)

// ClientEvent is an event that a client sends.
type ClientEvent interface {
	// ID is the client's own event_id, empty when it sent none. Errors about the event carry it.
	ID() string
}

// Header is what all client events have.
type Header struct {
	EventID string `json:"event_id" rule:"maxlen=512"`
}

// ID returns the client's event_id.
func (h Header) ID() string { return h.EventID }

// SessionUpdate is "session.update": it changes the fields that are there and leaves the others. Answered by
// session.updated with the whole session, or by an error, and then nothing has changed.
type SessionUpdate struct {
	Header
	Session SessionPatch `json:"session" rule:"required"`
}

// InputAudioAppend is "input_audio_buffer.append": the next sound of the microphone, in the session's input
// format, any number of bytes up to 15 MiB. Has no answer.
type InputAudioAppend struct {
	Header
	Audio Audio `json:"audio" rule:"required"`
}

// InputAudioCommit is "input_audio_buffer.commit": it makes a user message of the sound so far. Answered by
// input_audio_buffer.committed; an error when there is none.
type InputAudioCommit struct{ Header }

// InputAudioClear is "input_audio_buffer.clear": it throws the sound so far away. Answered by
// input_audio_buffer.cleared.
type InputAudioClear struct{ Header }

// ItemCreate is "conversation.item.create": it puts an item into the conversation, behind PreviousItemID,
// "root" for the beginning; the end when it is absent. Answered by conversation.item.added and .done.
type ItemCreate struct {
	Header
	Item           Item        `json:"item" rule:"required"`
	PreviousItemID Opt[string] `json:"previous_item_id"`
}

// ItemRetrieve is "conversation.item.retrieve": it asks for an item with all that is known of it. Answered by
// conversation.item.retrieved.
type ItemRetrieve struct {
	Header
	ItemID string `json:"item_id" rule:"required"`
}

// ItemDelete is "conversation.item.delete". Answered by conversation.item.deleted.
type ItemDelete struct {
	Header
	ItemID string `json:"item_id" rule:"required"`
}

// ItemTruncate is "conversation.item.truncate": it says how much of the assistant's sound was heard, in
// milliseconds from the item's start; the rest leaves the conversation. Answered by
// conversation.item.truncated.
type ItemTruncate struct {
	Header
	ItemID       string `json:"item_id" rule:"required"`
	ContentIndex int    `json:"content_index" rule:"required,min=0"`
	AudioEndMs   int    `json:"audio_end_ms" rule:"required,min=0"`
}

// ResponseCreate is "response.create": it has the assistant answer now. Answered by response.created and all
// that follows.
type ResponseCreate struct {
	Header
	Response ResponsePatch `json:"response"`
}

// ResponseCancel is "response.cancel": it ends the response that runs, or the one with ResponseID. Answered
// by response.done with the status "cancelled", or the error response_cancel_not_active.
type ResponseCancel struct {
	Header
	ResponseID string `json:"response_id"`
}

// OutputAudioClear is "output_audio_buffer.clear": it throws away the sound that is queued at the server.
// On a WebSocket the client holds the sound, so there is little to clear.
type OutputAudioClear struct{ Header }

// newClientEvent returns an empty event of this type, nil for an unknown one.
func newClientEvent(kind string) ClientEvent {
	switch kind {
	case "session.update":
		return &SessionUpdate{}
	case "input_audio_buffer.append":
		return &InputAudioAppend{}
	case "input_audio_buffer.commit":
		return &InputAudioCommit{}
	case "input_audio_buffer.clear":
		return &InputAudioClear{}
	case "conversation.item.create":
		return &ItemCreate{}
	case "conversation.item.retrieve":
		return &ItemRetrieve{}
	case "conversation.item.delete":
		return &ItemDelete{}
	case "conversation.item.truncate":
		return &ItemTruncate{}
	case "response.create":
		return &ResponseCreate{}
	case "response.cancel":
		return &ResponseCancel{}
	case "output_audio_buffer.clear":
		return &OutputAudioClear{}
	}
	return nil
}

// ClientEventTypes returns the types that [Decode] knows in a dialect.
func ClientEventTypes(d Dialect) []string {
	types := []string{
		"session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear",
		"conversation.item.create", "conversation.item.retrieve", "conversation.item.delete",
		"conversation.item.truncate", "response.create", "response.cancel", "output_audio_buffer.clear",
	}
	if d == Beta {
		types = append(types, betaTranscriptionUpdate)
	}
	return types
}

// Decode reads one text frame of a client. Its error is an [*Error], which already carries the client's
// event_id.
func Decode(d Dialect, frame []byte) (ClientEvent, error) {
	if ev, ok := appendOf(frame); ok {
		return ev, nil
	}
	var parts map[string]json.RawMessage
	if json.Unmarshal(frame, &parts) != nil || parts == nil {
		return nil, Invalid(CodeInvalidEvent, "", "The event is not a JSON object.")
	}
	var h Header
	if err := decodeFields(parts, reflect.ValueOf(&h).Elem(), ""); err != nil {
		return nil, err
	}
	ev, err := decodeEvent(d, parts)
	if err != nil {
		return nil, err.For(h.EventID)
	}
	return ev, nil
}

func decodeEvent(d Dialect, parts map[string]json.RawMessage) (ClientEvent, *Error) {
	var kind string
	switch raw, there := parts["type"]; {
	case !there || isNull(raw):
		return nil, Invalid(CodeInvalidEvent, "type", "The 'type' field is missing.")
	case json.Unmarshal(raw, &kind) != nil:
		return nil, wrongType("type", "a string", raw)
	case !slices.Contains(ClientEventTypes(d), kind):
		e := notOneOf("type", kind, ClientEventTypes(d))
		e.Code = CodeInvalidEvent
		return nil, e
	}
	if d == Beta {
		var err *Error
		if kind, parts, err = fromBeta(kind, parts); err != nil {
			return nil, err
		}
	}
	ev := newClientEvent(kind)
	if err := decodeFields(parts, reflect.ValueOf(ev).Elem(), ""); err != nil {
		if d == Beta {
			err = betaParam(err)
		}
		return nil, err
	}
	return ev, nil
}
