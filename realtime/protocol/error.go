package protocol

import (
	"fmt"
	"strings"

	"brenda/pipeline/fault"
)

// The values of [Error].Type.
const (
	InvalidRequest = "invalid_request_error" // the client's doing
	ServerFault    = "server_error"          // ours
)

// Codes that official clients look at, or that this package gives.
const (
	CodeInvalidEvent   = "invalid_event" // no JSON object, no type, an unknown type
	CodeInvalidType    = "invalid_type"  // a string where a number is wanted and so on
	CodeInvalidValue   = "invalid_value" // of the right type, but not one that is allowed
	CodeMissing        = "missing_required_parameter"
	CodeUnsupported    = "unsupported" // known, but Brenda does not have it
	CodeVoiceLocked    = "cannot_update_voice"
	CodeActiveResponse = "conversation_already_has_active_response"
	CodeCancelInactive = "response_cancel_not_active"
	CodeCommitEmpty    = "input_audio_buffer_commit_empty"
	CodeItemNotFound   = "item_not_found"
)

// Error is what went wrong, as the client reads it in an "error" event. The session goes on after it.
//
// It must not be used for warnings: some clients end their session on codes they do not know.
type Error struct {
	Type    string  `json:"type"`     // InvalidRequest or ServerFault
	Code    string  `json:"code"`     // stable, lower case
	Message string  `json:"message"`  // for people; holds no path and no secret
	Param   *string `json:"param"`    // the field to blame, nil for none
	EventID *string `json:"event_id"` // the client's own id of the event that caused it, nil for none
}

// Error returns the message, with the field in front.
func (e *Error) Error() string {
	if e.Param != nil {
		return *e.Param + ": " + e.Message
	}
	return e.Message
}

// For returns the error as the answer to the client event with this event_id; empty means that it had none.
func (e *Error) For(eventID string) *Error {
	if eventID == "" {
		return e
	}
	answer := *e
	answer.EventID = &eventID
	return &answer
}

// Invalid returns an error that blames the client; param is empty when no single field is to blame.
func Invalid(code, param, format string, args ...any) *Error {
	e := &Error{Type: InvalidRequest, Code: code, Message: fmt.Sprintf(format, args...)}
	if param != "" {
		e.Param = &param
	}
	return e
}

// FromFault returns an error of the pipeline in the form of the protocol. Texts that are not meant for
// clients stay hidden.
func FromFault(err error) *Error {
	f := fault.As(err)
	if f == nil {
		return nil
	}
	e := &Error{Type: ServerFault, Code: f.Code, Message: f.Msg}
	if e.Code == "" {
		e.Code = "server_error"
	}
	switch f.Kind {
	case fault.Invalid, fault.Unauthorized, fault.Forbidden, fault.NotFound, fault.Conflict, fault.TooLarge,
		fault.Unsupported, fault.BadRange, fault.Misdirected, fault.RateLimited:
		e.Type = InvalidRequest
	default:
	}
	if f.Param != "" {
		e.Param = &f.Param
	}
	return e
}

func wrongType(path, want string, got []byte) *Error {
	return Invalid(CodeInvalidType, path, "Invalid type: expected %s, but got %s instead.", want, kindOf(got))
}

func missing(path string) *Error {
	return Invalid(CodeMissing, path, "Missing required parameter: '%s'.", path)
}

func noTool(path, name string) *Error {
	return Invalid(CodeInvalidValue, path, "There is no tool named '%s'.", clip(name))
}

func notOneOf(path, got string, allowed []string) *Error {
	return Invalid(CodeInvalidValue, path, "Invalid value: '%s'. Supported values are: '%s'.", clip(got),
		strings.Join(allowed, "', '"))
}

// clip keeps a client's own text short when it is given back.
func clip(s string) string {
	const most = 64
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
