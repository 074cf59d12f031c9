package protocol

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestAppendIsReadAlike reads the frames of microphones in both ways.
func TestAppendIsReadAlike(t *testing.T) {
	fast := map[string]bool{
		`{"type":"input_audio_buffer.append","audio":"AAEC/w=="}`:                                     true,
		"{ \"audio\" : \"AAEC_w\" ,\n\"event_id\":\"e1\", \"type\":\"input_audio_buffer.append\" }\n": true,
		`{"type":"input_audio_buffer.append","audio":""}`:                                             true,
		`{"type":"input_audio_buffer.append","audio":"AA\/A"}`:                                        false,
		`{"type":"input_audio_buffer.append","audio":"AAAA","audio":"BBBB"}`:                          false,
		`{"type":"input_audio_buffer.append","audio":"AAAA","more":1}`:                                false,
		`{"type":"input_audio_buffer.append","audio":"*"}`:                                            false,
		`{"type":"input_audio_buffer.append","audio":"AAAA"} {}`:                                      false,
		`{"type":"input_audio_buffer.append","audio":"AAAA",}`:                                        false,
		`{"type":"input_audio_buffer.append","audio":null}`:                                           false,
		`{"type":"input_audio_buffer.append"}`:                                                        false,
		`{"type":"input_audio_buffer.commit","audio":"AAAA"}`:                                         false,
		"{\"type\":\"input_audio_buffer.append\",\"audio\":\"AA\nAA\"}":                               false,
		`{"type":"input_audio_buffer.append","audio":"AAAA"`:                                          false,
		`{`: false, ``: false, `[]`: false, `{"type"`: false, `{"type":"input_audio_buffer.append",`: false,
	}
	for frame, want := range fast {
		if _, ok := appendOf([]byte(frame)); ok != want {
			t.Errorf("%s: read at once %v", frame, ok)
		}
		alike(t, []byte(frame))
	}
}

// alike compares what is read at once with what is read with all care.
func alike(t *testing.T, frame []byte) {
	t.Helper()
	ev, ok := appendOf(frame)
	if !ok {
		return
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(frame, &parts); err != nil {
		t.Fatalf("%q: %v", frame, err)
	}
	want, err := decodeEvent(GA, parts)
	if err != nil || !reflect.DeepEqual(want, ClientEvent(ev)) {
		t.Fatalf("%q: %+v, with care %+v, %v", frame, ev, want, err)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte(`{"type":"input_audio_buffer.append","event_id":"é","audio":"AAEC/w=="}`))
	f.Add([]byte(`{"audio":"AA","type":"input_audio_buffer.append"}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if json.Valid(frame) {
			alike(t, frame)
		} else if _, ok := appendOf(frame); ok {
			t.Fatalf("%q is no JSON", frame)
		}
	})
}
