package turntaking

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// dictionary is a Words for tests.
type dictionary struct{}

func (dictionary) Stop(s string) bool {
	return strings.HasPrefix(s, "stop") || strings.HasPrefix(s, "attends")
}
func (dictionary) Backchannel(s string) bool { return s == "oui" || s == "mmh" || s == "d'accord" }
func (dictionary) Echo(heard, said string) bool {
	return heard != "" && strings.Contains(said, heard)
}

func (dictionary) Complete(s string) float64 {
	if strings.HasSuffix(s, " un") || strings.HasSuffix(s, " et") {
		return 0
	}
	return 0.9
}

// person plays a microphone: speech and silence by the millisecond, with answers to the machine's questions.
type person struct {
	*Machine
	log   []Effect
	words string  // what a recognizer would hear; "" answers nothing
	sound float32 // what Smart Turn would say; negative answers nothing
	lag   int     // frames until the recognizer answers
	due   []due
}

type due struct {
	at, rev int
}

func newPerson(cfg Config) *person {
	cfg.Words = dictionary{}
	return &person{Machine: New(cfg), sound: -1, lag: 6}
}

func (p *person) frames(d time.Duration, prob float32) {
	for range frames(d) {
		p.take(p.Frame(prob))
		for len(p.due) > 0 && p.due[0].at <= p.now {
			rev := p.due[0].rev
			p.due = p.due[1:]
			if p.sound >= 0 {
				p.Judged(rev, p.sound)
			}
			p.take(p.Heard(rev, p.words))
		}
	}
}

func (p *person) take(es []Effect) {
	for _, e := range es {
		p.log = append(p.log, e)
		if (e.Kind == Paused || e.Kind == Probe) && (p.words != "" || p.sound >= 0) {
			p.due = append(p.due, due{p.now + p.lag, e.Rev})
		}
	}
}

func (p *person) speaks(ms int)  { p.frames(time.Duration(ms)*time.Millisecond, 0.9) }
func (p *person) silence(ms int) { p.frames(time.Duration(ms)*time.Millisecond, 0.05) }

// story is the kinds of effects, in order.
func (p *person) story() string {
	names := map[Kind]string{
		SpeechStarted: "start", Paused: "pause", Resumed: "resume", TurnEnded: "end", Duck: "duck", Unduck: "unduck",
		Probe: "probe", Interrupted: "cut", Backchannel: "backchannel", Echo: "echo", TimedOut: "timeout",
	}
	out := make([]string, len(p.log))
	for i, e := range p.log {
		out[i] = names[e.Kind]
	}
	return strings.Join(out, " ")
}

func TestScenarios(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		cfg  Config
		act  func(p *person)
		want string
	}{
		"a sentence":                 {act: func(p *person) { p.silence(500); p.speaks(1500); p.silence(1000) }, want: "start pause end"},
		"one short word is not lost": {act: func(p *person) { p.speaks(130); p.silence(1000) }, want: "start pause end"},
		"a click is nothing":         {act: func(p *person) { p.speaks(64); p.silence(2000) }, want: ""},
		"clicks do not add up": {act: func(p *person) {
			p.speaks(32)
			p.silence(800)
			p.speaks(32)
			p.silence(800)
			p.speaks(64)
			p.silence(800)
		}, want: ""},
		"a pause for breath": {
			act:  func(p *person) { p.speaks(1000); p.silence(300); p.speaks(800); p.silence(1000) },
			want: "start pause resume pause end",
		},
		"a click in a pause does not restart it": {
			cfg:  Config{Mode: ServerVAD},
			act:  func(p *person) { p.speaks(1000); p.silence(256); p.speaks(32); p.silence(256) },
			want: "start pause end",
		},
		"server_vad obeys its silence": {
			cfg:  Config{Mode: ServerVAD, Silence: 800 * ms},
			act:  func(p *person) { p.speaks(1000); p.silence(760); p.speaks(300); p.silence(830) },
			want: "start pause resume pause end",
		},
		"an unfinished sentence is waited for": {
			act: func(p *person) {
				p.words, p.sound = "je voudrais un", 0.4
				p.speaks(900)
				p.silence(1500)
				p.speaks(500)
				p.silence(300)
			},
			want: "start pause resume pause",
		},
		"but not for ever": {
			act:  func(p *person) { p.words, p.sound = "je voudrais un", 0.1; p.speaks(900); p.silence(2000) },
			want: "start pause end",
		},
		"a finished one ends at the least silence": {
			act:  func(p *person) { p.words, p.sound = "quelle heure est-il", 0.95; p.speaks(900); p.silence(520) },
			want: "start pause end",
		},
		"eagerness bounds the wait": {
			cfg:  Config{Longest: 700 * ms},
			act:  func(p *person) { p.words, p.sound = "je voudrais un", 0; p.speaks(900); p.silence(740) },
			want: "start pause end",
		},
		"push to talk decides nothing": {
			cfg: Config{Mode: Manual},
			act: func(p *person) { p.speaks(1000); p.silence(3000) }, want: "",
		},
		"a cough over the reply": {
			cfg:  Config{Interrupt: true},
			act:  func(p *person) { p.Reply(true, "Il fait beau."); p.speaks(160); p.silence(1500) },
			want: "duck probe unduck",
		},
		"a click over the reply": {
			cfg:  Config{Interrupt: true},
			act:  func(p *person) { p.Reply(true, "Il fait beau."); p.speaks(64); p.silence(600) },
			want: "duck unduck",
		},
		"a backchannel does not cut": {
			cfg:  Config{Interrupt: true},
			act:  func(p *person) { p.words = "oui"; p.Reply(true, "Il fait beau."); p.speaks(250); p.silence(800) },
			want: "duck probe backchannel unduck",
		},
		"a stop word cuts at once": {
			cfg:  Config{Interrupt: true},
			act:  func(p *person) { p.words = "attends"; p.Reply(true, "Il fait beau."); p.speaks(250); p.silence(1200) },
			want: "duck probe cut start pause end",
		},
		"real speech cuts": {
			cfg: Config{Interrupt: true},
			act: func(p *person) {
				p.words = "et demain alors"
				p.Reply(true, "Il fait beau.")
				p.speaks(1400)
				p.silence(1200)
			},
			want: "duck probe cut start pause end",
		},
		"long speech cuts even if nobody writes it down": {
			cfg:  Config{Interrupt: true},
			act:  func(p *person) { p.Reply(true, "Il fait beau."); p.speaks(2000); p.silence(1200) },
			want: "duck probe cut start pause end",
		},
		"our own voice": {
			cfg: Config{Interrupt: true},
			act: func(p *person) {
				p.words = "il fait"
				p.Reply(true, "aujourd'hui il fait beau")
				p.speaks(300)
				p.silence(900)
			},
			want: "duck probe echo unduck",
		},
		"interruption is switched off": {
			act:  func(p *person) { p.Reply(true, "Il fait beau."); p.speaks(600); p.silence(1000) },
			want: "start pause end",
		},
		"the reply ends under the speech": {
			cfg: Config{Interrupt: true},
			act: func(p *person) {
				p.Reply(true, "Il fait beau.")
				p.speaks(200)
				p.take(p.Reply(false, ""))
				p.speaks(400)
				p.silence(1000)
			},
			want: "duck start pause end",
		},
		"nobody answers": {
			cfg:  Config{Idle: 2 * time.Second},
			act:  func(p *person) { p.Reply(true, "Il fait beau."); p.silence(900); p.Reply(false, ""); p.silence(5000) },
			want: "timeout",
		},
		"words that come late count for nothing": {
			act: func(p *person) {
				p.words, p.lag = "je voudrais un", 40
				p.speaks(900)
				p.silence(400)
				p.speaks(500)
				p.silence(950)
			},
			want: "start pause resume pause end",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPerson(tc.cfg)
			tc.act(p)
			if got := p.story(); got != tc.want {
				t.Errorf("\n got %q\nwant %q\n%+v", got, tc.want, p.log)
			}
		})
	}
}

func TestTurnKeepsItsFirstSyllable(t *testing.T) {
	p := newPerson(Config{})
	p.silence(3200)
	p.speaks(640)
	p.silence(1500)
	if at := p.log[0].At; at != 2900*time.Millisecond {
		t.Errorf("the turn begins at %v, the speech at 3.2 s", at)
	}
	if end := p.log[2]; end.At != 3840*time.Millisecond || end.From != 3200*time.Millisecond {
		t.Errorf("the turn is %v to %v", end.From, end.At)
	}
}

func TestSlowSpeakerIsGivenTime(t *testing.T) {
	p := newPerson(Config{})
	for range 4 {
		p.speaks(600)
		p.silence(470)
	}
	p.speaks(600)
	p.silence(620)
	if strings.Contains(p.story(), "end") {
		t.Errorf("cut off: %s", p.story())
	}
	p.silence(400)
	if !strings.HasSuffix(p.story(), "end") {
		t.Errorf("kept waiting: %s", p.story())
	}
}

// TestInvariants checks on random sound what must hold on any.
func TestInvariants(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		p := newPerson(Config{Mode: Mode(rnd.IntN(2)), Interrupt: rnd.IntN(3) > 0, Idle: time.Duration(rnd.IntN(3)) * time.Second})
		texts := []string{"", "oui", "stop", "et demain alors", "il fait", "je veux un"}
		for range 200 {
			p.words, p.sound, p.lag = texts[rnd.IntN(len(texts))], rnd.Float32()*2-1, rnd.IntN(40)
			switch rnd.IntN(6) {
			case 0:
				p.take(p.Reply(true, "il fait beau"))
			case 1:
				p.take(p.Reply(false, ""))
			case 2, 3:
				p.frames(time.Duration(rnd.IntN(1500))*time.Millisecond, 0.5+rnd.Float32()/2)
			default:
				p.frames(time.Duration(rnd.IntN(1500))*time.Millisecond, rnd.Float32()/2)
			}
		}
		if err := invariants(p.log); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, p.story())
		}
	}
}

// invariants: turns do not nest, pauses belong to turns, every duck is lifted or leads to a cut or a turn, revisions rise,
// positions do not run backwards.
func invariants(log []Effect) error {
	var turn, paused, ducked bool
	rev, end := 0, time.Duration(0)
	for i, e := range log {
		bad := func(format string, args ...any) error {
			return fmt.Errorf("effect %d, %+v: "+format, append([]any{i, e}, args...)...)
		}
		switch e.Kind {
		case SpeechStarted:
			if turn {
				return bad("a turn within a turn")
			}
			turn, paused, ducked = true, false, false
			if e.From < end {
				return bad("begins before the last turn's end, %v", end)
			}
		case Paused:
			if !turn || paused || e.Rev <= rev {
				return bad("turn %v, paused %v, revision %d", turn, paused, rev)
			}
			paused, rev = true, e.Rev
		case Resumed:
			if !paused || e.Rev != rev {
				return bad("not paused at that revision")
			}
			paused = false
		case TurnEnded:
			if !turn || !paused || e.Rev != rev || e.At <= e.From {
				return bad("turn %v, paused %v", turn, paused)
			}
			turn, paused, end = false, false, e.At
		case Duck:
			if ducked || turn {
				return bad("ducked %v, turn %v", ducked, turn)
			}
			ducked = true
		case Unduck:
			if !ducked {
				return bad("nothing was lowered")
			}
			ducked = false
		case Interrupted:
			if !ducked {
				return bad("cut without a duck")
			}
			if i+1 == len(log) || log[i+1].Kind != SpeechStarted {
				return bad("a cut without a turn")
			}
		case Probe, Backchannel:
			if !ducked {
				return bad("not over a reply")
			}
			rev = max(rev, e.Rev)
		case Echo: // may come late: it is worth knowing even so
		case TimedOut:
			if turn {
				return bad("in a turn")
			}
		}
	}
	return nil
}
