package main

import (
	"context"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/hearing"
)

// listener is the ear as a turn wants it: with the time that each part took.
type listener struct{ ear hearing.Ear }

// Listen implements pipeline.Listener.
func (l listener) Listen(
	ctx context.Context, src pipeline.Sound, o pipeline.ListenOptions, emit func(pipeline.Segment) error,
) (pipeline.Heard, error) {
	clock := &timed{Recognizer: l.ear.STT}
	ear := l.ear
	ear.STT = clock
	begin := time.Now()
	heard, err := ear.Transcribe(ctx, src, hearing.Options{Language: o.Language, Model: o.Model, Quick: o.Quick}, emit)
	return pipeline.Heard{
		Transcript: heard.Transcript,
		Duration:   time.Duration(heard.Duration * float64(time.Second)),
		VAD:        time.Since(begin) - clock.spent,
		STT:        clock.spent,
	}, err
}

// timed adds up the time that a recognizer takes. Its caller asks one question at a time.
type timed struct {
	pipeline.Recognizer
	spent time.Duration
}

// Transcribe implements pipeline.Recognizer.
func (t *timed) Transcribe(ctx context.Context, s pipeline.Speech) (pipeline.Transcript, error) {
	begin := time.Now()
	defer func() { t.spent += time.Since(begin) }()
	return t.Recognizer.Transcribe(ctx, s)
}
