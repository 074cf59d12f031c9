package realtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/hearing"
)

// TestPains plays what users of other voice servers complain of most: twenty pains, by their number.
func TestPains(t *testing.T) {
	play(t, firstPains())
	play(t, morePains())
	play(t, lastPains())
}

// over has Brenda speak, and then act.
func over(act func(p *person)) func(p *person) { return func(p *person) { answering(p); act(p) } }

// unharmed is the end of an answer that nothing has cut.
func unharmed(p *person) {
	p.t.Helper()
	p.quiet(1500)
	p.ends("completed")
	p.count("input_audio_buffer.speech_started", 0)
	if g := gap(p.line.events()); g > 1500*time.Millisecond {
		p.t.Errorf("the answer was held for %v", g)
	}
}

func firstPains() []scenario {
	return []scenario{
		{"pain 1: a cough does not cut the answer", speaking(""), over(func(p *person) { p.says(0, 200); unharmed(p) })},
		{"pain 1: typing does not cut the answer", speaking(""), over(func(p *person) {
			for range 12 {
				p.says(0, 20)
				p.quiet(140)
			}
			unharmed(p)
		})},
		{"pain 1: a noise in a silence is no question", speaking(""), func(p *person) {
			p.says(0, 600)
			p.quiet(3000)
			p.count("response.created", 0)
		}},
		{"pain 2: “oui” does not cut the answer", speaking("oui"), over(func(p *person) { p.says(0, 300); unharmed(p) })},
		{"pain 2: “d'accord”, twice, does not cut the answer", speaking("d'accord"), over(func(p *person) {
			p.says(0, 300)
			p.quiet(600)
			p.says(0, 300)
			unharmed(p)
		})},
		{"pain 2: “oui” is an answer to a question of Brenda", speaking("oui"), func(p *person) {
			p.ask()
			p.ends("completed")
			p.asked("oui")
		}},
		{"pain 3: her own voice from the loudspeaker is no turn", openRoom(), func(p *person) {
			p.types(question)
			p.wait("response.created")
			p.loudspeaker(12 * time.Second)
			p.ends("completed")
			p.count("input_audio_buffer.speech_started", 0)
		}},
		{"pain 3: her own voice, recognized too late, is no turn", openRoom().hearing(1500 * time.Millisecond).saying("Il fait beau."), func(p *person) {
			p.types(question)
			p.wait("response.created")
			p.loudspeaker(8 * time.Second)
			p.count("response.created", 1)
		}},
		{"pain 4: the history has what was heard", speaking("Non, demain."), over(func(p *person) {
			p.says(0, 1500)
			heard := p.ends("cancelled").str("response", "output", "content", "transcript")
			p.quiet(1500)
			p.ends("completed")
			p.history(question+" (cut)", "Non, demain.")
			if got := p.store.turns("me")[0].Assistant; got != heard || len(got) > len(usualAnswer)/2 {
				p.t.Errorf("%q was heard, the history has %q", heard, got)
			}
		})},
		{"pain 4: an answer of which nothing was heard is not in the history", speaking("", another), func(p *person) {
			p.types(question)
			p.wait("response.created")
			p.says(1, 1000)
			p.ends("cancelled")
			p.quiet(1500)
			p.ends("completed")
			for _, x := range p.store.turns("me") {
				if x.Cut && x.Assistant != "" {
					p.t.Errorf("the history has %+v", x)
				}
			}
		}},
		{"pain 5: the microphone goes off in the midst of a word", speaking(question, another), func(p *person) {
			p.says(0, 700)
			time.Sleep(time.Minute)
			p.types("Bonjour")
			p.ends("completed")
			p.quiet(1500)
			p.ends("completed")
			p.ask()
			p.ends("completed")
		}},
		{"pain 5: the recognizer fails, and then works", speaking(question), func(p *person) {
			p.ear.fail = fault.New(fault.Unavailable, "engine_missing", "no ear")
			p.ask()
			p.ends("failed")
			p.ear.fail = nil
			p.ask()
			p.ends("completed")
		}},
		{"pain 5: the model fails, and then works", fails(question), func(p *person) {
			p.ask()
			p.ends("failed")
			p.ask()
			p.ends("completed")
		}},
		{"pain 5: the model says nothing, and is asked again", silentOnce(question), func(p *person) {
			p.ask()
			p.wait("response.output_audio.delta")
			p.ends("completed")
		}},
		{"pain 5: sound is thrown away while the answer is held", speaking(""), over(func(p *person) {
			p.says(0, 160)
			p.clear()
			p.ends("completed")
		})},
		{"pain 5: sound is thrown away over a long function call", withCough(hesitant()), func(p *person) {
			p.types(question)
			p.wait("response.output_audio.delta")
			p.quiet(1700)
			p.says(0, 260)
			p.clear()
			p.ends("completed")
		}},
		{"pain 6: nothing of an answer comes after it was interrupted", speaking("Non, demain."), over(func(p *person) {
			p.says(0, 2500)
			p.ends("cancelled")
			n := p.read
			p.quiet(300)
			if got := p.since(n); strings.Contains(got, "delta") {
				p.t.Errorf("got %s", got)
			}
		})},
		{"pain 6: who goes on gets one answer, to all of it", speaking(question, another).hearing(900 * time.Millisecond), func(p *person) {
			p.ask()
			p.says(1, 1000)
			p.quiet(3000)
			p.wait("response.output_audio.delta")
			p.ends("completed")
			p.asked(question + "\n" + another)
		}},
		{"pain 7: a response that is asked for too early is refused, by its event_id", script{}, func(p *person) {
			p.types("Bonjour")
			p.wait("response.created")
			p.send(`{"type":"response.create","event_id":"mine"}`)
			if e := p.wait("error"); e.str("error", "code") != "conversation_already_has_active_response" || e.str("error", "event_id") != "mine" {
				p.t.Errorf("got %v", e.body)
			}
			p.ends("completed")
			p.types("Bonjour")
			p.ends("completed")
		}},
		{"pain 7: a result may come while the words before the call are spoken", errands("Un instant, je regarde.", paris()), func(p *person) {
			p.types(question)
			p.wait("response.function_call_arguments.done")
			p.result("call_1", "soleil")
			p.send(`{"type":"response.create"}`)
			p.ends("completed")
			p.ends("completed")
			p.count("error", 0)
		}},
	}
}

const abbreviated = "Il fait 22,1 degrés chez M. Dupont, au 10 av. Foch à Paris. C'est tout."

func morePains() []scenario {
	lines := &lines{}
	return []scenario{
		{"pain 8: a pause for breath does not end a turn", speaking("Je voudrais savoir", "quel temps il fait."), func(p *person) {
			p.says(0, 1000)
			p.quiet(400)
			p.says(1, 1000)
			p.quiet(800)
			p.ends("completed")
			p.asked("Je voudrais savoir quel temps il fait.")
		}},
		{"pain 8: an unfinished sentence is waited for", semantic(speaking("Je voudrais un"), sure{0.1}), func(p *person) {
			p.says(0, 1000)
			p.quiet(1400)
			p.count("input_audio_buffer.speech_stopped", 0)
			p.quiet(3000)
			p.count("input_audio_buffer.speech_stopped", 1)
		}},
		{"pain 8: a finished sentence is not waited for", semantic(speaking(question), sure{0.95}), func(p *person) {
			p.says(0, 1000)
			p.quiet(660)
			p.count("input_audio_buffer.speech_stopped", 1)
		}},
		{"pain 9: sentences are not cut within abbreviations and numbers", lines.given(abbreviated), func(p *person) {
			p.types(question)
			p.ends("completed")
			for _, l := range lines.got() {
				for _, bad := range []string{"22", "virgule", "M.", "monsieur", "av.", "avenue"} {
					if strings.HasSuffix(strings.ToLower(l), " "+strings.ToLower(bad)) {
						p.t.Errorf("%q is cut", l)
					}
				}
			}
		}},
		{"pain 10: marks and pictures are not read aloud", lines.given("**Bonjour** ! 😀\n# Le temps\n- `beau`"), func(p *person) {
			p.types(question)
			p.ends("completed")
			if all := strings.Join(lines.got(), " "); strings.ContainsAny(all, "*#`😀") || !strings.Contains(all, "Bonjour") {
				p.t.Errorf("she said %q", all)
			}
		}},
		{"pain 11: what a recognizer invents on silence is no question", script{}, func(p *person) {
			p.srv.engines.Ear = &hearing.Ear{VAD: loudVAD{}, STT: inventor{"Sous-titres réalisés par la communauté d'Amara.org"}}
			p.says(0, 300)
			p.quiet(2000)
			p.count("input_audio_buffer.committed", 1)
			p.count("response.created", 0)
		}},
		{"pain 12: a short word is heard in the language of the session", speaking("oui"), func(p *person) {
			p.says(0, 200)
			p.quiet(900)
			p.ends("completed")
			if got := p.ear.last().Language; got != "fr" {
				p.t.Errorf("it was heard as %q", got)
			}
		}},
		{"pain 13: what is kept of the sound is bounded, and work that nobody wants ends", speaking(question), func(p *person) {
			p.says(0, 100_000)
			p.call.post(func(context.Context) {
				if d := p.call.mic.length(); d > maxSound*5/4 {
					p.t.Errorf("%v of sound are kept", d)
				}
			})
			p.clear()
			p.types("Bonjour")
			p.wait("response.created") // the scene ends, and with it all that it began
		}},
		{"pain 14: a session in which nobody speaks asks nothing of the engines", speaking(question), func(p *person) {
			p.quiet(30_000)
			if p.ear.asked != 0 || len(p.llm.prompts) != 0 {
				p.t.Errorf("%d times heard, %d prompts", p.ear.asked, len(p.llm.prompts))
			}
		}},
		{"pain 14: who is one too many is told so", script{}, func(p *person) {
			var err error
			for range 3 {
				err = errors.Join(err, p.srv.admit(newCall(p.srv, "other", nil)))
			}
			if f := fault.As(err); f == nil || f.Code != "overloaded" {
				p.t.Errorf("got %v", err)
			}
			for c := range p.srv.calls {
				if c != p.call {
					p.srv.leave(c)
				}
			}
		}},
		{"pain 15: the first answer is as fast as the second", speaking(question), func(p *person) {
			var took [2]time.Duration
			for i := range took {
				p.says(0, 1000)
				spoke := time.Now()
				p.quiet(800)
				took[i] = p.wait("response.output_audio.delta").at.Sub(spoke)
				p.ends("completed")
				p.quiet(5000)
			}
			if took[0] > took[1]+50*time.Millisecond {
				p.t.Errorf("it took %v, and then %v", took[0], took[1])
			}
		}},
	}
}

func lastPains() []scenario {
	return []scenario{
		{"pain 16: she speaks before the answer is written", script{answer: strings.Repeat(usualAnswer+" ", 4)}, func(p *person) {
			p.types(question)
			sound := p.wait("response.output_audio.delta")
			p.ends("completed")
			var last event
			for _, e := range p.line.events() {
				if e.kind == "response.output_audio_transcript.delta" {
					last = e
				}
			}
			if d := last.at.Sub(sound.at); d < time.Second {
				p.t.Errorf("the last word came %v after the first sound", d)
			}
		}},
		{"pain 17: the last syllable is not cut", script{answer: "Bonjour à vous."}, func(p *person) {
			p.types(question)
			p.ends("completed")
			if got, want := sounds(p.line.events()), 2*letter*len("Bonjour à vous."); got < want {
				p.t.Errorf("%d bytes of sound came, %d were said", got, want)
			}
		}},
		{"pain 17: the first syllable is heard", speaking(question), func(p *person) {
			p.quiet(2000)
			p.ask()
			if at := p.wait("input_audio_buffer.speech_started").get("audio_start_ms").(float64); at > 1800 {
				p.t.Errorf("the turn begins at %v ms, the speech at 2000", at)
			}
			p.asked(question)
		}},
		{"pain 18: a dropped connection goes on where it was", script{resume: true}, func(p *person) {
			p.types(question)
			p.wait("response.output_audio.delta")
			time.Sleep(time.Second)
			p.drop()
			time.Sleep(time.Second)
			p.back(p.last())
			p.ends("completed")
			p.history(question)
		}},
		{"pain 18: a client that vanished is noticed", script{}, func(p *person) {
			p.line.mute.Store(true)
			select {
			case <-p.over:
			case <-time.After(2 * time.Minute):
				p.t.Error("nobody has noticed")
			}
		}},
		{"pain 19: settings that come after the first sound hold for the first turn", speaking(question), func(p *person) {
			p.says(0, 600)
			p.send(`{"type":"session.update","session":{"type":"realtime","instructions":"Réponds en vers."}}`)
			p.says(0, 400)
			p.quiet(900)
			p.ends("completed")
			if got := p.llm.last().Messages[0].Content; got != "Réponds en vers." {
				p.t.Errorf("the prompt began with %q", got)
			}
		}},
		{"pain 20: each answer says where its time went", speaking(question), func(p *person) {
			p.ask()
			e, before := p.ends("completed"), 0
			for _, stage := range []string{"transcript", "first_token", "first_chunk", "first_audio", "sent"} {
				ms := 0
				if _, err := fmt.Sscan(e.str("response", "metadata", stage), &ms); err != nil || ms < before {
					p.t.Errorf("%s is %q, after %d", stage, e.str("response", "metadata", stage), before)
				}
				before = ms
			}
		}},
		{"pain 20: a word of 160 ms is not lost", speaking("non"), func(p *person) {
			p.says(0, 160)
			p.quiet(900)
			p.ends("completed")
			p.asked("non")
		}},
	}
}

const voiceLevel = 10 // the loudness of the scripted voice is that of this word

// openRoom is a room with a loudspeaker.
func openRoom() script {
	said := make([]string, voiceLevel+1)
	said[voiceLevel] = "il fait beau"
	return script{words: said}
}

// loudspeaker plays into the microphone what Brenda says.
func (p *person) loudspeaker(d time.Duration) {
	for range d / (20 * time.Millisecond) {
		if loud(p.line.events()) {
			p.says(voiceLevel, 20)
		} else {
			p.quiet(20)
		}
	}
}

// hesitant is a model that writes at a long call after its words have been spoken.
func hesitant() script {
	return errands("Voici.", pipeline.ToolCall{ID: "call_1", Name: "meteo", Arguments: `{"ville":"` + strings.Repeat(":", 40) + `"}`})
}

// silentOnce is a model that ends its first answer before it has begun.
func silentOnce(said string) script {
	s, asked := speaking(said), 0
	s.llm = func(pipeline.Prompt) (string, error) {
		if asked++; asked == 1 {
			return "", nil
		}
		return usualAnswer, nil
	}
	return s
}

// fails is a model that fails for the draft of the first answer, and for the answer.
func fails(said string) script {
	s, times := speaking(said), 2
	s.llm = func(pipeline.Prompt) (string, error) {
		if times > 0 {
			times--
			return "", fault.New(fault.Unavailable, "engine_missing", "no model")
		}
		return usualAnswer, nil
	}
	return s
}

// inventor is a recognizer that hears the same in everything.
type inventor struct{ text string }

func (r inventor) Transcribe(context.Context, pipeline.Speech) (pipeline.Transcript, error) {
	return pipeline.Transcript{Text: r.text, Language: "fr"}, nil
}

// lines are what a voice was given to say.
type lines struct {
	mu   sync.Mutex
	said []string
}

func (l *lines) given(answer string) script {
	return script{answer: answer, voice: evenVoice{told: func(line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.said = append(l.said, line)
	}}}
}

func (l *lines) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := l.said
	l.said = nil
	return said
}
