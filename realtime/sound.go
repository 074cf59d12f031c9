package realtime

import (
	"time"

	"brenda/audio"
	"brenda/audio/pcm"
	"brenda/pipeline"
	"brenda/pipeline/hearing"
	"brenda/realtime/turntaking"
)

const (
	maxSound  = 60 * time.Second        // the most of a microphone's sound that is kept; the oldest is dropped
	idleSound = 2500 * time.Millisecond // kept while nobody speaks, besides the prefix: what a probe looks back to
	minCommit = 100 * time.Millisecond  // less sound than that is no message
)

// sound is the latest sound of a microphone, in frames, with the judgement of each.
type sound struct {
	pcm   []int16   // at pipeline.InputRate
	probs []float32 // one for each frame
	first int       // how many frames were dropped: the number of the first one here
}

func frameAt(d time.Duration) int { return int(d / turntaking.Frame) }

func (s *sound) push(frame []float32, p float32) {
	s.pcm, s.probs = appendSamples(s.pcm, frame), append(s.probs, p)
	if most := frameAt(maxSound); len(s.probs) > most+most/8 { // not at every frame: it copies
		s.drop(s.end() - most)
	}
}

// end returns the number of the next frame.
func (s *sound) end() int { return s.first + len(s.probs) }

// drop forgets what lies before a frame.
func (s *sound) drop(before int) {
	n := min(before-s.first, len(s.probs))
	if n <= 0 {
		return
	}
	s.pcm = append(s.pcm[:0], s.pcm[n*pipeline.FrameSamples:]...)
	s.probs = append(s.probs[:0], s.probs[n:]...)
	s.first += n
	if cap(s.pcm) > 2*len(s.pcm)+pipeline.InputRate { // a long turn is over: give the memory back
		s.pcm = append(make([]int16, 0, len(s.pcm)+pipeline.InputRate), s.pcm...)
	}
}

// keep drops all but the last frames that d holds.
func (s *sound) keep(d time.Duration) {
	if most := frameAt(d); len(s.probs) > most+most/4 {
		s.drop(s.end() - most)
	}
}

// clear forgets everything.
func (s *sound) clear() { s.drop(s.end()) }

// length returns how much sound there is.
func (s *sound) length() time.Duration { return time.Duration(len(s.probs)) * turntaking.Frame }

// speech is a copy of a stretch of sound.
type speech struct {
	pcm   []float32
	probs []float32
}

// from copies the sound from a frame on.
func (s *sound) from(frame int) speech {
	n := min(max(frame-s.first, 0), len(s.probs))
	return speech{
		pcm:   floats(s.pcm[n*pipeline.FrameSamples:]),
		probs: append([]float32(nil), s.probs[n:]...),
	}
}

// Sound that may be needed is kept in 16 bits: half the memory of each person who is listened to.
func appendSamples(to []int16, frame []float32) []int16 {
	for _, v := range frame {
		to = append(to, pcm.ToInt16(v))
	}
	return to
}

func floats(samples []int16) []float32 {
	out := make([]float32, len(samples))
	for i, v := range samples {
		out[i] = pcm.FromInt16(v)
	}
	return out
}

// seconds returns how long it is.
func (s speech) seconds() float64 { return float64(len(s.pcm)) / pipeline.InputRate }

// longest is how long a stretch may be to be recognized in one go; what is longer is cut where it is quiet.
const longest = 25 * time.Second

// utterances returns the stretch in pieces that a recognizer can take.
func (s speech) utterances() []hearing.Utterance {
	if time.Duration(len(s.probs))*turntaking.Frame <= longest {
		return []hearing.Utterance{s.utterance()}
	}
	var out []hearing.Utterance
	cut := hearing.NewSegmenter(hearing.Rules{})
	take := func(events []hearing.Event) {
		for _, ev := range events {
			if ev.Kind == hearing.Ended {
				to := min(int(ev.End), len(s.pcm))
				out = append(out, hearing.Utterance{
					PCM: s.pcm[min(int(ev.Start), to):to], Voiced: ev.Voiced, Confidence: ev.Confidence,
				})
			}
		}
	}
	for i, p := range s.probs {
		take(cut.Push(audio.RMS(s.pcm[i*pipeline.FrameSamples:(i+1)*pipeline.FrameSamples]), p))
	}
	take(cut.End())
	return out
}

// utterance returns the stretch as one.
func (s speech) utterance() hearing.Utterance {
	u := hearing.Utterance{PCM: s.pcm}
	var sum float32
	n := 0
	for _, p := range s.probs {
		if p >= 0.5 {
			sum += p
			n++
		}
	}
	if n > 0 {
		u.Confidence = sum / float32(n)
		u.Voiced = time.Duration(n) * turntaking.Frame
	}
	return u
}
