package protocol

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"brenda/pipeline/fault"
)

// fail returns the error that a frame gives.
func fail(t *testing.T, d Dialect, frame string) *Error {
	t.Helper()
	ev, err := Decode(d, []byte(frame))
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%s: got %+v, no error", frame, ev)
		return &Error{}
	}
	return e
}

func param(e *Error) string {
	if e.Param == nil {
		return ""
	}
	return *e.Param
}

func TestDecodeEveryEvent(t *testing.T) {
	h := Header{EventID: "e1"}
	user := Item{ID: "i1", Type: Message, Role: User, Content: []Content{{Type: InputText, Text: "Bonjour"}}}
	for frame, want := range map[string]ClientEvent{
		`{"type":"input_audio_buffer.append","event_id":"e1","audio":"AAEC/w=="}`:  &InputAudioAppend{h, Audio{0, 1, 2, 255}},
		`{"type":"input_audio_buffer.append","event_id":"e1","audio":"AAEC_w"}`:    &InputAudioAppend{h, Audio{0, 1, 2, 255}},
		`{"type":"input_audio_buffer.append","event_id":"e1","audio":"AAEC\/w=="}`: &InputAudioAppend{h, Audio{0, 1, 2, 255}},
		`{"type":"input_audio_buffer.append","event_id":"e1","audio":"data:audio/pcm;base64,AAEC/w=="}`: &InputAudioAppend{
			h, Audio{0, 1, 2, 255},
		},
		`{"type":"input_audio_buffer.append","event_id":"e1","audio":""}`:      &InputAudioAppend{h, Audio{}},
		`{"type":"input_audio_buffer.commit","event_id":"e1"}`:                 &InputAudioCommit{h},
		`{"type":"input_audio_buffer.clear","event_id":"e1","more":[1]}`:       &InputAudioClear{h},
		`{"type":"output_audio_buffer.clear","event_id":null}`:                 &OutputAudioClear{},
		`{"type":"response.cancel","event_id":"e1"}`:                           &ResponseCancel{h, ""},
		`{"type":"response.cancel","event_id":"e1","response_id":"r1"}`:        &ResponseCancel{h, "r1"},
		`{"type":"response.create","event_id":"e1"}`:                           &ResponseCreate{Header: h},
		`{"type":"response.create","event_id":"e1","response":null}`:           &ResponseCreate{Header: h},
		`{"type":"conversation.item.retrieve","event_id":"e1","item_id":"i1"}`: &ItemRetrieve{h, "i1"},
		`{"type":"conversation.item.delete","event_id":"e1","item_id":"i1"}`:   &ItemDelete{h, "i1"},
		`{"type":"conversation.item.truncate","event_id":"e1","item_id":"i1","content_index":0,"audio_end_ms":1500.0}`: &ItemTruncate{
			h, "i1", 0, 1500,
		},
		`{"type":"conversation.item.create","event_id":"e1","previous_item_id":"root","item":{"id":"i1","type":"message",
		  "role":"user","content":[{"type":"input_text","text":"Bonjour"}]}}`: &ItemCreate{h, user, Some("root")},
		`{"type":"conversation.item.create","event_id":"e1","previous_item_id":null,"item":{"id":"i1","type":"message",
		  "role":"user","content":[{"type":"text","text":"Bonjour"}]}}`: &ItemCreate{h, user, Opt[string]{Set: true, Null: true}},
		`{"type":"conversation.item.create","event_id":"e1","item":{"type":"function_call_output","call_id":"c1","output":"12"}}`: &ItemCreate{
			Header: h, Item: Item{Type: FunctionCallOutput, CallID: "c1", Output: "12"},
		},
	} {
		got, err := Decode(GA, []byte(frame))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", frame, got, err, want)
		}
	}
}

func TestDecodeNamesTheField(t *testing.T) {
	update := func(session string) string {
		return `{"type":"session.update","event_id":"e1","session":` + session + `}`
	}
	for frame, want := range map[string]string{ // code and field
		``:                          CodeInvalidEvent,
		`null`:                      CodeInvalidEvent,
		`[]`:                        CodeInvalidEvent,
		`{"type":`:                  CodeInvalidEvent,
		`{}`:                        CodeInvalidEvent + " type",
		`{"type":7}`:                CodeInvalidType + " type",
		`{"type":"talk"}`:           CodeInvalidEvent + " type",
		`{"type":"Session.Update"}`: CodeInvalidEvent + " type",
		`{"type":"transcription_session.update","session":{}}`:                                     CodeInvalidEvent + " type",
		`{"type":"input_audio_buffer.clear","event_id":5}`:                                         CodeInvalidType + " event_id",
		`{"type":"session.update"}`:                                                                CodeMissing + " session",
		`{"type":"input_audio_buffer.append"}`:                                                     CodeMissing + " audio",
		`{"type":"input_audio_buffer.append","audio":[1]}`:                                         CodeInvalidType + " audio",
		`{"type":"input_audio_buffer.append","audio":"é"}`:                                         CodeInvalidValue + " audio",
		`{"type":"conversation.item.truncate","item_id":"i","content_index":0}`:                    CodeMissing + " audio_end_ms",
		`{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":-1}`:  CodeInvalidValue + " audio_end_ms",
		`{"type":"conversation.item.truncate","item_id":"i","content_index":0.5,"audio_end_ms":1}`: CodeInvalidType + " content_index",
		update(`5`):               CodeInvalidType + " session",
		update(`{"type":"talk"}`): CodeInvalidValue + " session.type",
		update(`{"audio":{"input":{"format":5}}}`):                                    CodeInvalidType + " session.audio.input.format",
		update(`{"audio":{"input":{"format":{"type":"audio/mp3"}}}}`):                 CodeInvalidValue + " session.audio.input.format.type",
		update(`{"audio":{"input":{"format":{"rate":24000}}}}`):                       CodeMissing + " session.audio.input.format.type",
		update(`{"audio":{"input":{"format":"mp3"}}}`):                                CodeInvalidValue + " session.audio.input.format",
		update(`{"audio":{"input":{"format":{"type":"audio/pcm","rate":4000}}}}`):     CodeInvalidValue + " session.audio.input.format.rate",
		update(`{"audio":{"input":{"turn_detection":{"type":"x"}}}}`):                 CodeInvalidValue + " session.audio.input.turn_detection.type",
		update(`{"audio":{"input":{"turn_detection":{"threshold":1.1}}}}`):            CodeInvalidValue + " session.audio.input.turn_detection.threshold",
		update(`{"audio":{"input":{"turn_detection":{"idle_timeout_ms":100}}}}`):      CodeInvalidValue + " session.audio.input.turn_detection.idle_timeout_ms",
		update(`{"audio":{"input":{"noise_reduction":{"type":"loud"}}}}`):             CodeInvalidValue + " session.audio.input.noise_reduction.type",
		update(`{"audio":{"input":{"transcription":{"languages":["fr",5]}}}}`):        CodeInvalidType + " session.audio.input.transcription.languages[1]",
		update(`{"audio":{"output":{"speed":1.6}}}`):                                  CodeInvalidValue + " session.audio.output.speed",
		update(`{"audio":{"output":{"speed":"fast"}}}`):                               CodeInvalidType + " session.audio.output.speed",
		update(`{"audio":{"output":{"voice":{}}}}`):                                   CodeMissing + " session.audio.output.voice.id",
		update(`{"audio":{"output":{"voice":""}}}`):                                   CodeInvalidValue + " session.audio.output.voice",
		update(`{"output_modalities":["audio","text"]}`):                              CodeInvalidValue + " session.output_modalities",
		update(`{"output_modalities":["smell"]}`):                                     CodeInvalidValue + " session.output_modalities[0]",
		update(`{"output_modalities":"audio"}`):                                       CodeInvalidType + " session.output_modalities",
		update(`{"max_output_tokens":0}`):                                             CodeInvalidValue + " session.max_output_tokens",
		update(`{"max_output_tokens":"many"}`):                                        CodeInvalidType + " session.max_output_tokens",
		update(`{"tool_choice":"maybe"}`):                                             CodeInvalidValue + " session.tool_choice",
		update(`{"tool_choice":{"type":"function"}}`):                                 CodeMissing + " session.tool_choice.name",
		update(`{"tool_choice":{"type":"mcp","name":"x"}}`):                           CodeUnsupported + " session.tool_choice.type",
		update(`{"tools":[{"type":"function","name":"a"},{"type":"function"}]}`):      CodeMissing + " session.tools[1].name",
		update(`{"tools":[{"type":"mcp","server_label":"x"}]}`):                       CodeUnsupported + " session.tools[0].type",
		update(`{"tools":[{"type":"function","name":"a","parameters":[]}]}`):          CodeInvalidType + " session.tools[0].parameters",
		update(`{"truncation":"some"}`):                                               CodeInvalidValue + " session.truncation",
		`{"type":"conversation.item.create"}`:                                         CodeMissing + " item",
		`{"type":"conversation.item.create","item":{"type":"message"}}`:               CodeMissing + " item.role",
		`{"type":"conversation.item.create","item":{"type":"message","role":"user"}}`: CodeMissing + " item.content",
		`{"type":"conversation.item.create","item":{"type":"mcp_call"}}`:              CodeUnsupported + " item.type",
		`{"type":"conversation.item.create","item":{"type":"poem"}}`:                  CodeInvalidValue + " item.type",
		`{"type":"conversation.item.create","item":{"type":"function_call_output"}}`:  CodeMissing + " item.call_id",
		`{"type":"conversation.item.create","item":{"type":"message","role":"assistant","content":[{"type":"input_text"}]}}`: CodeInvalidValue +
			" item.content[0].type",
		`{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_image"}]}}`: CodeUnsupported +
			" item.content[0].type",
		`{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_audio","audio":"?"}]}}`: CodeInvalidValue +
			" item.content[0].audio",
		`{"type":"response.create","response":{"metadata":{"a":5}}}`:                  CodeInvalidType + " response.metadata.a",
		`{"type":"response.create","response":{"conversation":"other"}}`:              CodeInvalidValue + " response.conversation",
		`{"type":"response.create","response":{"input":[{"type":"item_reference"}]}}`: CodeMissing + " response.input[0].id",
		`{"type":"response.create","response":{"input":[null]}}`:                      CodeInvalidType + " response.input[0]",
	} {
		e := fail(t, GA, frame)
		if got := strings.TrimSpace(e.Code + " " + param(e)); got != want || e.Type != InvalidRequest || e.Message == "" {
			t.Errorf("%s:\n got %s (%s)\nwant %s", frame, got, e.Message, want)
		}
		if strings.Contains(frame, `"event_id":"e1"`) && (e.EventID == nil || *e.EventID != "e1") {
			t.Errorf("%s: the error does not carry the client's event_id", frame)
		}
	}
}

func TestMetadataLimits(t *testing.T) {
	pairs := map[string]string{}
	for i := range 17 {
		pairs[strconv.Itoa(i)] = "x"
	}
	many, _ := json.Marshal(pairs)
	for _, m := range []string{string(many), `{"` + strings.Repeat("n", 65) + `":"x"}`, `{"n":"` + strings.Repeat("é", 513) + `"}`} {
		if e := fail(t, GA, `{"type":"response.create","response":{"metadata":`+m+`}}`); param(e) != "response.metadata" {
			t.Errorf("%+v", e)
		}
	}
}

func TestErrorShape(t *testing.T) {
	frame, err := encoder(GA).Encode(ErrorEvent{Invalid(CodeInvalidType, "", "No.")})
	want := `{"type":"error","event_id":"event_1","error":{"type":"invalid_request_error","code":"invalid_type",` +
		`"message":"No.","param":null,"event_id":null}}`
	if err != nil || string(frame) != want {
		t.Errorf("%s %v", frame, err)
	}
	e := FromFault(fmt.Errorf("stage: %w", &fault.Error{Kind: fault.Unavailable, Code: "busy", Msg: "later", Err: errors.New("/secret")}))
	if e.Type != ServerFault || e.Code != "busy" || strings.Contains(e.Error(), "secret") {
		t.Errorf("%+v", e)
	}
	if e = FromFault(fault.Field("voice", "unknown")); e.Type != InvalidRequest || param(e) != "voice" {
		t.Errorf("%+v", e)
	}
	if e = FromFault(errors.New("/secret")); e.Code != "internal" || strings.Contains(e.Message, "secret") {
		t.Errorf("%+v", e)
	}
	if FromFault(nil) != nil {
		t.Error("an error of nothing")
	}
}

func BenchmarkDecodeAppend(b *testing.B) {
	frame := []byte(`{"type":"input_audio_buffer.append","audio":"` + base64.StdEncoding.EncodeToString(make([]byte, 960)) + `"}`)
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if _, err := Decode(GA, frame); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDecode: any bytes give an event or an Error, and a session.update that is read can be merged and
// written again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"type":"session.update","session":{"type":"realtime","audio":{"input":{"turn_detection":null}},"tools":[{"type":"function","name":"a"}]}}`,
		`{"type":"session.update","session":{"modalities":["text","audio"],"voice":"alloy","input_audio_format":"pcm16"}}`,
		`{"type":"transcription_session.update","session":{"input_audio_transcription":{"model":"whisper-1"}}}`,
		`{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_audio","audio":"AAAA"}]}}`,
		`{"type":"response.create","response":{"output_modalities":["text"],"metadata":{"a":"b"},"input":[]}}`,
		`{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":5}`,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, frame []byte, beta bool) {
		d := GA
		if beta {
			d = Beta
		}
		ev, err := Decode(d, frame)
		var e *Error
		switch {
		case err != nil && (!errors.As(err, &e) || e.Code == "" || e.Message == ""):
			t.Fatalf("%q: %v", frame, err)
		case (err == nil) == (ev == nil):
			t.Fatalf("%q: event %v, error %v", frame, ev, err)
		}
		switch ev := ev.(type) {
		case *SessionUpdate:
			s, err := NewSession(Realtime).Merge(ev.Session, false)
			if err != nil {
				return
			}
			for _, d := range []Dialect{GA, Beta} {
				if out, err := encoder(d).Encode(SessionUpdated{s}); err != nil || !json.Valid(out) {
					t.Fatalf("%q: %s %v", frame, out, err)
				}
			}
		case *ItemCreate:
			for _, d := range []Dialect{GA, Beta} {
				if out, err := encoder(d).Encode(ItemAdded{nil, ev.Item}); err != nil || !json.Valid(out) {
					t.Fatalf("%q: %s %v", frame, out, err)
				}
			}
		}
	})
}
