package schedule

import (
	"context"

	"brenda/pipeline"
)

// Recognizer puts an engine behind a queue.
func Recognizer(next pipeline.Recognizer, q *Queue) pipeline.Recognizer { return recognizer{next, q} }

type recognizer struct {
	next pipeline.Recognizer
	q    *Queue
}

func (r recognizer) Transcribe(ctx context.Context, s pipeline.Speech) (out pipeline.Transcript, err error) {
	err = r.q.Do(ctx, func(ctx context.Context) error {
		out, err = r.next.Transcribe(ctx, s)
		return err
	})
	return out, err
}

// Generator puts an engine behind a queue.
func Generator(next pipeline.Generator, q *Queue) pipeline.Generator { return generator{next, q} }

type generator struct {
	next pipeline.Generator
	q    *Queue
}

func (g generator) Generate(
	ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error,
) (out pipeline.Completion, err error) {
	err = g.q.Do(ctx, func(ctx context.Context) error {
		out, err = g.next.Generate(ctx, p, emit)
		return err
	})
	return out, err
}

// Synthesizer puts an engine behind a queue.
func Synthesizer(next pipeline.Synthesizer, q *Queue) pipeline.Synthesizer {
	return synthesizer{next, q}
}

type synthesizer struct {
	next pipeline.Synthesizer
	q    *Queue
}

func (s synthesizer) Synthesize(ctx context.Context, l pipeline.Line, emit func([]float32) error) error {
	return s.q.Do(ctx, func(ctx context.Context) error { return s.next.Synthesize(ctx, l, emit) })
}
