// Package hearing turns sound into text that was really said.
//
// Whisper always answers: on silence with a phrase of its training data, on a short clip with a loop. So
// a voice activity detector decides what is heard at all ([Segmenter], [Endpointer]), and what comes
// back is checked against how much was spoken ([Ear.Recognize]). Sound without words is the error
// "no_speech", never an invented sentence.
package hearing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"brenda/audio"
	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// Source is a stream of mono samples at pipeline.InputRate, such as audio.Source.
type Source interface {
	// Read fills dst as io.Reader does.
	Read(dst []float32) (int, error)
}

// Ear hears. It may be used by any number of goroutines at once.
type Ear struct {
	VAD   pipeline.VAD
	STT   pipeline.Recognizer
	Rules Rules
	Log   *slog.Logger // what was thrown away and why, at debug level; nil: nothing
}

// Options says how to listen.
type Options struct {
	Language string // ISO 639-1 or "auto"; empty means the recognizer's default
	Model    string // a size; empty means the default
	Prompt   string // words that came before; may be empty
	Quick    bool   // somebody waits for the answer: what is merely unsure gets no second try
	Started  func() // called once, when speech is first found; may be nil
}

// Heard is what was said in a whole sound.
type Heard struct {
	pipeline.Transcript
	Duration float64 // seconds of sound, speech or not
}

// Utterance is a stretch of speech and how sure it is that it is one.
type Utterance struct {
	PCM        []float32
	Voiced     time.Duration // how much of it is speech
	Confidence float32       // mean probability of the speech, 0…1
}

// ErrNoSpeech returns the error for sound in which nobody says anything.
func ErrNoSpeech() error {
	return fault.New(fault.Invalid, "no_speech", "no speech was found in the sound")
}

// block is how much sound is judged at once: half a second.
const block = 16 * pipeline.FrameSamples

// Transcribe hears a sound of any length in constant memory. Each utterance is given to emit (which may
// be nil) as soon as it is known, times from the start of the sound; an error of emit ends it. A sound
// without speech is fault.Invalid with code "no_speech"; its Duration is returned even then. An error of
// src is returned wrapped.
func (e *Ear) Transcribe(ctx context.Context, src Source, o Options, emit func(pipeline.Segment) error,
) (Heard, error) {
	r := &reception{ear: e, options: o, emit: emit}
	err := r.all(ctx, src)
	r.heard.Duration = float64(r.samples) / pipeline.InputRate
	r.heard.Text = strings.Join(r.texts, " ")
	if err == nil && r.heard.Text == "" {
		err = ErrNoSpeech()
	}
	return r.heard, err
}

// reception is one Transcribe.
type reception struct {
	ear     *Ear
	options Options
	emit    func(pipeline.Segment) error
	heard   Heard
	texts   []string
	samples int64
}

func (r *reception) all(ctx context.Context, src Source) error {
	end := NewEndpointer(r.ear.VAD, r.ear.Rules)
	buf := make([]float32, block)
	for {
		n, readErr := src.Read(buf)
		r.samples += int64(n)
		events, err := end.Push(ctx, buf[:n])
		if err == nil {
			err = r.take(ctx, events)
		}
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case readErr == nil:
			continue
		case !errors.Is(readErr, io.EOF):
			return fmt.Errorf("reading sound: %w", readErr)
		}
		if events, err = end.Flush(ctx); err != nil {
			return err
		}
		return r.take(ctx, events)
	}
}

func (r *reception) take(ctx context.Context, events []Event) error {
	for _, ev := range events {
		if ev.Kind == Started {
			if r.options.Started != nil {
				r.options.Started()
				r.options.Started = nil
			}
			continue
		}
		if err := r.utterance(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}

func (r *reception) utterance(ctx context.Context, ev Event) error {
	u := Utterance{PCM: ev.PCM, Voiced: ev.Voiced, Confidence: ev.Confidence}
	t, err := r.ear.Recognize(ctx, u, r.options)
	if f := fault.As(err); f != nil && f.Code == "no_speech" {
		return nil
	}
	if err != nil {
		return err
	}
	r.heard.Model, r.heard.Language = t.Model, t.Language
	r.heard.Tokens += t.Tokens
	r.heard.Capped = r.heard.Capped || t.Capped
	const sure = 3 * time.Second
	if r.options.Language == "auto" && u.Voiced >= sure {
		r.options.Language = t.Language // to detect it again costs as much as the transcription
	}
	r.texts = append(r.texts, t.Text)
	offset := float64(ev.Start) / pipeline.InputRate
	limit := float64(r.samples) / pipeline.InputRate // the last frame may be padded
	for _, s := range t.Segments {
		s.Start, s.End = min(s.Start+offset, limit), min(s.End+offset, limit)
		r.heard.Segments = append(r.heard.Segments, s)
		if r.emit != nil {
			if err := r.emit(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// tooQuiet is a level (RMS) at which no recording has words any more: −65 dB.
const tooQuiet = 0.00056

// Recognize transcribes one utterance and checks the result: noises, phantom sentences and loops are not
// returned. When nothing is left it is fault.Invalid with code "no_speech". Segments are relative to the
// utterance. What is implausible is heard twice; so is what the recognizer is unsure of, unless ctx ends
// too soon for that.
func (e *Ear) Recognize(ctx context.Context, u Utterance, o Options) (pipeline.Transcript, error) {
	rules := e.Rules.withDefaults()
	if u.Voiced < rules.MinSpeech || audio.RMS(u.PCM) < tooQuiet {
		return pipeline.Transcript{}, ErrNoSpeech()
	}
	s := pipeline.Speech{PCM: u.PCM, Language: o.Language, Model: o.Model, Prompt: o.Prompt}
	t, err := e.listen(ctx, s, u, o.Quick)
	if err != nil {
		return pipeline.Transcript{}, err
	}
	raw := t.Text
	t.Text = clean(t.Text, u)
	if t.Text != raw {
		e.debug(ctx, "words thrown away", raw)
	}
	if t.Text == "" {
		return pipeline.Transcript{}, ErrNoSpeech()
	}
	end := float64(len(u.PCM)) / pipeline.InputRate
	if len(t.Segments) > 1 && t.Text == raw {
		return t, nil
	}
	t.Segments = []pipeline.Segment{{End: end, Text: t.Text}}
	return t, nil
}

// listen transcribes, and once more with care when the result is implausible or unsure.
func (e *Ear) listen(
	ctx context.Context, s pipeline.Speech, u Utterance, quick bool,
) (pipeline.Transcript, error) {
	began := time.Now()
	t, err := e.STT.Transcribe(ctx, s)
	if err != nil {
		return t, err
	}
	why := suspicious(t, u)
	unsure := why == "" && !quick && doubtful(t) && spare(ctx, time.Since(began))
	switch {
	case unsure:
		why = "unsure"
	case why == "":
		return t, nil
	default:
		s.Prompt = "" // words that came before may be what it repeats
	}
	e.debug(ctx, "listening again: "+why, t.Text)
	s.Thorough = true
	again, err := e.STT.Transcribe(ctx, s)
	switch {
	case err != nil && unsure && ctx.Err() == nil:
		return t, nil // the first result is still good enough
	case err != nil:
		return again, err
	case !unsure:
		again.Tokens += t.Tokens
		return settle(again, u), nil
	case suspicious(again, u) == "" && surer(again, t):
		again.Tokens += t.Tokens
		return again, nil
	}
	t.Tokens += again.Tokens
	return t, nil
}

func (e *Ear) debug(ctx context.Context, what, text string) {
	if e.Log != nil {
		e.Log.DebugContext(ctx, "doubtful transcript", "what", what, "bytes", len(text)) // never its words
	}
}
