// Package turntaking decides when a person has begun to speak, has finished, or means to interrupt.
//
// It is a pure state machine. Its clock is the microphone's sound itself: every VAD frame (32 ms) is one step, so a session
// can be replayed exactly and tested in no time. What it learns from elsewhere — the words so far, the judgement of the
// sound, whether Brenda speaks — comes in by calls, and what it decides comes out as effects, which the session carries out.
//
// A pause is numbered (its revision). At a pause's first 100 ms the session may begin to work on an answer; the work counts
// only when the turn is declared over at that same revision, and is thrown away when the person goes on.
package turntaking

import "time"

// Frame is the length of one VAD frame: 512 samples at 16 kHz.
const Frame = 32 * time.Millisecond

// Mode says who ends a turn.
type Mode int

// The modes.
const (
	Semantic  Mode = iota // silence, the sound's judgement and the words together
	ServerVAD             // a fixed silence
	Manual                // the client says when (push to talk)
)

// Config is how a conversation wants its turns taken. Zero fields mean the defaults that Defaults gives.
type Config struct {
	Mode      Mode
	Threshold float32       // probability from which a frame is speech: 0.5
	Prefix    time.Duration // sound kept from before the first speech: 300 ms
	Silence   time.Duration // silence that ends a turn; the least one in Semantic mode: 500 ms
	Longest   time.Duration // Semantic: silence that ends any turn: 4 s
	Interrupt bool          // speech cuts the reply
	CutAfter  time.Duration // voiced time after which speech is asked for its words, and cuts unless they are harmless: 400 ms
	Idle      time.Duration // silence after a reply until Timeout; 0 means never

	Words Words // what words mean; nil means that nothing is known of them
}

// Words judges texts.
type Words interface {
	// Stop tells whether the words command Brenda to stop: "attends", "stop".
	Stop(text string) bool
	// Backchannel tells whether the words only say that one listens: "oui", "mmh".
	Backchannel(text string) bool
	// Complete returns how finished the sentence is, 0…1.
	Complete(text string) float64
	// Echo tells whether heard is what said sounds like through a loudspeaker and a microphone.
	Echo(heard, said string) bool
}

// Defaults returns c with its zero fields filled in.
func (c Config) Defaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Threshold == 0 {
		c.Threshold = 0.5
	}
	def(&c.Prefix, 300*time.Millisecond)
	def(&c.Silence, 500*time.Millisecond)
	def(&c.Longest, 4*time.Second)
	def(&c.CutAfter, 400*time.Millisecond)
	return c
}

// Kind is what an Effect asks for.
type Kind int

// The kinds of effects.
const (
	SpeechStarted Kind = iota // a turn began at At, the prefix included
	Paused                    // silence since At: an answer to revision Rev may be prepared
	Resumed                   // the person goes on: what was prepared for Rev is void
	TurnEnded                 // the turn that began at From ended at At: revision Rev counts
	Duck                      // somebody speaks over the reply: lower it
	Unduck                    // it was nothing: raise it again
	Probe                     // find out what is being said over the reply, from From on, as revision Rev
	Interrupted               // cut the reply
	Backchannel               // a sign of listening; the reply goes on
	Echo                      // our own voice; the reply goes on, and need not be lowered for it again
	TimedOut                  // nobody has spoken for Idle after the reply
)

// Effect is one decision. Times are positions in the microphone's sound.
type Effect struct {
	Kind Kind
	Rev  int
	From time.Duration
	At   time.Duration
	Text string // for Backchannel, Echo and Interrupted: the words, as far as they are known
	Why  string // for TurnEnded and Interrupted: the reason, for logs and metrics
}

// How many frames make a thing sure. One frame is 32 ms.
const (
	onsetFrames  = 3  // speech that is more than a click: 96 ms
	duckFrames   = 2  // speech over a reply that lowers it: 64 ms
	pauseFrames  = 3  // silence that is a pause: 96 ms
	resumeFrames = 2  // speech after a pause that goes on: 64 ms
	hangFrames   = 16 // how long a few speech frames are remembered before they count as a click: 512 ms
	verdictWait  = 25 // how long a short noise over a reply waits for its words: 800 ms
)

type state int

const (
	idle     state = iota
	over           // somebody may be speaking over the reply
	speaking       // a turn, speech going on
	pausing        // a turn, in a pause
)

// Machine is the state of one microphone. It is not safe for concurrent use.
type Machine struct {
	cfg   Config
	state state
	now   int // frames so far

	voiced bool // hysteresis: the frame before was speech
	run    int  // frames of speech in a row
	hush   int  // frames of silence in a row
	gap    int  // frames of silence before the speech that goes on
	count  int  // speech frames since first
	first  int  // first speech frame of what goes on

	rev      int
	judged   float32 // Smart Turn of this revision; −1: not known
	words    string  // of this revision
	hasWords bool
	pauses   ema // how long this person pauses within a turn, in frames

	playing bool
	echoes  bool   // our own voice has come back: there is a loudspeaker in the room
	said    string // what Brenda says or has just said
	probed  bool
	asked   int // the revision of the last probe
	quiet   int // frames since the reply ended, for Idle
	timed   bool
}

// New returns a machine at the start of a microphone's sound.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg.Defaults(), judged: -1, pauses: ema{value: 0, weight: 0.3}}
}

// Configure changes the rules from the next frame on.
func (m *Machine) Configure(cfg Config) { m.cfg = cfg.Defaults() }

// Now returns the position in the microphone's sound.
func (m *Machine) Now() time.Duration { return at(m.now) }

// Rev returns the number of the present pause, or of the last one.
func (m *Machine) Rev() int { return m.rev }

// InTurn tells whether a turn is going on.
func (m *Machine) InTurn() bool { return m.state == speaking || m.state == pausing }

func at(frame int) time.Duration { return time.Duration(max(frame, 0)) * Frame }

func frames(d time.Duration) int { return int((d + Frame - 1) / Frame) }

// Frame takes the probability that the next frame is speech.
func (m *Machine) Frame(p float32) []Effect {
	m.now++
	m.hear(p)
	if m.cfg.Mode == Manual {
		return nil
	}
	switch m.state {
	case idle:
		return m.whenIdle()
	case over:
		return m.whenOver()
	case speaking:
		return m.whenSpeaking()
	default:
		return m.whenPausing()
	}
}

// hear counts frames of speech and silence. Between the two thresholds all stays as it is, so that a trembling probability
// does not cut a word.
func (m *Machine) hear(p float32) {
	switch {
	case p >= m.cfg.Threshold:
		m.voiced = true
	case p < m.cfg.Threshold-0.15:
		m.voiced = false
	}
	if !m.voiced {
		if m.run > 0 && m.run < resumeFrames {
			m.hush = m.gap + m.run // it was a click: the silence goes on
		}
		m.run = 0
		m.hush++
		return
	}
	if m.run == 0 {
		m.gap = m.hush
	}
	if m.run == 0 && m.count == 0 {
		m.first = m.now - 1
	}
	m.run++
	m.count++
	m.hush = 0
}

func (m *Machine) whenIdle() []Effect {
	if m.count > 0 && m.hush > hangFrames {
		m.count = 0 // a click
	}
	if m.playing && m.cfg.Interrupt {
		if m.run >= duckFrames {
			m.state, m.probed = over, false
			m.newRev()
			return []Effect{{Kind: Duck, At: at(m.first)}}
		}
		return nil
	}
	if m.run >= onsetFrames {
		return []Effect{m.begin()}
	}
	return m.idling()
}

// idling counts the silence after a reply.
func (m *Machine) idling() []Effect {
	if m.playing || m.count > 0 || m.timed || m.cfg.Idle == 0 {
		m.quiet = 0
		return nil
	}
	if m.quiet++; m.quiet < frames(m.cfg.Idle) {
		return nil
	}
	m.timed = true
	return []Effect{{Kind: TimedOut, From: at(m.now - m.quiet), At: at(m.now)}}
}

// begin starts a turn at the first frame of speech.
func (m *Machine) begin() Effect {
	m.state, m.timed = speaking, false
	return Effect{Kind: SpeechStarted, From: at(m.first), At: max(at(m.first)-m.cfg.Prefix, 0)}
}

func (m *Machine) whenSpeaking() []Effect {
	if m.hush < pauseFrames {
		return nil
	}
	m.state = pausing
	m.newRev()
	return []Effect{{Kind: Paused, Rev: m.rev, From: at(m.first), At: at(m.now - m.hush)}}
}

func (m *Machine) newRev() {
	m.rev++
	m.judged, m.words, m.hasWords = -1, "", false
}

func (m *Machine) whenPausing() []Effect {
	if m.run >= resumeFrames {
		m.state = speaking
		m.pauses.add(float64(m.gap))
		return []Effect{{Kind: Resumed, Rev: m.rev, At: at(m.now - m.run)}}
	}
	if m.run > 0 { // not yet sure that it is more than a click
		return nil
	}
	return m.end()
}

// end declares the turn over when the silence has been long enough.
func (m *Machine) end() []Effect {
	need, why := m.wait()
	if m.hush < need {
		return nil
	}
	e := Effect{Kind: TurnEnded, Rev: m.rev, From: at(m.first), At: at(m.now - m.hush), Why: why}
	m.reset()
	return []Effect{e}
}

// reset goes back to idle.
func (m *Machine) reset() {
	m.state, m.run, m.count, m.quiet, m.timed = idle, 0, 0, 0, false
}

// Judged takes the probability that the person had finished at pause rev, as heard from the sound.
func (m *Machine) Judged(rev int, finished float32) {
	if rev == m.rev {
		m.judged = finished
	}
}

// Heard takes the words up to pause rev, or those of a probe.
func (m *Machine) Heard(rev int, text string) []Effect {
	if rev != m.rev || m.state != pausing && m.state != over {
		return m.learn(rev, text)
	}
	m.words, m.hasWords = text, true
	if m.state == over {
		return m.verdict()
	}
	return nil
}

// Reply tells whether Brenda's voice can be heard now, and the words that it says or has just said.
func (m *Machine) Reply(playing bool, said string) []Effect {
	was := m.playing
	m.playing = playing
	if said != "" {
		m.said = said
	}
	if was && !playing {
		m.quiet, m.timed = 0, false
		if m.state == over { // nothing is left to cut: it is an ordinary beginning
			m.state = idle
			if m.count >= onsetFrames && !m.echoes {
				return []Effect{m.begin()}
			}
			m.reset() // the end of the reply comes back as its last echo; somebody who really speaks goes on
			return []Effect{{Kind: Unduck, At: at(m.now)}}
		}
	}
	return nil
}

// Discard forgets the turn that is going on, as the client asked for by clearing its sound.
func (m *Machine) Discard() { m.newRev(); m.reset() }
