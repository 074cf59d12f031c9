package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/realtime/protocol"
)

// TestTruncation: a long conversation is cut as the session says.
func TestTruncation(t *testing.T) {
	talk := func(p *person, truncation string) int {
		p.send(`{"type":"session.update","session":{"type":"realtime","output_modalities":["text"],"truncation":` + truncation + `}}`)
		p.wait("session.updated")
		for i := range 30 {
			p.send(fmt.Sprintf(`{"type":"conversation.item.create","item":{"type":"message","role":%q,"content":[{"type":%q,"text":%q}]}}`,
				[]string{"user", "assistant"}[i%2], []string{"input_text", "output_text"}[i%2], strings.Repeat("mot ", 80)))
		}
		p.types("Et alors ?")
		p.wait("response.done")
		return len(p.llm.last().Messages)
	}
	counts := map[string]int{}
	for _, truncation := range []string{
		`"auto"`, `"disabled"`, `{"type":"retention_ratio","retention_ratio":0.5}`,
		`{"type":"retention_ratio","retention_ratio":1.0,"token_limits":{"post_instructions":400}}`,
	} {
		scene(t, script{}, func(p *person) { counts[truncation] = talk(p, truncation) })
	}
	if got := fmt.Sprint(counts); got != `map["auto":18 "disabled":32 {"type":"retention_ratio","retention_ratio":0.5}:10 `+
		`{"type":"retention_ratio","retention_ratio":1.0,"token_limits":{"post_instructions":400}}:4]` {
		t.Errorf("messages in the prompts: %s", got)
	}
	long := func(pipeline.Prompt) (string, error) {
		return "", fault.New(fault.Invalid, "context_length_exceeded", "too long")
	}
	scene(t, script{llm: long}, func(p *person) {
		talk(p, `"disabled"`)
		events := p.line.events()
		var done event
		for _, e := range events {
			if e.kind == "response.done" {
				done = e
			}
		}
		if done.str("response", "status_details", "error", "code") != "context_length_exceeded" || len(p.llm.prompts) != 1 {
			t.Errorf("after %d prompts: %v", len(p.llm.prompts), done.body)
		}
	})
}

func TestSlowestSpeedIsShown(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.send(`{"type":"session.update","session":{"type":"realtime","audio":{"output":{"speed":0.25}}}}`)
		if e := p.wait("session.updated"); e.get("session", "audio", "output", "speed").(float64) != 0.5 {
			t.Errorf("got %v", e.body)
		}
	})
}

func TestLanguages(t *testing.T) {
	for update, want := range map[string]string{
		`{"language":"en"}`: "en", `{"languages":["en"]}`: "en", `{"languages":["fr","en"]}`: "auto", `{}`: "fr",
		`{"language":"de","languages":["fr"]}`: "de",
	} {
		scene(t, script{}, func(p *person) {
			p.send(`{"type":"session.update","session":{"type":"realtime","audio":{"input":{"transcription":` + update + `}}}}`)
			p.wait("session.updated")
			p.says(0, 600)
			p.quiet(1200)
			if got := p.ear.last().Language; got != want {
				t.Errorf("%s: heard as %s, want %s", update, got, want)
			}
		})
	}
}

// TestTranscriptionSession writes down what is said, turn by turn, and never answers.
func TestTranscriptionSession(t *testing.T) {
	scene(t, script{kind: protocol.Transcription, words: []string{"Bonjour", "Au revoir"}}, func(p *person) {
		p.send(`{"type":"session.update","session":{"type":"transcription","audio":{"input":{"format":{"type":"audio/pcm","rate":16000},` +
			`"transcription":{"model":"gpt-4o-transcribe","language":"fr"},"turn_detection":{"type":"server_vad","silence_duration_ms":400}}}}}`)
		e := p.wait("session.updated")
		if e.str("session", "audio", "input", "transcription", "model") != "base" || e.str("session", "type") != "transcription" {
			t.Errorf("got %v", e.body)
		}
		n := p.read
		for i, want := range []string{"Bonjour", "Au revoir"} {
			p.says(i, 800)
			p.quiet(900)
			if e := p.wait("conversation.item.input_audio_transcription.completed"); e.str("transcript") != want || e.str("usage", "type") != "duration" {
				t.Errorf("got %v", e.body)
			}
		}
		const turn = "input_audio_buffer.speech_started input_audio_buffer.speech_stopped input_audio_buffer.committed " +
			"conversation.item.added conversation.item.done conversation.item.input_audio_transcription.delta " +
			"conversation.item.input_audio_transcription.completed"
		if got := p.since(n); got != turn+" "+turn {
			t.Errorf("got  %s\nwant %s twice", got, turn)
		}
		p.send(`{"type":"response.create"}`)
		if e := p.wait("error"); e.str("error", "code") != "invalid_session_type" {
			t.Errorf("got %v", e.body)
		}
		p.send(`{"type":"session.update","session":{"type":"realtime"}}`)
		if e := p.wait("error"); e.str("error", "param") != "session.type" {
			t.Errorf("got %v", e.body)
		}
		time.Sleep(time.Second)
		if len(p.llm.prompts) != 0 {
			t.Errorf("%d answers were made", len(p.llm.prompts))
		}
	})
}

// TestIgnoredFields are given back as they came, and change nothing.
func TestIgnoredFields(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.send(`{"type":"session.update","session":{"type":"realtime","tracing":"auto","prompt":{"id":"pmpt_1"},` +
			`"include":["item.input_audio_transcription.logprobs"],"reasoning":{"effort":"low"},` +
			`"audio":{"input":{"noise_reduction":{"type":"near_field"}}}}}`)
		e := p.wait("session.updated")
		if e.get("session", "tracing") != "auto" || e.str("session", "prompt", "id") != "pmpt_1" ||
			e.str("session", "audio", "input", "noise_reduction", "type") != "near_field" {
			t.Errorf("got %v", e.body)
		}
		p.types("Bonjour")
		if e := p.wait("response.done"); e.str("response", "status") != "completed" {
			t.Errorf("got %v", e.body)
		}
	})
}
