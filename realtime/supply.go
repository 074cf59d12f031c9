package realtime

import (
	"context"
	"sync"

	"brenda/pipeline"
)

// eager is an LLM that writes as fast as it can, however slowly its words are taken. An answer is spoken for longer than it
// is written, and while it is spoken, or its client is away, the model's place belongs to the next person. What waits here
// is text, of which the token limit allows little.
type eager struct{ llm pipeline.Generator }

// Generate implements [pipeline.Generator].
func (e eager) Generate(
	ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done pipeline.Completion
	var err error
	w, over := written{more: make(chan struct{}, 1)}, make(chan struct{})
	go func() {
		defer close(over)
		done, err = e.llm.Generate(ctx, p, func(d pipeline.Delta) error {
			w.put(d)
			return context.Cause(ctx)
		})
	}()
	for last := false; !last; {
		select {
		case <-w.more:
		case <-over:
			last = true
		}
		for _, d := range w.take() {
			if failed := emit(d); failed != nil {
				cancel(failed)
				<-over
				return pipeline.Completion{}, failed
			}
		}
	}
	return done, err
}

// written is what the model has written and nobody has taken yet.
type written struct {
	more chan struct{} // has room for one: something was added

	mu   sync.Mutex
	list []pipeline.Delta
}

func (w *written) put(d pipeline.Delta) {
	w.mu.Lock()
	w.list = append(w.list, d)
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

func (w *written) take() []pipeline.Delta {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

// unhurried is a voice that does not run far ahead of the client: a line waits for room before anything is computed for
// it, so that it holds up nobody else.
type unhurried struct {
	voice pipeline.Synthesizer
	room  chan struct{} // one entry for each line whose sound was not sent yet
}

// Synthesize implements [pipeline.Synthesizer].
func (p unhurried) Synthesize(ctx context.Context, l pipeline.Line, emit func(pcm []float32) error) error {
	select {
	case p.room <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	sounds := false
	err := p.voice.Synthesize(ctx, l, func(pcm []float32) error {
		sounds = sounds || len(pcm) > 0
		return emit(pcm)
	})
	if !sounds { // nothing will be sent
		<-p.room
	}
	return err
}
