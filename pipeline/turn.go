package pipeline

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"brenda/pipeline/fault"
	"brenda/pipeline/speechtext"
)

// maxChunks is how many chunks of text may wait for the voice. A chunk is a clause or a sentence, so four of them are
// already ten seconds of speech: enough that the voice never starves, and little to throw away at an interruption.
const maxChunks = 4

// Engines are the stages of a turn.
type Engines struct {
	Ear   Listener
	LLM   Generator
	Voice Synthesizer
}

// Turn is one question and its answer. Everything it needs is fixed when it starts.
type Turn struct {
	ID       TurnID
	Engines  Engines
	Sound    Sound // what the person said; nil for none
	Text     string
	Listen   ListenOptions
	Compose  func(ctx context.Context, user string) (Prompt, error) // makes the prompt out of what the person said
	Shorten  func(Prompt) (Prompt, bool)                            // drops the oldest turns; false when none is left
	Voice    string
	Language string
	Speed    float64 // of the voice; 0 means 1
	Mute     bool    // write only
}

// Run carries the turn out, and sends its events, all but the last (DoneEvent), to out. It returns when every stage has
// stopped. An interruption is a Result with FinishReason "cancelled"; a failure one with Err.
func (t *Turn) Run(ctx context.Context, out chan<- Event) Result {
	r := &reply{Turn: t, out: out, start: time.Now()}
	err := r.run(ctx)
	r.res.Timings.Total = time.Since(r.start)
	r.res.Text = r.text.String()
	if err != nil {
		r.res.FinishReason = "cancelled"
		if fault.KindOf(err) != fault.Cancelled && ctx.Err() == nil {
			r.res.FinishReason, r.res.Err = "", err
		}
	}
	return r.res
}

// reply is the state of one running turn.
type reply struct {
	*Turn
	out   chan<- Event
	start time.Time
	text  strings.Builder // written by the write stage only, as is the next
	calls bool            // a function call has begun
	res   Result
}

func (r *reply) run(ctx context.Context) error {
	user, err := r.hear(ctx)
	if err != nil {
		return err
	}
	prompt, err := r.Compose(ctx, user)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	chunks := make(chan speechtext.Chunk, maxChunks)
	g.Go(func() error {
		defer close(chunks) // the sender closes
		return r.write(ctx, prompt, chunks)
	})
	g.Go(func() error { return r.speak(ctx, chunks) })
	return g.Wait()
}

// hear returns what the person said and wrote, as one message.
func (r *reply) hear(ctx context.Context) (string, error) {
	if r.Sound == nil {
		return r.Text, nil
	}
	heard, err := r.Engines.Ear.Listen(ctx, r.Sound, r.Listen, func(Segment) error { return ctx.Err() })
	if err != nil {
		return "", err
	}
	r.res.Transcript = heard.Text
	r.res.Timings.VAD = heard.VAD
	r.res.Timings.STT = time.Since(r.start)
	if err := r.send(ctx, Event{Kind: TranscriptEvent, Text: heard.Text}); err != nil {
		return "", err
	}
	return strings.TrimSpace(heard.Text + "\n" + r.Text), nil
}

// write streams the answer: every token to the client at once, and chunks of it to the voice.
func (r *reply) write(ctx context.Context, p Prompt, chunks chan<- speechtext.Chunk) error {
	split := speechtext.New(speechtext.Options{Language: r.Language})
	toVoice := func(cs []speechtext.Chunk) error {
		for _, c := range cs {
			if r.Mute {
				continue
			}
			if err := send(ctx, chunks, c); err != nil {
				return err
			}
		}
		return nil
	}
	emit := func(d Delta) error {
		switch {
		case d.Call != nil:
			r.calls = true
			r.mark(&r.res.Timings.FirstToken)
			if err := r.send(ctx, Event{Kind: CallEvent, Call: d.Call}); err != nil {
				return err
			}
			return toVoice(split.Flush()) // what was said before the call is said, however long the call takes
		case d.Text == "":
			return nil
		}
		r.mark(&r.res.Timings.FirstToken)
		r.text.WriteString(d.Text)
		if err := r.send(ctx, Event{Kind: TextEvent, Text: d.Text}); err != nil {
			return err
		}
		return toVoice(split.Push(d.Text))
	}
	done, err := r.generate(ctx, p, emit)
	if err == nil && done.FinishReason == "stop" && !r.calls && strings.TrimSpace(r.text.String()) == "" {
		// A small model now and then ends an answer before its first word, and a person would wait in vain.
		done, err = r.generate(ctx, p, emit)
	}
	if err != nil {
		return err
	}
	r.res.FinishReason, r.res.Usage = done.FinishReason, done.Usage
	return toVoice(split.Flush())
}

// generate asks the LLM, with ever fewer old turns while the prompt is longer than its context.
func (r *reply) generate(ctx context.Context, p Prompt, emit func(Delta) error) (Completion, error) {
	for {
		done, err := r.Engines.LLM.Generate(ctx, p, emit)
		var f *fault.Error
		if err == nil || r.text.Len() > 0 || r.calls || r.Shorten == nil ||
			!errors.As(err, &f) || f.Code != "context_length_exceeded" {
			return done, err
		}
		shorter, ok := r.Shorten(p)
		if !ok {
			return done, err
		}
		p = shorter
	}
}

// speak turns chunks of text into sound, one after the other.
func (r *reply) speak(ctx context.Context, chunks <-chan speechtext.Chunk) error {
	for c := range chunks {
		if c.Spoken == "" {
			continue
		}
		r.mark(&r.res.Timings.FirstChunk)
		handed := time.Since(r.start)
		ev, err := r.Engines.say(ctx, c, Line{Voice: r.Voice, Language: r.Language, Speed: r.Speed})
		if err != nil {
			return err
		}
		if len(ev.PCM) == 0 {
			continue
		}
		r.mark(&r.res.Timings.FirstAudio)
		ev.Handed = handed
		if err := r.send(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}

func (r *reply) send(ctx context.Context, ev Event) error {
	ev.Turn = r.ID
	return send(ctx, r.out, ev)
}

// mark notes the first time that a stage had something. Each field has one writing stage.
func (r *reply) mark(at *time.Duration) {
	if *at == 0 {
		*at = time.Since(r.start)
	}
}

// say has one chunk spoken as one event.
func (e Engines) say(ctx context.Context, c speechtext.Chunk, l Line) (Event, error) {
	ev := Event{Kind: AudioEvent, Text: c.Spoken, Source: c.Source}
	l.Text = c.Spoken
	err := e.Voice.Synthesize(ctx, l, func(pcm []float32) error {
		if ev.PCM == nil {
			ev.PCM = pcm // nearly every chunk comes in one piece: no copy
		} else {
			ev.PCM = append(ev.PCM, pcm...)
		}
		return ctx.Err()
	})
	return ev, err
}

// Speak has a whole text spoken, chunk by chunk: one AudioEvent each, in order.
func (e Engines) Speak(ctx context.Context, l Line, emit func(Event) error) error {
	split := speechtext.New(speechtext.Options{Language: l.Language})
	for _, c := range append(split.Push(l.Text), split.Flush()...) {
		if c.Spoken == "" {
			continue
		}
		ev, err := e.say(ctx, c, l)
		if err != nil {
			return err
		}
		if len(ev.PCM) == 0 {
			continue
		}
		if err := emit(ev); err != nil {
			return err
		}
	}
	return nil
}

// send is the only way a stage sends: it gives up when the turn ends.
func send[T any](ctx context.Context, ch chan<- T, v T) error {
	select {
	case ch <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
