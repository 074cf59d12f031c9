package hearing

import (
	"context"
	"slices"
	"time"

	"brenda/audio"
	"brenda/pipeline"
)

// Endpointer finds the utterances in a stream of sound and hands out their sound. Its memory is bounded
// by the longest utterance. One goroutine uses it.
type Endpointer struct {
	vad   pipeline.VAD
	seg   *Segmenter
	state pipeline.VADState
	tape  []float32 // what may still be asked for; its end is not judged yet when it is no whole frame
	from  int64     // position of tape[0]
	heard int64     // position up to which frames were judged
}

// NewEndpointer returns an Endpointer at the start of a stream.
func NewEndpointer(vad pipeline.VAD, rules Rules) *Endpointer {
	return &Endpointer{vad: vad, seg: NewSegmenter(rules)}
}

// Push takes the next sound at pipeline.InputRate, any number of samples, and returns what became sure
// by it.
func (e *Endpointer) Push(ctx context.Context, pcm []float32) ([]Event, error) {
	e.tape = append(e.tape, pcm...)
	fresh := e.tape[e.heard-e.from:]
	fresh = fresh[:len(fresh)/pipeline.FrameSamples*pipeline.FrameSamples]
	if len(fresh) == 0 {
		return nil, nil
	}
	probs, err := e.vad.Speech(ctx, &e.state, fresh)
	if err != nil {
		return nil, err
	}
	var events []Event
	for i, p := range probs {
		frame := fresh[i*pipeline.FrameSamples : (i+1)*pipeline.FrameSamples]
		events = append(events, e.seg.Push(audio.RMS(frame), p)...)
	}
	e.heard += int64(len(fresh))
	e.attach(events)
	e.forget()
	return events, nil
}

// Flush takes the end of the stream: what is left is judged and the utterance under way ends.
func (e *Endpointer) Flush(ctx context.Context) ([]Event, error) {
	var events []Event
	if rest := (e.from + int64(len(e.tape)) - e.heard) % pipeline.FrameSamples; rest > 0 {
		var err error
		if events, err = e.Push(ctx, make([]float32, pipeline.FrameSamples-rest)); err != nil {
			return nil, err
		}
	}
	return append(events, e.End()...), nil
}

// End ends the utterance under way at once, if there is one.
func (e *Endpointer) End() []Event {
	events := e.seg.End()
	e.attach(events)
	e.forget()
	return events
}

// Current returns a copy of the sound of the utterance under way, up to now; nil when nobody speaks.
func (e *Endpointer) Current() []float32 {
	if !e.seg.Speaking() {
		return nil
	}
	return slices.Clone(e.tape[e.seg.needed()-e.from : e.heard-e.from])
}

// Silence is [Segmenter.Silence].
func (e *Endpointer) Silence() time.Duration { return e.seg.Silence() }

func (e *Endpointer) attach(events []Event) {
	for i, ev := range events {
		if ev.Kind == Ended {
			events[i].PCM = slices.Clone(e.tape[ev.Start-e.from : ev.End-e.from])
		}
	}
}

// forget drops sound that no coming event can ask for, in pieces of a second, so that little is moved.
func (e *Endpointer) forget() {
	if old := e.seg.needed() - e.from; old > pipeline.InputRate {
		e.tape = append(e.tape[:0], e.tape[old:]...)
		e.from += old
	}
}
