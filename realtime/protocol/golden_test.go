package protocol

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleSession() Session {
	s := NewSession(Realtime)
	s.ID, s.Model, s.Instructions, s.Output.Voice, s.ExpiresAt = "sess_1", "qwen", "Réponds en français.", "Elise", 1795424400
	s.Tools = []Tool{{
		Type: "function", Name: "heure", Description: "L'heure qu'il est.",
		Parameters: Any(`{"type":"object","properties":{"zone":{"type":"string"}}}`),
	}}
	return s
}

func sampleResponse(status string) Response {
	s := sampleSession()
	return Response{
		ID: "resp_1", Status: status, ConversationID: "conv_1", Modality: AudioOut, Sound: s.Output, Temperature: 0.8,
		MaxOutputTokens: 512, Metadata: Metadata{"kiosk": "7"},
	}
}

// samples has every server event, some of them twice.
func samples() []ServerEvent {
	whole := sampleSession()
	whole.Input.TurnDetection = nil
	whole.Input.NoiseReduction = &NoiseReduction{Type: "far_field", Strength: new(0.5)}
	whole.Input.Transcription = &Transcriber{Model: "base", Language: "fr", Prompt: "Brenda"}
	whole.Input.Format, whole.Output.Format = Format{Type: MuLaw, Rate: 8000}, Format{Type: ALaw, Rate: 8000}
	whole.ToolChoice, whole.MaxOutputTokens, whole.Modality = ToolChoice{Mode: "function", Name: "heure"}, 100, TextOut
	whole.Include, whole.ParallelToolCalls = Some([]string{"item.input_audio_transcription.logprobs"}), Some(true)
	whole.Reasoning, whole.Tracing, whole.Prompt = Any(`{"effort":"low"}`), Any(`"auto"`), Any(`{"id":"pmpt_1"}`)
	whole.Truncation = Any(`{"type":"retention_ratio","retention_ratio":0.8}`)
	semantic := sampleSession()
	semantic.Input.TurnDetection = newTurnDetection(SemanticVAD)
	written := NewSession(Transcription)
	written.ID = "sess_2"

	heard := Item{ID: "item_1", Type: Message, Role: User, Content: []Content{{Type: InputAudio}}}
	known := Item{ID: "item_1", Type: Message, Role: User, Content: []Content{
		{Type: InputAudio, Transcript: new("Quelle heure est-il ?"), Audio: Audio{1, 0, 2, 0}}, {Type: InputText, Text: "Vite !"},
	}}
	begun := Item{ID: "item_2", Type: Message, Role: Assistant, Status: InProgress}
	spoken := Item{ID: "item_2", Type: Message, Role: Assistant, Status: Incomplete, Content: []Content{
		{Type: OutputAudio, Transcript: new("Il est midi.")}, {Type: OutputText, Text: "Midi."},
	}}
	call := Item{ID: "item_3", Type: FunctionCall, Name: "heure", CallID: "call_1", Arguments: `{"zone":"Paris"}`}
	answer := Item{ID: "item_4", Type: FunctionCallOutput, CallID: "call_1", Output: "12:00"}
	system := Item{ID: "item_5", Type: Message, Role: System, Content: []Content{{Type: InputText, Text: "Sois bref."}}}
	part := PartRef{ResponseID: "resp_1", ItemID: "item_2", OutputIndex: 0, ContentIndex: 0}
	callRef := CallRef{ResponseID: "resp_1", ItemID: "item_3", OutputIndex: 1, CallID: "call_1"}
	prev := new("item_0")

	running, done, cut, failed, full := sampleResponse(InProgress), sampleResponse(Completed), sampleResponse(Cancelled),
		sampleResponse(Failed), sampleResponse(Incomplete)
	done.Output, done.Usage = []Item{spoken, call}, &Usage{Input: 100, Cached: 60, Output: 20}
	cut.Reason, failed.Error = TurnDetected, &Error{Type: ServerFault, Code: "engine_failed", Message: "the engine failed"}
	full.Reason, full.ConversationID, full.Modality, full.Metadata, full.MaxOutputTokens = MaxTokens, "", TextOut, nil, 0

	return []ServerEvent{
		SessionCreated{sampleSession()},
		SessionCreated{written},
		SessionUpdated{whole},
		SessionUpdated{semantic},
		SessionUpdated{written},
		ConversationCreated{Conversation{"conv_1"}},
		ErrorEvent{Invalid(CodeInvalidValue, "session.audio.output.speed", "Too fast.").For("event_7")},
		ErrorEvent{&Error{Type: ServerFault, Code: "server_error", Message: "Oh."}},
		SpeechStarted{"item_1", 320},
		SpeechStopped{"item_1", 2400},
		InputCommitted{"item_1", prev},
		InputCommitted{"item_1", nil},
		InputCleared{},
		TimeoutTriggered{"item_1", 100, 5100},
		ItemAdded{nil, heard},
		ItemAdded{prev, begun},
		ItemDone{prev, spoken},
		ItemDone{prev, call},
		ItemAdded{prev, answer},
		ItemAdded{nil, system},
		ItemDeleted{"item_1"},
		ItemRetrieved{known},
		ItemTruncated{"item_2", 0, 1500},
		TranscriptionDelta{"item_1", 0, "Quelle"},
		TranscriptionCompleted{"item_1", 0, "Quelle heure est-il ?", 2.4},
		TranscriptionFailed{"item_1", 0, TranscriptionError{Type: ServerFault, Code: "no_speech", Message: "Rien."}},
		TranscriptionSegment{ID: "seg_1", ItemID: "item_1", Text: "Quelle heure", End: 1.2},
		ResponseCreated{running},
		ResponseDone{done},
		ResponseDone{cut},
		ResponseDone{failed},
		ResponseDone{full},
		OutputItemAdded{"resp_1", 0, begun},
		OutputItemDone{"resp_1", 0, spoken},
		OutputItemDone{"resp_1", 1, call},
		ContentPartAdded{part, Part{AudioOut, ""}},
		ContentPartAdded{part, Part{TextOut, ""}},
		ContentPartDone{part, Part{AudioOut, "Il est midi."}},
		ContentPartDone{part, Part{TextOut, "Midi."}},
		OutputAudioDelta{part, Audio{0, 1, 2, 3, 255}},
		OutputAudioDone{part},
		OutputTranscriptDelta{part, "Il est"},
		OutputTranscriptDone{part, "Il est midi."},
		OutputTextDelta{part, "Mi"},
		OutputTextDone{part, "Midi."},
		ArgumentsDelta{callRef, `{"zo`},
		ArgumentsDone{callRef, "heure", `{"zone":"Paris"}`},
		RateLimitsUpdated{},
		RateLimitsUpdated{[]RateLimit{{"requests", 60, 59, 1.5}}},
		OutputBufferStarted{"resp_1"},
		OutputBufferStopped{"resp_1"},
		OutputBufferCleared{"resp_1"},
	}
}

func encoder(d Dialect) *Encoder {
	return &Encoder{Dialect: d, NewID: func() string { return "event_1" }}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%s", name, firstDifference(got, want))
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return " got " + g[i] + "\nwant " + w[i]
		}
	}
	return "one is longer"
}

// TestServerEvents writes one event a line in each dialect, to be read by people in a diff, and by the
// official packages.
func TestServerEvents(t *testing.T) {
	for d, name := range map[Dialect]string{GA: "server_ga.jsonl", Beta: "server_beta.jsonl"} {
		var out bytes.Buffer
		for _, ev := range samples() {
			frame, err := encoder(d).Encode(ev)
			if err != nil {
				t.Fatalf("%s: %v", ev.eventType(), err)
			}
			if frame == nil {
				continue
			}
			if !json.Valid(frame) {
				t.Fatalf("%s: %s", ev.eventType(), frame)
			}
			out.Write(append(frame, '\n'))
		}
		golden(t, name, out.Bytes())
	}
}

// TestNothingIsLeftOut encodes every event with nothing set: the fields must be there all the same, and no
// array be null.
func TestNothingIsLeftOut(t *testing.T) {
	arrays := []string{"content", "output", "output_modalities", "tools", "rate_limits"}
	seen := map[string]bool{}
	for _, ev := range samples() {
		if seen[ev.eventType()] {
			continue
		}
		seen[ev.eventType()] = true
		zero, ok := reflect.TypeAssert[ServerEvent](reflect.Zero(reflect.TypeOf(ev)))
		if !ok {
			t.Fatal(ev)
		}
		full, bare := fields(t, ev), fields(t, zero)
		for name := range full {
			if _, there := bare[name]; !there {
				t.Errorf("%s: %s is missing when empty", ev.eventType(), name)
			}
		}
		if id, ok := bare["event_id"].(string); !ok || id == "" {
			t.Errorf("%s: no event_id", ev.eventType())
		}
		noNullArrays(t, ev.eventType(), bare, arrays)
	}
	if len(seen) != 36 {
		t.Errorf("%d kinds of events in the samples", len(seen))
	}
}

func fields(t *testing.T, ev ServerEvent) map[string]any {
	t.Helper()
	frame, err := (&Encoder{}).Encode(ev)
	var m map[string]any
	if err != nil || json.Unmarshal(frame, &m) != nil {
		t.Fatalf("%s: %v %s", ev.eventType(), err, frame)
	}
	return m
}

func noNullArrays(t *testing.T, path string, v any, arrays []string) {
	t.Helper()
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, name := range arrays {
		if value, there := m[name]; there && value == nil {
			t.Errorf("%s.%s is null", path, name)
		}
	}
	for name, value := range m {
		noNullArrays(t, path+"."+name, value, arrays)
	}
}

func TestTranscriptIsNullBeforeItIsKnown(t *testing.T) {
	frame, err := encoder(GA).Encode(ItemAdded{nil, Item{Type: Message, Role: User, Content: []Content{{Type: InputAudio}}}})
	if err != nil || !bytes.Contains(frame, []byte(`{"type":"input_audio","transcript":null}`)) {
		t.Errorf("%s %v", frame, err)
	}
}

func TestBetaKnowsItsEventsOnly(t *testing.T) {
	for _, ev := range []ServerEvent{ItemDone{}, TimeoutTriggered{}, TranscriptionSegment{}} {
		if frame, err := encoder(Beta).Encode(ev); err != nil || frame != nil {
			t.Errorf("%s: %s %v", ev.eventType(), frame, err)
		}
	}
}

func TestEventIDsAreUnique(t *testing.T) {
	e, seen := &Encoder{}, map[string]bool{}
	for range 1000 {
		frame, err := e.Encode(InputCleared{})
		if err != nil || seen[string(frame)] {
			t.Fatal(string(frame), err)
		}
		seen[string(frame)] = true
	}
}

func BenchmarkEncodeAudio(b *testing.B) {
	e, ev := &Encoder{}, OutputAudioDelta{Delta: make(Audio, 4800)}
	for b.Loop() {
		if _, err := e.Encode(ev); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPointersAreEvents: an event may be given by its address, in both dialects.
func TestPointersAreEvents(t *testing.T) {
	for _, d := range []Dialect{GA, Beta} {
		e := Encoder{Dialect: d, NewID: func() string { return "event_1" }}
		for _, pair := range [][2]ServerEvent{
			{SessionCreated{Session: NewSession(Realtime)}, nil},
			{ResponseDone{Response: Response{ID: "resp_1", Status: Completed, Modality: AudioOut}}, nil},
			{ItemAdded{Item: Item{ID: "i", Type: Message, Role: Assistant, Content: []Content{{Type: OutputText}}}}, nil},
		} {
			switch ev := pair[0].(type) {
			case SessionCreated:
				pair[1] = &ev
			case ResponseDone:
				pair[1] = &ev
			case ItemAdded:
				pair[1] = &ev
			}
			value, err := e.Encode(pair[0])
			if err != nil {
				t.Fatal(err)
			}
			pointer, err := e.Encode(pair[1])
			if err != nil || string(pointer) != string(value) {
				t.Errorf("by address: %s, %v\nby value:   %s", pointer, err, value)
			}
		}
	}
}
