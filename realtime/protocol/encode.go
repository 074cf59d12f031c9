package protocol

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Encoder writes server events for one connection. It may be used by one goroutine at a time.
type Encoder struct {
	Dialect Dialect
	NewID   func() string // makes event ids; nil means random ones
}

// Encode returns the frame of an event, or nil when the dialect has no such event. It fails only for data
// that is no JSON, such as the parameters of a tool made by hand.
func (e *Encoder) Encode(ev ServerEvent) ([]byte, error) {
	id := ""
	if e.NewID != nil {
		id = e.NewID()
	}
	if id == "" {
		id = NewID("event")
	}
	if v := reflect.ValueOf(ev); v.Kind() == reflect.Pointer && !v.IsNil() { // the tables know values
		ev, _ = reflect.TypeAssert[ServerEvent](v.Elem())
	}
	kind := ev.eventType()
	body, err := json.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", kind, err)
	}
	if e.Dialect == Beta {
		if kind, body, err = toBeta(ev, kind, body); err != nil || kind == "" {
			return nil, err
		}
	}
	frame := make([]byte, 0, len(body)+len(kind)+len(id)+32)
	frame = fmt.Appendf(frame, `{"type":%q,"event_id":%q`, kind, id)
	if len(body) > len("{}") {
		frame = append(frame, ',')
	}
	return append(frame, body[1:]...), nil
}
