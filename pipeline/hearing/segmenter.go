package hearing

import (
	"time"

	"brenda/pipeline"
)

// frameTime is how long a frame lasts.
const frameTime = time.Second * pipeline.FrameSamples / pipeline.InputRate

// Rules says what counts as an utterance. Zero fields mean the defaults. Times are rounded up to whole
// frames of 32 ms.
type Rules struct {
	Enter      float32       // a probability from here on is speech; default 0.5
	Leave      float32       // one below is silence, between the two nothing changes; default 0.35
	MinSpeech  time.Duration // less speech than that is a click; default 96 ms
	MinSilence time.Duration // more silence than that ends an utterance; default 800 ms
	PreRoll    time.Duration // sound kept before the speech: soft consonants; default 300 ms
	PostRoll   time.Duration // and after it, at most MinSilence; default 200 ms
	Max        time.Duration // a longer utterance is cut at its quietest point; default 15 s
}

func (r Rules) withDefaults() Rules {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	if r.Enter <= 0 {
		r.Enter = 0.5
	}
	if r.Leave <= 0 || r.Leave > r.Enter {
		r.Leave = r.Enter * 0.7
	}
	def(&r.MinSpeech, 96*time.Millisecond)
	def(&r.MinSilence, 800*time.Millisecond)
	def(&r.PreRoll, 300*time.Millisecond)
	def(&r.PostRoll, 200*time.Millisecond)
	def(&r.Max, 15*time.Second)
	r.PostRoll = min(r.PostRoll, r.MinSilence)
	return r
}

// frames returns how many frames cover d.
func frames(d time.Duration) int { return int((d + frameTime - 1) / frameTime) }

// EventKind tells what an Event reports.
type EventKind int

// The kinds of events. They alternate, Started first.
const (
	Started EventKind = iota // somebody speaks
	Ended                    // the utterance is over
)

// Event is the start or the end of an utterance. Positions are samples from the start of the stream.
type Event struct {
	Kind       EventKind
	Start      int64         // where the utterance starts, pre-roll included
	End        int64         // Ended: where it ends, post-roll included
	Voiced     time.Duration // Ended: how much of it was speech
	Confidence float32       // Ended: mean probability of the speech
	Cut        bool          // Ended: it was too long; the next one starts where it ends
	PCM        []float32     // Ended, from an Endpointer: its sound, the receiver's to keep
}

// Segmenter finds utterances in a stream of frames: a state machine with hysteresis, without clock or
// sound. One goroutine uses it.
type Segmenter struct {
	rules Rules
	now   int // frames seen

	speaking bool
	first    int         // the first speech frame of the utterance, or of what may become one
	start    int         // where the utterance starts
	last     int         // the frame after its last speech
	floor    int         // where the utterance before ended: no sound is in two
	run      int         // speech frames of what may become an utterance
	heard    []frameStat // frames from first on
}

type frameStat struct {
	p     float32
	level float64
}

// NewSegmenter returns a Segmenter at the start of a stream.
func NewSegmenter(rules Rules) *Segmenter { return &Segmenter{rules: rules.withDefaults()} }

// Push takes the next frame: its level (RMS) and the probability that it is speech. It returns what
// became sure by it: usually nothing.
func (s *Segmenter) Push(level float64, p float32) []Event {
	at := s.now
	s.now++
	if s.speaking {
		return s.speech(at, level, p)
	}
	switch {
	case p >= s.rules.Enter:
		if s.run == 0 {
			s.first, s.heard = at, s.heard[:0]
		}
		s.run++
		s.last = at + 1
	case p < s.rules.Leave:
		s.run = 0
	}
	if s.run == 0 {
		return nil
	}
	s.heard = append(s.heard, frameStat{p, level})
	if s.run < frames(s.rules.MinSpeech) {
		return nil
	}
	s.speaking = true
	s.start = max(s.floor, s.first-frames(s.rules.PreRoll), 0)
	return []Event{{Kind: Started, Start: position(s.start)}}
}

// speech takes a frame within an utterance.
func (s *Segmenter) speech(at int, level float64, p float32) []Event {
	s.heard = append(s.heard, frameStat{p, level})
	if p >= s.rules.Leave {
		s.last = at + 1
	}
	switch {
	case s.now-s.last >= frames(s.rules.MinSilence):
		return s.End()
	case s.now-s.start >= frames(s.rules.Max):
		return s.cut()
	}
	return nil
}

// End ends the utterance under way, for a listener who knows better than the silence so far, or at the
// stream's end. It returns nothing when nobody speaks.
func (s *Segmenter) End() []Event {
	if !s.speaking {
		s.run = 0
		return nil
	}
	end := min(s.last+frames(s.rules.PostRoll), s.now)
	e := s.ended(end, s.heard)
	s.speaking, s.run, s.floor = false, 0, end
	return []Event{e}
}

// cut ends a too long utterance at the quietest place of its second half, and starts the next one there.
func (s *Segmenter) cut() []Event {
	best, quietest := len(s.heard), 0.0
	for i := len(s.heard) / 2; i+1 < len(s.heard); i++ {
		around := s.heard[i].level
		if i > 0 {
			around += s.heard[i-1].level
		}
		around += s.heard[i+1].level
		if best == len(s.heard) || around <= quietest {
			best, quietest = i, around
		}
	}
	end := s.first + best
	if best == len(s.heard) {
		end = s.now
	}
	e := s.ended(end, s.heard[:min(best, len(s.heard))])
	e.Cut = true
	s.heard = append(s.heard[:0], s.heard[min(best, len(s.heard)):]...)
	s.first, s.start, s.floor = end, end, end
	s.last = max(s.last, end)
	return []Event{e, {Kind: Started, Start: position(end)}}
}

func (s *Segmenter) ended(end int, heard []frameStat) Event {
	voiced, sum := 0, float32(0)
	for _, f := range heard {
		if f.p >= s.rules.Enter {
			voiced++
			sum += f.p
		}
	}
	e := Event{
		Kind: Ended, Start: position(s.start), End: position(end), Voiced: time.Duration(voiced) * frameTime,
	}
	if voiced > 0 {
		e.Confidence = sum / float32(voiced)
	}
	return e
}

// Speaking reports whether an utterance is under way.
func (s *Segmenter) Speaking() bool { return s.speaking }

// Silence returns how long nobody has spoken within the utterance under way; 0 when there is none.
func (s *Segmenter) Silence() time.Duration {
	if !s.speaking {
		return 0
	}
	return time.Duration(s.now-s.last) * frameTime
}

// needed returns the first sample that a coming event may still ask for.
func (s *Segmenter) needed() int64 {
	first := s.now
	switch {
	case s.speaking:
		return position(s.start)
	case s.run > 0:
		first = s.first
	}
	return position(max(s.floor, first-frames(s.rules.PreRoll), 0))
}

func position(frame int) int64 { return int64(frame) * pipeline.FrameSamples }
