package realtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/schedule"
)

// writes is an LLM.
type writes func(ctx context.Context, emit func(pipeline.Delta) error) error

func (w writes) Generate(ctx context.Context, _ pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
	return pipeline.Completion{FinishReason: "stop"}, w(ctx, emit)
}

// TestEager has the model through long before its words are taken, and all of them taken in order.
func TestEager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var through time.Time
		e := eager{writes(func(_ context.Context, emit func(pipeline.Delta) error) error {
			for i := range 100 {
				time.Sleep(10 * time.Millisecond)
				if err := emit(pipeline.Delta{Text: fmt.Sprint(i, " ")}); err != nil {
					return err
				}
			}
			through = time.Now()
			return nil
		})}
		var got, want strings.Builder
		begin := time.Now()
		done, err := e.Generate(t.Context(), pipeline.Prompt{}, func(d pipeline.Delta) error {
			time.Sleep(time.Second)
			got.WriteString(d.Text)
			return nil
		})
		for i := range 100 {
			fmt.Fprint(&want, i, " ")
		}
		if err != nil || done.FinishReason != "stop" || got.String() != want.String() {
			t.Errorf("%+v, %v: %s", done, err, got.String())
		}
		if d := through.Sub(begin); d != time.Second {
			t.Errorf("the model was through after %v", d)
		}
	})
}

// TestEagerEnds has an emit that fails end the model, and a model that fails be told of after its words.
func TestEagerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough, broken := errors.New("enough"), errors.New("broken")
		stopped := false
		e := eager{writes(func(ctx context.Context, emit func(pipeline.Delta) error) error {
			err := emit(pipeline.Delta{Text: "a"})
			<-ctx.Done()
			stopped = err == nil && errors.Is(context.Cause(ctx), enough)
			return context.Cause(ctx)
		})}
		if _, err := e.Generate(t.Context(), pipeline.Prompt{}, func(pipeline.Delta) error { return enough }); !errors.Is(err, enough) || !stopped {
			t.Errorf("got %v, stopped %v", err, stopped)
		}
		e = eager{writes(func(_ context.Context, emit func(pipeline.Delta) error) error {
			return errors.Join(emit(pipeline.Delta{Text: "a"}), emit(pipeline.Delta{Text: "b"}), broken)
		})}
		got := ""
		_, err := e.Generate(t.Context(), pipeline.Prompt{}, func(d pipeline.Delta) error { got += d.Text; return nil })
		if !errors.Is(err, broken) || got != "ab" {
			t.Errorf("%v after %q", err, got)
		}
	})
}

// speaks is a voice.
type speaks func(text string) []float32

func (s speaks) Synthesize(_ context.Context, l pipeline.Line, emit func([]float32) error) error {
	if pcm := s(l.Text); pcm != nil {
		return emit(pcm)
	}
	return nil
}

// TestUnhurried has a voice wait for room before it speaks; what has no sound takes none.
func TestUnhurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spoken := ""
		p := unhurried{room: make(chan struct{}, 2), voice: speaks(func(text string) []float32 {
			spoken += text
			if text == "-" {
				return nil
			}
			return []float32{1}
		})}
		go func() {
			for _, text := range []string{"a", "-", "b", "c"} {
				if err := p.Synthesize(t.Context(), pipeline.Line{Text: text}, func([]float32) error { return nil }); err != nil {
					t.Error(err)
				}
			}
		}()
		synctest.Wait()
		if spoken != "a-b" {
			t.Errorf("spoken without room: %q", spoken)
		}
		<-p.room
		synctest.Wait()
		if spoken != "a-bc" {
			t.Errorf("spoken: %q", spoken)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errUnsaid)
		if err := p.Synthesize(ctx, pipeline.Line{Text: "d"}, nil); !errors.Is(err, errUnsaid) || spoken != "a-bc" {
			t.Errorf("%v, spoken %q", err, spoken)
		}
	})
}

// TestModelIsFree has the model's place free for others while a long answer is spoken, and while its client is away.
func TestModelIsFree(t *testing.T) {
	long := script{resume: true, answer: strings.Repeat("Il parle longuement. ", 100)}
	scene(t, long, func(p *person) {
		p.types(question)
		p.wait("response.output_audio.delta")
		time.Sleep(2 * time.Second)
		p.drop()
		time.Sleep(10 * time.Second)
		if n := p.llm.through(); n != 1 {
			t.Errorf("%d answers have been written", n)
		}
		p.back(p.last())
		p.ends("cancelled")
	})
}

// TestAwayGoesLast drops the line in mid-speech: the answer is made, but those whose client is there go first.
func TestAwayGoesLast(t *testing.T) {
	scene(t, script{resume: true, words: []string{question}}, func(p *person) {
		p.says(0, 1000)
		p.drop()
		time.Sleep(10 * time.Second)
		p.llm.mu.Lock()
		defer p.llm.mu.Unlock()
		if len(p.llm.classes) == 0 || slices.ContainsFunc(p.llm.classes, func(c schedule.Class) bool { return c != schedule.Batch }) {
			t.Errorf("the model's work was %v", p.llm.classes)
		}
	})
}
