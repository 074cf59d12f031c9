package realtime

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// scenario is a scene with a name, which the list in docs/scenarios.md has.
type scenario struct {
	name  string
	given script
	act   func(p *person)
}

// play plays scenarios. In each of them the harness checks the rules of violations and disorder.
func play(t *testing.T, list []scenario) {
	t.Helper()
	for _, s := range list {
		t.Run(s.name, func(t *testing.T) { scene(t, s.given, s.act) })
	}
}

// speaking is a scene with these words, by the loudness at which they are said.
func speaking(said ...string) script { return script{words: said} }

func (s script) hearing(takes time.Duration) script { s.earTime = takes; return s }
func (s script) session(update string) script       { s.update = update; return s }
func (s script) saying(answer string) script        { s.answer = answer; return s }

// thinking has the model wait before the first word of its first answers: as long as a model on a busy machine, which does not
// notice meanwhile that nobody wants its answer any more.
func (s script) thinking(waits ...time.Duration) script {
	var once sync.Once
	var free chan struct{} // one answer after the other, as with one model
	s.llm = func(pipeline.Prompt) (string, error) {
		once.Do(func() { free = make(chan struct{}, 1) })
		free <- struct{}{}
		defer func() { <-free }()
		if len(waits) > 0 {
			d := waits[0]
			waits = waits[1:]
			time.Sleep(d)
		}
		return usualAnswer, nil
	}
	return s
}

// slowJudge is a Smart Turn on a busy machine.
type slowJudge struct {
	p     float32
	takes time.Duration
}

func (j slowJudge) Finished(ctx context.Context, _ []float32) (float32, error) {
	select {
	case <-time.After(j.takes):
		return j.p, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// ends waits for the end of a response.
func (p *person) ends(status string) event {
	p.t.Helper()
	e := p.wait("response.done")
	if got := e.str("response", "status"); got != status {
		p.t.Errorf("the response is %s, want %s: %v", got, status, e.get("response", "status_details"))
	}
	return e
}

// count checks how many events of a kind have come.
func (p *person) count(kind string, want int) {
	p.t.Helper()
	got := 0
	for _, e := range append(p.past, p.line.events()...) {
		got += b2i(e.kind == kind)
	}
	if got != want {
		p.t.Errorf("%d times %s, want %d", got, kind, want)
	}
}

// history checks the turns that are kept: what the person said, and whether the answer was cut.
func (p *person) history(want ...string) {
	p.t.Helper()
	time.Sleep(2 * grace)
	var got []string
	for _, t := range p.store.turns("me") {
		said := t.User
		if t.Cut {
			said += " (cut)"
		}
		got = append(got, said)
	}
	if strings.Join(got, " | ") != strings.Join(want, " | ") {
		p.t.Errorf("the history has %q, want %q", got, want)
	}
}

// asked checks what the person said last in the newest prompt.
func (p *person) asked(want string) {
	p.t.Helper()
	ms := p.llm.last().Messages
	if got := ms[len(ms)-1]; got.Role != "user" || got.Content != want {
		p.t.Errorf("the prompt ends with %s: %q, want %q", got.Role, got.Content, want)
	}
}

const (
	question = "Quel temps fait-il ?"
	another  = "Et demain à Lyon ?"
)

// ask says the first words, and is silent until the turn is taken.
func (p *person) ask() { p.says(0, 1000); p.quiet(800) }

func (p *person) clear() { p.send(`{"type":"input_audio_buffer.clear"}`) }

// slow is a machine on which each sentence takes long to be written down.
const slow = 12 * time.Second

// TestSlowEngines has engines that take so long that the person has gone on before they are through. In the end the person has an
// answer, always, and it is an answer to all that was said.
func TestSlowEngines(t *testing.T) { play(t, slowScenes()) }

func slowScenes() []scenario {
	noise := speaking(question, "").hearing(slow)
	return []scenario{
		{"a cough while the words are written down takes no answer", noise, func(p *person) {
			p.ask()
			p.says(1, 200)
			p.quiet(30_000)
			p.ends("completed")
			p.asked(question)
			p.history(question)
		}},
		{"two coughs while the words are written down take no answer", noise, func(p *person) {
			p.ask()
			p.says(1, 200)
			p.quiet(900)
			p.says(1, 300)
			p.quiet(40_000)
			p.ends("completed")
			p.count("response.created", 1)
			p.asked(question)
		}},
		{"a cough while the model thinks takes no answer", speaking(question, "").thinking(10*time.Second, 10*time.Second), func(p *person) {
			p.ask()
			p.quiet(3000)
			p.says(1, 200)
			p.quiet(30_000)
			p.ends("cancelled")
			p.ends("completed")
			p.asked(question)
			p.history(question)
		}},
		{"a cough that the client throws away takes no answer", noise, func(p *person) {
			p.ask()
			p.says(1, 200)
			p.clear()
			p.quiet(30_000)
			p.ends("completed")
			p.count("response.created", 1)
		}},
		{"a cough that the client throws away after the words are known", speaking(question, "").thinking(10 * time.Second), func(p *person) {
			p.ask()
			p.quiet(2000)
			p.says(1, 200)
			p.clear()
			p.quiet(30_000)
			p.ends("cancelled")
			p.ends("completed")
		}},
		{"an interruption, and a cough after it", speaking(question, another, "").hearing(slow), func(p *person) {
			answering(p)
			p.says(1, 2000)
			p.quiet(800)
			p.says(2, 200)
			p.quiet(40_000)
			p.ends("cancelled")
			p.ends("completed")
			p.asked(another)
		}},
		{"an interruption while the cancelled model goes on for 10 s", speaking(question, another).thinking(time.Second, 10*time.Second), func(p *person) {
			answering(p)
			p.says(1, 2000)
			p.quiet(30_000)
			p.ends("cancelled")
			p.ends("completed")
			p.asked(another)
		}},
		{"a draft queued behind a cancelled answer", speaking(question, another).thinking(20 * time.Second), func(p *person) {
			p.ask()
			p.quiet(1000)
			p.says(1, 1000)
			p.quiet(40_000)
			p.ends("cancelled")
			p.ends("completed")
			p.asked(question + "\n" + another)
		}},
		{"the melody is judged long after the turn is over", semantic(speaking(question).hearing(slow), slowJudge{0.01, 20 * time.Second}), func(p *person) {
			p.ask()
			p.quiet(40_000)
			p.ends("completed")
			p.count("input_audio_buffer.speech_stopped", 1)
		}},
		{"the words come when the next pause has begun", speaking("Quel temps", "fait-il ?").hearing(2 * time.Second), func(p *person) {
			p.says(0, 900)
			p.quiet(300)
			p.says(1, 1900)
			p.quiet(10_000)
			p.ends("completed")
			p.asked("Quel temps fait-il ?")
			p.count("response.created", 1)
		}},
		{"three sentences before the first is written down", speaking("Bonjour.", question, another).hearing(slow), func(p *person) {
			p.ask()
			p.says(1, 1000)
			p.quiet(800)
			p.says(2, 1000)
			p.quiet(60_000)
			p.ends("completed")
			p.asked("Bonjour.\n" + question + "\n" + another)
			p.count("response.created", 1)
		}},
		{"a message is deleted while a response waits for its words", speaking(question).hearing(slow), func(p *person) {
			p.ask()
			item := p.wait("conversation.item.added").str("item", "id")
			p.send(`{"type":"response.create"}`)
			p.wait("response.created")
			p.send(`{"type":"conversation.item.delete","item_id":"` + item + `"}`)
			p.quiet(30_000)
			p.wait("response.done")
		}},
		{"push to talk is chosen in the midst of a turn", speaking(question, another).hearing(slow), func(p *person) {
			p.says(0, 800)
			p.send(`{"type":"session.update","session":{"type":"realtime","audio":{"input":{"turn_detection":null}}}}`)
			p.says(1, 800)
			p.send(`{"type":"input_audio_buffer.commit"}`)
			p.send(`{"type":"response.create"}`)
			p.ends("completed")
			p.asked(another)
		}},
		{"the disk takes 10 s for each turn", speaking(question, another, ""), func(p *person) {
			p.store.takes = 10 * time.Second
			p.ask()
			p.wait("response.output_audio.done")
			p.says(1, 1000)
			p.quiet(800)
			p.says(2, 200)
			p.quiet(40_000)
			p.ends("completed")
			p.ends("completed")
			p.asked(another)
			p.history(question, another)
		}},
		{"a machine that preempts the draft again and again", preempted(question), func(p *person) {
			p.ask()
			p.quiet(20_000)
			p.ends("completed")
			p.count("response.created", 1)
			p.asked(question)
		}},
		{"a function's result comes with a cough before it is told", withCough(errands("", paris())), func(p *person) {
			p.types(question)
			p.ends("completed")
			p.result("call_1", "soleil")
			p.send(`{"type":"response.create"}`)
			p.wait("response.created")
			p.says(0, 200)
			p.quiet(5000)
			p.ends("cancelled")
			p.ends("completed")
		}},
		{"typed while a cough follows what was said", noise, func(p *person) {
			p.ask()
			p.says(1, 200)
			p.types("Et demain ?")
			p.quiet(40_000)
			p.ends("completed")
			p.count("response.created", 1) // which answers both
		}},
	}
}

// semantic has the melody and the words decide.
func semantic(s script, judge pipeline.TurnDetector) script {
	s.turn = judge
	return s.session(`{"type":"realtime","audio":{"input":{"transcription":{"model":"whisper-1"},"turn_detection":{"type":"semantic_vad"}}}}`)
}

// preempted has the model taken away from the first answers.
func preempted(said string) script {
	s, times := speaking(said), 3
	s.llm = func(pipeline.Prompt) (string, error) {
		time.Sleep(time.Second)
		if times > 0 {
			times--
			return "", fault.ErrPreempted
		}
		return usualAnswer, nil
	}
	return s
}

// withCough is a scene in which the first word is none.
func withCough(s script) script { s.words = []string{""}; return s }
