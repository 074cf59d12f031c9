package realtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"brenda/pipeline/fault"
)

func TestVoiceTurn(t *testing.T) {
	scene(t, script{words: []string{"Quel temps fait-il ?"}}, func(p *person) {
		n := p.read
		p.quiet(1000)
		p.says(0, 1200)
		p.quiet(1500)
		p.wait("response.done")
		got := p.since(n)
		want := "input_audio_buffer.speech_started input_audio_buffer.speech_stopped input_audio_buffer.committed " +
			"conversation.item.added conversation.item.done conversation.item.input_audio_transcription.delta " +
			"conversation.item.input_audio_transcription.completed " + spokenAnswer
		if !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s…", got, want)
		}
		events := p.line.events()[n:]
		if at := events[0].get("audio_start_ms").(float64); at < 600 || at > 760 {
			t.Errorf("speech began at %v", at)
		}
		if at := events[1].get("audio_end_ms").(float64); at < 2150 || at > 2250 {
			t.Errorf("speech ended at %v", at)
		}
		if u, ok := events[3].get("item", "content", "transcript").(string); ok {
			t.Errorf("the words %q are there too early", u)
		}
		if turns := p.store.turns("me"); len(turns) != 1 || turns[0].User != "Quel temps fait-il ?" {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// first returns the first event of a kind.
func first(t *testing.T, events []event, kind string) event {
	t.Helper()
	for _, e := range events {
		if e.kind == kind {
			return e
		}
	}
	t.Fatalf("no %s: %s", kind, story(events))
	return event{}
}

// TestAnswerIsPrepared has all the work done within the silence that ends the turn: 96 ms until it is a pause, 50 ms of
// recognition, 150 ms for the first words and 100 ms for their sound are less than 500 ms.
func TestAnswerIsPrepared(t *testing.T) {
	s := script{words: []string{"Quel temps fait-il ?"}, answer: "Beau, très beau même, partout.", earTime: 50 * time.Millisecond}
	scene(t, s, func(p *person) {
		p.quiet(500)
		p.says(0, 1200)
		p.quiet(1500)
		p.wait("response.done")
		events := p.line.events()
		stopped, sound := first(t, events, "input_audio_buffer.speech_stopped"), first(t, events, "response.output_audio.delta")
		if d := sound.at.Sub(stopped.at); d > 0 {
			t.Errorf("the sound came %v after the decision", d)
		}
	})
}

func TestPauseWithinATurn(t *testing.T) {
	s := script{words: []string{"Je voudrais savoir", "quel temps il fait."}, earTime: 50 * time.Millisecond}
	scene(t, s, func(p *person) {
		n := p.read
		p.quiet(500)
		p.says(0, 1000)
		p.quiet(400)
		p.says(1, 1000)
		p.quiet(1500)
		p.wait("response.done")
		if got := p.since(n); strings.Count(got, "response.created") != 1 || strings.Count(got, "speech_started") != 1 {
			t.Errorf("got %s", got)
		}
		if len(p.llm.prompts) != 2 || p.llm.ended != 1 {
			t.Errorf("%d answers were begun, %d thrown away", len(p.llm.prompts), p.llm.ended)
		}
		if turns := p.store.turns("me"); len(turns) != 1 || turns[0].User != "Je voudrais savoir quel temps il fait." {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// answering brings a scene to where Brenda speaks.
func answering(p *person) {
	p.types("Quel temps fait-il ?")
	p.wait("response.output_audio.delta")
	p.quiet(1000)
}

func TestInterruption(t *testing.T) {
	scene(t, script{words: []string{"Non, je parlais de demain."}}, func(p *person) {
		answering(p)
		n := len(p.line.events())
		p.says(0, 1500)
		done := p.wait("response.done")
		p.quiet(1500)
		got := p.since(n)
		want := "response.output_audio.done response.output_audio_transcript.done response.content_part.done " +
			"response.output_item.done conversation.item.done response.done(cancelled) rate_limits.updated " +
			"input_audio_buffer.speech_started input_audio_buffer.speech_stopped"
		if !strings.Contains(got, want) {
			t.Errorf("got  %s\nwant …%s…", got, want)
		}
		if r := done.str("response", "status_details", "reason"); r != "turn_detected" {
			t.Errorf("the reason is %q", r)
		}
		heard := done.str("response", "output", "content", "transcript")
		if heard == "" || heard == usualAnswer || !strings.HasPrefix(usualAnswer, heard) {
			t.Errorf("%q was heard", heard)
		}
		p.wait("response.done")
		turns := p.store.turns("me")
		if len(turns) != 2 || !turns[0].Cut || turns[0].Assistant != heard || turns[1].User != "Non, je parlais de demain." {
			t.Errorf("the history has %+v", turns)
		}
		if ms := p.llm.last().Messages; ms[len(ms)-2].Content != heard+" …" {
			t.Errorf("the prompt was %+v", ms)
		}
	})
}

func TestStopWord(t *testing.T) {
	scene(t, script{words: []string{"stop"}, earTime: 50 * time.Millisecond}, func(p *person) {
		answering(p)
		start := time.Now()
		p.says(0, 300)
		p.quiet(700)
		done := p.wait("response.done")
		if done.str("response", "status") != "cancelled" || done.at.Sub(start) > 600*time.Millisecond {
			t.Errorf("%s after %v", done.str("response", "status"), done.at.Sub(start))
		}
	})
}

// gaps returns the longest time between two deltas of sound.
func gap(events []event) time.Duration {
	var last time.Time
	var most time.Duration
	for _, e := range events {
		if e.kind == "response.output_audio.delta" {
			if !last.IsZero() {
				most = max(most, e.at.Sub(last))
			}
			last = e.at
		}
	}
	return most
}

func TestHarmlessSounds(t *testing.T) {
	for name, c := range map[string]struct {
		word string
		ms   int
	}{
		"a backchannel":    {"oui", 300},
		"a cough":          {"", 200},
		"a longer noise":   {"", 600},
		"a click":          {"", 40},
		"our own echo":     {"Il fait beau aujourd'hui", 900},
		"a cough at once ": {"", 120},
	} {
		t.Run(name, func(t *testing.T) {
			scene(t, script{words: []string{c.word}}, func(p *person) {
				answering(p)
				n := len(p.line.events())
				p.says(0, c.ms)
				p.quiet(2000)
				if e := p.wait("response.done"); e.str("response", "status") != "completed" {
					t.Errorf("the answer was %s", e.str("response", "status"))
				}
				if got := p.since(n); strings.Contains(got, "speech_started") {
					t.Errorf("got %s", got)
				}
			})
		})
	}
}

// loud returns what a loudspeaker plays now, of all the sound that was sent.
func loud(events []event) bool {
	var end time.Time
	for _, e := range events {
		if e.kind == "response.output_audio.delta" {
			if end.Before(e.at) {
				end = e.at
			}
			end = end.Add(time.Duration(len(e.str("delta"))*3/4) * time.Second / 48000)
		}
	}
	return time.Now().Before(end)
}

// TestReplyIntoTheMicrophone plays the reply on an open loudspeaker: what Brenda says comes back as what it is.
func TestReplyIntoTheMicrophone(t *testing.T) {
	const voice = 10 // the loudness of the scripted voice is that of this word
	words := make([]string, voice+2)
	words[voice], words[voice+1] = "il fait beau", "Et demain, que dit la météo ?"
	for _, takes := range []time.Duration{100 * time.Millisecond, 900 * time.Millisecond} {
		scene(t, script{words: words, earTime: takes}, func(p *person) {
			p.types("Quel temps fait-il ?")
			p.wait("response.created")
			for range 600 { // 12 s
				if loud(p.line.events()) {
					p.says(voice, 20)
				} else {
					p.quiet(20)
				}
			}
			if e := p.wait("response.done"); e.str("response", "status") != "completed" {
				t.Errorf("the answer was %s", e.str("response", "status"))
			}
			if got := story(p.line.events()); strings.Contains(got, "speech_started") {
				t.Errorf("got %s", got)
			}
			if turns := p.store.turns("me"); len(turns) != 1 {
				t.Errorf("the history has %+v", turns)
			}
			p.types("Et après ?") // and yet people can interrupt
			p.wait("response.output_audio.delta")
			p.says(voice, 400)
			p.says(voice+1, 2500)
			p.quiet(1000)
			if e := p.wait("response.done"); e.str("response", "status") != "cancelled" {
				t.Errorf("the answer was %s", e.str("response", "status"))
			}
		})
	}
}

func TestSoundIsHeldAtOnce(t *testing.T) {
	scene(t, script{words: []string{""}}, func(p *person) {
		answering(p)
		n := len(p.line.events())
		p.says(0, 600)
		p.quiet(1500)
		p.wait("response.done")
		if g := gap(p.line.events()[n:]); g < 600*time.Millisecond {
			t.Errorf("the longest gap is %v: the sound was not held", g)
		}
	})
}

// TestShortEcho has an answer come back that is over before it is known what it was.
func TestShortEcho(t *testing.T) {
	words := make([]string, 11)
	words[10] = "avec plaisir"
	scene(t, script{words: words, answer: "Avec plaisir.", earTime: 1500 * time.Millisecond}, func(p *person) {
		p.types("Merci")
		p.wait("response.created")
		for range 300 {
			if loud(p.line.events()) {
				p.says(10, 20)
			} else {
				p.quiet(20)
			}
		}
		if got := story(p.line.events()); strings.Count(got, "response.created") != 1 {
			t.Errorf("got %s", got)
		}
	})
}

func TestMicrophoneGoesOffOverTheReply(t *testing.T) {
	scene(t, script{words: []string{""}}, func(p *person) {
		answering(p)
		p.says(0, 300)
		if e := p.wait("response.done"); e.str("response", "status") != "completed" {
			t.Errorf("the answer was %s", e.str("response", "status"))
		}
	})
}

func TestNoInterruptionWhenTurnedOff(t *testing.T) {
	update := `{"type":"realtime","audio":{"input":{"turn_detection":{"type":"server_vad","interrupt_response":false}}}}`
	scene(t, script{words: []string{"Et demain ?"}, update: update}, func(p *person) {
		answering(p)
		p.says(0, 1000)
		p.quiet(1000)
		if e := p.wait("response.done"); e.str("response", "status") != "completed" {
			t.Errorf("the answer was %s", e.str("response", "status"))
		}
		p.wait("response.created") // to what was said meanwhile
		p.wait("response.done")
	})
}

func TestPushToTalk(t *testing.T) {
	update := `{"type":"realtime","audio":{"input":{"turn_detection":null,"transcription":{"model":"whisper-1"}}}}`
	scene(t, script{words: []string{"Quel temps", "fait-il ?"}, update: update}, func(p *person) {
		n := p.read
		p.quiet(200)
		p.says(0, 600)
		p.quiet(1200)
		p.says(1, 600)
		p.send(`{"type":"input_audio_buffer.commit"}`)
		p.send(`{"type":"response.create"}`)
		p.wait("response.done")
		got := p.since(n)
		if !strings.HasPrefix(got, "input_audio_buffer.committed conversation.item.added conversation.item.done response.created "+
			"conversation.item.input_audio_transcription.delta") {
			t.Errorf("got %s", got)
		}
		if ms := p.llm.last().Messages; ms[len(ms)-1].Content != "Quel temps fait-il ?" {
			t.Errorf("the prompt was %+v", ms)
		}
		p.send(`{"type":"input_audio_buffer.commit"}`)
		if e := p.wait("error"); e.str("error", "code") != "input_audio_buffer_commit_empty" {
			t.Errorf("got %v", e.body)
		}
		p.says(0, 600)
		p.send(`{"type":"input_audio_buffer.clear"}`)
		p.wait("input_audio_buffer.cleared")
		p.quiet(400)
		p.send(`{"type":"input_audio_buffer.commit"}`)
		p.send(`{"type":"response.create"}`)
		if e := p.wait("response.done"); e.str("response", "status_details", "error", "code") != "no_speech" {
			t.Errorf("got %v", e.body)
		}
	})
}

func TestSpeechBeforeTheAnswer(t *testing.T) {
	s := script{words: []string{"Quel temps fait-il", "demain à Paris ?"}, earTime: 900 * time.Millisecond}
	scene(t, s, func(p *person) {
		n := p.read
		p.says(0, 1000)
		p.quiet(700) // the turn is over, its words are not known yet
		p.says(1, 1000)
		p.quiet(2500)
		p.wait("response.done")
		if got := p.since(n); strings.Count(got, "response.created") != 1 || strings.Count(got, "transcription.completed") != 2 {
			t.Errorf("got %s", got)
		}
		if ms := p.llm.last().Messages; ms[len(ms)-1].Content != "Quel temps fait-il\ndemain à Paris ?" {
			t.Errorf("the prompt was %+v", ms)
		}
	})
}

func TestNoiseGetsNoAnswer(t *testing.T) {
	scene(t, script{words: []string{""}}, func(p *person) {
		n := p.read
		p.says(0, 800)
		p.quiet(2000)
		p.wait("conversation.item.input_audio_transcription.completed")
		if got := p.since(n); strings.Contains(got, "response.") {
			t.Errorf("got %s", got)
		}
	})
}

// sure is a judge of turns with a fixed opinion.
type sure struct{ p float32 }

func (s sure) Finished(context.Context, []float32) (float32, error) { return s.p, nil }

func TestSemanticTurns(t *testing.T) {
	update := `{"type":"realtime","audio":{"input":{"turn_detection":{"type":"semantic_vad","eagerness":"high"}}}}`
	for _, c := range []struct {
		words    string
		finished float32
		most     int // milliseconds of silence
		least    int
	}{
		{"Quel temps fait-il à Paris ?", 0.95, 650, 450},
		{"Je voudrais un", 0.05, 2100, 1500},
	} {
		s := script{words: []string{c.words}, update: update, turn: sure{c.finished}}
		scene(t, s, func(p *person) {
			p.says(0, 1000)
			spoke := time.Now()
			p.quiet(2500)
			e := first(t, p.line.events(), "input_audio_buffer.speech_stopped")
			if d := int(e.at.Sub(spoke).Milliseconds()); d < c.least || d > c.most {
				t.Errorf("%q ended after %d ms", c.words, d)
			}
			p.wait("response.done")
		})
	}
}

func TestTranscriptionFails(t *testing.T) {
	scene(t, script{words: []string{"oui"}}, func(p *person) {
		p.ear.fail = fault.New(fault.Unavailable, "engine_missing", "no ear")
		p.says(0, 800)
		p.quiet(1000)
		p.wait("conversation.item.input_audio_transcription.failed")
		if e := p.wait("response.done"); e.str("response", "status") != "failed" {
			t.Errorf("got %v", e.body)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	update := `{"type":"realtime","audio":{"input":{"turn_detection":{"type":"server_vad","idle_timeout_ms":5000}}}}`
	scene(t, script{words: []string{"oui"}, update: update}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.done")
		p.quiet(7000)
		p.wait("input_audio_buffer.timeout_triggered")
		p.wait("response.done")
	})
}

// TestAnything does what comes to mind, in any order, and looks for what must never be.
func TestAnything(t *testing.T) {
	n := 100
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 4))
			words := []string{"Quel temps fait-il ?", "oui", "stop", "", "Il fait beau aujourd'hui", "je voudrais un"}
			scene(t, script{words: words, earTime: time.Duration(50+r.IntN(600)) * time.Millisecond}, func(p *person) {
				for range 25 {
					anything(p, r)
				}
				p.quiet(1000)
				time.Sleep(time.Minute)
				p.quiet(100)
				if left := open(p.line.events()); len(left) > 0 {
					t.Errorf("never ended: %v", left)
				}
			})
		})
	}
}

func anything(p *person, r *rand.Rand) {
	item := ""
	for _, e := range p.line.events() {
		if e.kind == "response.output_item.added" {
			item = e.str("item", "id")
		}
	}
	switch r.IntN(14) {
	case 0, 1, 2:
		p.says(r.IntN(6), 20+r.IntN(1500))
	case 3, 4, 5:
		p.quiet(r.IntN(1500))
	case 6:
		p.types("Bonjour")
	case 7:
		p.send(`{"type":"response.cancel"}`)
	case 8:
		p.send(`{"type":"input_audio_buffer.commit"}`)
	case 9:
		p.send(`{"type":"input_audio_buffer.clear"}`)
	case 10:
		p.send(fmt.Sprintf(`{"type":"conversation.item.truncate","item_id":%q,"content_index":0,"audio_end_ms":%d}`, item, r.IntN(3000)))
	case 11:
		p.send(`{"type":"response.create","response":{"conversation":"none"}}`)
	case 12:
		modes := []string{`null`, `{"type":"server_vad"}`, `{"type":"semantic_vad"}`, `{"type":"server_vad","interrupt_response":false}`}
		p.send(`{"type":"session.update","session":{"type":"realtime","audio":{"input":{"turn_detection":` + modes[r.IntN(len(modes))] + `}}}}`)
	case 13:
		p.send(fmt.Sprintf(`{"type":"conversation.item.delete","item_id":%q}`, item))
	}
	time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
}

// TestSettingsChangeInAPause has an answer prepared with instructions that no longer hold when the turn is over.
func TestSettingsChangeInAPause(t *testing.T) {
	scene(t, script{words: []string{"Quel temps fait-il ?"}, earTime: 50 * time.Millisecond}, func(p *person) {
		p.says(0, 1000)
		p.quiet(300)
		p.send(`{"type":"session.update","session":{"type":"realtime","instructions":"Réponds en vers."}}`)
		p.quiet(800)
		p.wait("response.done")
		if ms := p.llm.last().Messages; len(p.llm.prompts) != 2 || ms[0].Content != "Réponds en vers." {
			t.Errorf("the prompts were %+v", p.llm.prompts)
		}
		if got := story(p.line.events()); strings.Count(got, "response.created") != 1 {
			t.Errorf("got %s", got)
		}
	})
}

// TestCancelAtAnyMoment cancels also in the very moment in which something comes.
func TestCancelAtAnyMoment(t *testing.T) {
	for d := time.Duration(0); d < 1200*time.Millisecond; d += 25 * time.Millisecond {
		scene(t, script{}, func(p *person) {
			p.types("Bonjour")
			p.wait("response.created")
			time.Sleep(d)
			p.send(`{"type":"response.cancel"}`)
			if e := p.wait("response.done"); e.str("response", "status") != "cancelled" {
				t.Errorf("after %v the answer was %s", d, e.str("response", "status"))
			}
			time.Sleep(3 * time.Second)
		})
	}
}
