package protocol

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// merge applies a session.update to a session.
func merge(t *testing.T, d Dialect, s Session, session string) Session {
	t.Helper()
	frame := `{"type":"session.update","session":` + session + `}`
	ev, err := Decode(d, []byte(frame))
	if err != nil {
		t.Fatalf("%s: %v", session, err)
	}
	up, ok := ev.(*SessionUpdate)
	if !ok {
		t.Fatalf("%T", ev)
	}
	next, err := s.Merge(up.Session, false)
	if err != nil {
		t.Fatalf("%s: %v", session, err)
	}
	return next
}

// TestMerge checks each field for itself: absent leaves it, null turns it off or leaves it, a value sets it.
func TestMerge(t *testing.T) {
	base := sampleSession()
	base.Input.NoiseReduction = &NoiseReduction{Type: "far_field", Strength: new(0.5)}
	base.Input.Transcription = &Transcriber{Model: "base", Language: "fr"}
	base.MaxOutputTokens, base.Tracing = 100, Any(`"auto"`)
	type change func(*Session)
	td := func(s *Session, f func(*TurnDetection)) {
		next := *s.Input.TurnDetection
		f(&next)
		s.Input.TurnDetection = &next
	}
	for patch, want := range map[string]change{
		`{}`:                  func(*Session) {},
		`{"unknown":{"a":1}}`: func(*Session) {},
		`{"model":null,"instructions":null,"audio":null,"tools":null,"tool_choice":null,"truncation":null,"output_modalities":null}`: func(*Session) {},
		`{"audio":{"input":null,"output":{"format":null,"voice":null,"speed":null}}}`:                                                func(*Session) {},
		`{"type":"realtime","model":"m"}`:                    func(s *Session) { s.Model = "m" },
		`{"instructions":""}`:                                func(s *Session) { s.Instructions = "" },
		`{"output_modalities":["text"]}`:                     func(s *Session) { s.Modality = TextOut },
		`{"max_output_tokens":"inf"}`:                        func(s *Session) { s.MaxOutputTokens = 0 },
		`{"max_output_tokens":null}`:                         func(s *Session) { s.MaxOutputTokens = 0 },
		`{"max_output_tokens":4096}`:                         func(s *Session) { s.MaxOutputTokens = 4096 },
		`{"tools":[]}`:                                       func(s *Session) { s.Tools = []Tool{} },
		`{"tool_choice":"none"}`:                             func(s *Session) { s.ToolChoice = ToolChoice{Mode: "none"} },
		`{"tool_choice":{"type":"function","name":"heure"}}`: func(s *Session) { s.ToolChoice = ToolChoice{"function", "heure"} },
		`{"truncation":"disabled","tracing":null,"prompt":{"id":"p"},"reasoning":{"effort":"low"}}`: func(s *Session) {
			s.Truncation, s.Tracing, s.Prompt, s.Reasoning = Any(`"disabled"`), nil, Any(`{"id":"p"}`), Any(`{"effort":"low"}`)
		},
		`{"include":["a"],"parallel_tool_calls":false}`:                    func(s *Session) { s.Include, s.ParallelToolCalls = Some([]string{"a"}), Some(false) },
		`{"audio":{"output":{"voice":{"id":"v"},"speed":0.25}}}`:           func(s *Session) { s.Output.Voice, s.Output.Speed = "v", 0.25 },
		`{"audio":{"output":{"format":{"type":"audio/pcmu"}}}}`:            func(s *Session) { s.Output.Format = Format{MuLaw, 8000} },
		`{"audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}}`: func(s *Session) { s.Input.Format = Format{PCM, 16000} },
		`{"audio":{"input":{"noise_reduction":null}}}`:                     func(s *Session) { s.Input.NoiseReduction = nil },
		`{"audio":{"input":{"noise_reduction":{"type":"near_field"}}}}`: func(s *Session) {
			s.Input.NoiseReduction = &NoiseReduction{"near_field", new(0.5)}
		},
		`{"audio":{"input":{"transcription":null}}}`: func(s *Session) { s.Input.Transcription = nil },
		`{"audio":{"input":{"transcription":{"prompt":"x"}}}}`: func(s *Session) {
			s.Input.Transcription = &Transcriber{Model: "base", Language: "fr", Prompt: "x"}
		},
		`{"audio":{"input":{"turn_detection":null}}}`:                         func(s *Session) { s.Input.TurnDetection = nil },
		`{"audio":{"input":{"turn_detection":{}}}}`:                           func(*Session) {},
		`{"audio":{"input":{"turn_detection":{"threshold":0.9}}}}`:            func(s *Session) { td(s, func(t *TurnDetection) { t.Threshold = 0.9 }) },
		`{"audio":{"input":{"turn_detection":{"idle_timeout_ms":6000}}}}`:     func(s *Session) { td(s, func(t *TurnDetection) { t.IdleTimeoutMs = new(6000) }) },
		`{"audio":{"input":{"turn_detection":{"interrupt_response":false}}}}`: func(s *Session) { td(s, func(t *TurnDetection) { t.InterruptResponse = false }) },
		`{"audio":{"input":{"turn_detection":{"type":"semantic_vad","eagerness":"high","threshold":0.1}}}}`: func(s *Session) {
			s.Input.TurnDetection = &TurnDetection{Type: SemanticVAD, Eagerness: "high", CreateResponse: true, InterruptResponse: true}
		},
	} {
		wanted := base
		want(&wanted)
		if got := merge(t, GA, base, patch); !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s:\n got %+v\nwant %+v", patch, got, wanted)
		}
	}
	if !reflect.DeepEqual(base.Input.TurnDetection, newTurnDetection(ServerVAD)) {
		t.Error("a merge changed the session it began with")
	}
	// Push-to-talk and back begins with the defaults.
	off := merge(t, GA, base, `{"audio":{"input":{"turn_detection":null}}}`)
	on := merge(t, GA, off, `{"audio":{"input":{"turn_detection":{"silence_duration_ms":700}}}}`)
	if td := on.Input.TurnDetection; td == nil || td.Type != ServerVAD || td.SilenceDurationMs != 700 || td.Threshold != 0.5 {
		t.Errorf("%+v", td)
	}
}

func TestMergeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		patch  SessionPatch
		locked bool
		code   string
	}{
		"other type": {patch: SessionPatch{Type: Transcription}, code: CodeInvalidValue},
		"voice after sound": {
			patch: SessionPatch{Audio: Some(AudioPatch{Output: Some(OutputPatch{Voice: Some(Voice("x"))})})}, locked: true,
			code: CodeVoiceLocked,
		},
		"choice of no tool": {patch: SessionPatch{ToolChoice: Some(ToolChoice{"function", "none"})}, code: CodeInvalidValue},
	} {
		_, err := sampleSession().Merge(c.patch, c.locked)
		var e *Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	same := SessionPatch{Audio: Some(AudioPatch{Output: Some(OutputPatch{Voice: Some(Voice("Elise"))})})}
	if _, err := sampleSession().Merge(same, true); err != nil {
		t.Errorf("the same voice again: %v", err)
	}
}

func TestResponseTakesWhatItIsNotTold(t *testing.T) {
	s := sampleSession()
	c, err := s.Response(ResponsePatch{})
	if err != nil || c.Modality != AudioOut || c.Instructions != s.Instructions || c.HasInput || c.OutOfBand ||
		!reflect.DeepEqual(c.Output, s.Output) || len(c.Tools) != 1 {
		t.Errorf("%+v %v", c, err)
	}
	ev, err := Decode(GA, []byte(`{"type":"response.create","response":{"conversation":"none","output_modalities":["text"],
		"instructions":"Sois bref.","audio":{"output":{"voice":"v"}},"tools":[],"tool_choice":"none","max_output_tokens":7,
		"metadata":{"a":"b"},"input":[{"type":"item_reference","id":"i1"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	create, ok := ev.(*ResponseCreate)
	if !ok {
		t.Fatalf("%T", ev)
	}
	c, err = s.Response(create.Response)
	if err != nil || c.Modality != TextOut || c.Instructions != "Sois bref." || c.Output.Voice != "v" || len(c.Tools) != 0 ||
		c.ToolChoice.Mode != "none" || c.MaxOutputTokens != 7 || !c.OutOfBand || c.Metadata["a"] != "b" || !c.HasInput ||
		len(c.Input) != 1 || c.Input[0].ID != "i1" {
		t.Errorf("%+v %v", c, err)
	}
	if _, err = s.Response(ResponsePatch{ToolChoice: Some(ToolChoice{"function", "none"})}); err == nil {
		t.Error("a choice of no tool")
	}
}

// TestBetaReadsAsGA writes the same wish in both dialects.
func TestBetaReadsAsGA(t *testing.T) {
	for beta, ga := range map[string]string{
		`{"type":"session.update","session":{"modalities":["audio","text"],"voice":"alloy","speed":1.2,
		  "input_audio_format":"g711_ulaw","output_audio_format":"pcm16","input_audio_transcription":{"model":"whisper-1"},
		  "turn_detection":{"type":"server_vad","threshold":0.4},"input_audio_noise_reduction":{"type":"near_field"},
		  "max_response_output_tokens":"inf","temperature":0.7,"instructions":"x","tools":[],"tool_choice":"auto"}}`: `{
		  "type":"session.update","session":{"output_modalities":["audio"],"audio":{"input":{"format":{"type":"audio/pcmu"},
		  "transcription":{"model":"whisper-1"},"turn_detection":{"type":"server_vad","threshold":0.4},
		  "noise_reduction":{"type":"near_field"}},"output":{"voice":"alloy","speed":1.2,"format":{"type":"audio/pcm"}}},
		  "max_output_tokens":"inf","temperature":0.7,"instructions":"x","tools":[],"tool_choice":"auto"}}`,
		`{"type":"session.update","session":{"modalities":["text"],"turn_detection":null}}`:            `{"type":"session.update","session":{"output_modalities":["text"],"audio":{"input":{"turn_detection":null}}}}`,
		`{"type":"transcription_session.update","session":{"input_audio_format":"pcm16"}}`:             `{"type":"session.update","session":{"type":"transcription","audio":{"input":{"format":{"type":"audio/pcm"}}}}}`,
		`{"type":"response.create","response":{"modalities":["text"],"max_response_output_tokens":9}}`: `{"type":"response.create","response":{"output_modalities":["text"],"max_output_tokens":9}}`,
		`{"type":"response.create","response":{"voice":"x","output_audio_format":"g711_alaw"}}`:        `{"type":"response.create","response":{"audio":{"output":{"voice":"x","format":{"type":"audio/pcma"}}}}}`,
		`{"type":"conversation.item.create","item":{"type":"message","role":"assistant","content":[{"type":"text","text":"a"}]}}`: `{
		  "type":"conversation.item.create","item":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}]}}`,
		`{"type":"response.create"}`: `{"type":"response.create"}`,
	} {
		b, errBeta := Decode(Beta, []byte(beta))
		g, errGA := Decode(GA, []byte(ga))
		if errBeta != nil || errGA != nil || !reflect.DeepEqual(b, g) {
			t.Errorf("%s:\nbeta %+v %v\n  ga %+v %v", beta, b, errBeta, g, errGA)
		}
	}
}

func TestBetaErrorsNameBetaFields(t *testing.T) {
	for frame, want := range map[string]string{
		`{"type":"session.update","session":{"voice":5}}`:                         "session.voice",
		`{"type":"session.update","session":{"input_audio_format":"mp3"}}`:        "session.input_audio_format",
		`{"type":"session.update","session":{"turn_detection":{"threshold":2}}}`:  "session.turn_detection.threshold",
		`{"type":"session.update","session":{"modalities":["smell"]}}`:            "session.modalities[0]",
		`{"type":"session.update","session":{"max_response_output_tokens":5000}}`: "session.max_response_output_tokens",
		`{"type":"session.update","session":{"audio":5,"voice":"x"}}`:             "session.audio",
		`{"type":"session.update","session":5}`:                                   "session",
		`{"type":"session.update"}`:                                               "session",
		`{"type":"transcription_session.update"}`:                                 "session",
		`{"type":"response.create","response":{"voice":5}}`:                       "response.voice",
	} {
		if e := fail(t, Beta, frame); param(e) != want {
			t.Errorf("%s: %s (%s), want %s", frame, param(e), e.Message, want)
		}
	}
}

// TestEchoIsUnderstood: what a session shows, in either dialect, is a session.update that changes nothing.
// Clients send back what they were sent.
func TestEchoIsUnderstood(t *testing.T) {
	for d := range map[Dialect]bool{GA: true, Beta: true} {
		for _, ev := range samples() {
			up, ok := ev.(SessionUpdated)
			if !ok || up.Session.Type != Realtime {
				continue
			}
			frame, err := encoder(d).Encode(up)
			if err != nil {
				t.Fatal(err)
			}
			var parts map[string]json.RawMessage
			if err := json.Unmarshal(frame, &parts); err != nil {
				t.Fatal(err)
			}
			got := merge(t, d, up.Session, string(parts["session"]))
			again, err := encoder(d).Encode(SessionUpdated{got})
			if err != nil || string(again) != string(frame) {
				t.Errorf("dialect %d:\n got %s %v\nwant %s", d, again, err, frame)
			}
		}
	}
}

func TestNames(t *testing.T) {
	n := Names{
		Models: []string{"qwen", "llama"}, Transcribers: []string{"base"}, Voices: []string{"Elise", "Paul"},
		Model: "qwen", Transcriber: "base", Voice: "Elise",
	}
	for asked, want := range map[string]string{
		"gpt-realtime-2.1": "qwen", "": "qwen", "LLAMA": "llama", "gpt-4o-realtime-preview": "qwen", "nobody": "",
	} {
		s := sampleSession()
		s.Model, s.Output.Voice = asked, "marin"
		s.Input.Transcription = &Transcriber{Model: "whisper-1"}
		before := s.Input.Transcription
		err := n.Resolve(&s)
		var e *Error
		if want == "" {
			if !errors.As(err, &e) || param(e) != "session.model" || !strings.Contains(e.Message, "llama") {
				t.Errorf("%s: %v", asked, err)
			}
			continue
		}
		if err != nil || s.Model != want || s.Output.Voice != "Elise" || s.Input.Transcription.Model != "base" || before.Model != "whisper-1" {
			t.Errorf("%s: %+v %v", asked, s, err)
		}
	}
	if v, err := n.ResolveVoice("paul"); v != "Paul" || err != nil {
		t.Error(v, err)
	}
	if _, err := n.ResolveVoice("Georges"); err == nil {
		t.Error("a voice that is not there")
	}
	if v, err := (Names{Voice: "Elise"}).ResolveVoice("Georges"); v != "Georges" || err != nil {
		t.Error(v, err)
	}
}

func TestSecretRequest(t *testing.T) {
	if r, err := DecodeSecretRequest(nil); err != nil || r.Seconds != 600 || r.Session.Type != Realtime {
		t.Errorf("%+v %v", r, err)
	}
	r, err := DecodeSecretRequest([]byte(`{"expires_after":{"anchor":"created_at","seconds":10},"session":{"type":"transcription"}}`))
	if err != nil || r.Seconds != 10 || r.Session.Type != Transcription {
		t.Errorf("%+v %v", r, err)
	}
	for body, want := range map[string]string{
		`{"expires_after":{"seconds":9}}`: "expires_after.seconds", `{"session":{"type":"x"}}`: "session.type", `[`: "", `[]`: "",
		`{"expires_after":{"anchor":"now"}}`: "expires_after.anchor",
	} {
		_, err := DecodeSecretRequest([]byte(body))
		var e *Error
		if !errors.As(err, &e) || param(e) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	b, err := json.Marshal(Secret{Value: "ek_1", ExpiresAt: 5, Session: sampleSession()})
	if err != nil || !strings.HasPrefix(string(b), `{"value":"ek_1","expires_at":5,"session":{"id":"sess_1"`) {
		t.Errorf("%s %v", b, err)
	}
}

// TestOfficialClients merges what the Agents SDKs for Python (0.24) and JavaScript (0.20) send when they connect.
func TestOfficialClients(t *testing.T) {
	s := NewSession(Realtime)
	s = merge(t, GA, s, `{"type":"realtime","tracing":"auto"}`)
	s = merge(t, GA, s, `{"type":"realtime","audio":{"input":{"format":{"rate":24000,"type":"audio/pcm"},
		"transcription":{"model":"gpt-4o-mini-transcribe"},"turn_detection":{"type":"semantic_vad","interrupt_response":true}},
		"output":{"format":{"rate":24000,"type":"audio/pcm"},"voice":"ash"}},"instructions":"x","model":"gpt-realtime-2.1",
		"output_modalities":["audio"],"tools":[]}`)
	s = merge(t, GA, s, `{"type":"realtime","instructions":"x","model":"gpt-realtime-2.1","output_modalities":["audio"],
		"audio":{"input":{"format":{"type":"audio/pcm","rate":24000},"noise_reduction":null,
		"transcription":{"model":"gpt-4o-mini-transcribe"},"turn_detection":{"type":"semantic_vad","model_version":"x"}},
		"output":{"format":{"type":"audio/pcm","rate":24000},"speed":1}},"tool_choice":"auto",
		"tools":[{"type":"function","name":"heure","description":"","parameters":{"type":"object"},"strict":true}]}`)
	n := Names{Models: []string{"qwen"}, Voices: []string{"Elise"}, Model: "qwen", Voice: "Elise", Transcriber: "base"}
	if err := n.Resolve(&s); err != nil {
		t.Fatal(err)
	}
	td := s.Input.TurnDetection
	if s.Model != "qwen" || s.Output.Voice != "Elise" || s.Input.Transcription.Model != "base" || td.Type != SemanticVAD ||
		!td.InterruptResponse || len(s.Tools) != 1 || string(s.Tracing) != `"auto"` {
		t.Errorf("%+v", s)
	}
}
