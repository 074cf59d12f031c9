// Package protocol is the language of Brenda's WebSocket: OpenAI's Realtime protocol as Go data.
//
// It knows two dialects. [GA] is the one that OpenAI's API has had since August 2025; [Beta]
// ("realtime=v1") is the older one, which is read and written through a table of renames. [Decode] turns a
// client's frame into a [ClientEvent], [Encoder] turns a [ServerEvent] into a frame. The package holds no
// state of a session, does no I/O and knows no engine.
//
// Reading is strict about what it understands and forgiving about the rest: unknown fields are ignored, a
// null for a field that cannot be null counts as absent, a wrong type or a value out of range is an [Error]
// that names the field with its whole path, such as session.audio.input.format. Writing is complete: every
// field that the official clients require is always there, no array is ever null, and every event has an
// event_id.
//
// Not part of it are what a voice session without images, MCP servers, telephones and translation has no
// use for: the mcp_* items and events, input_image, dtmf_event_received, the realtime translation session.
// Asking for one of them is an [Error] that says so. Accepted and echoed, but without an effect, are
// tracing, prompt, include, reasoning, and noise_reduction.
package protocol

import (
	"crypto/rand"
	"strings"
)

// Dialect is one of the two forms of the protocol.
type Dialect int

// The dialects.
const (
	GA   Dialect = iota // names since August 2025
	Beta                // header "OpenAI-Beta: realtime=v1" or subprotocol "openai-beta.realtime-v1"
)

// NewID returns an id that no other has, in the form that clients know: "event_…", "item_…", "resp_…",
// "sess_…", "call_…".
func NewID(prefix string) string { return prefix + "_" + strings.ToLower(rand.Text()) }
