package enginetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"brenda/audio/audiotest"
	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// Clip is recorded speech and what is said in it.
type Clip struct {
	PCM  []float32 // mono, pipeline.InputRate
	Text string
}

// Recognizer checks that r keeps the promises of pipeline.Recognizer. clips are French, at least two and
// of some seconds each; a real model should understand them but for one word in three. The suite looks
// at no clock. Whether goroutines are left behind is for the engine's own tests, after Close: a
// recognizer may have replaced a child process meanwhile.
func Recognizer(t *testing.T, r pipeline.Recognizer, clips []Clip) {
	t.Helper()
	if len(clips) < 2 {
		t.Fatal("the suite needs two clips at least")
	}
	s := recognizerSuite{r: r, clips: clips}
	t.Run("understands speech", s.understands)
	t.Run("gives the same again", s.repeats)
	t.Run("takes any length", s.anyLength)
	t.Run("takes more care when asked to", s.thorough)
	t.Run("does nothing for a dead context", s.deadContext)
	t.Run("stops in the middle and goes on", s.stops)
	t.Run("serves several at once", s.servesSeveral)
	t.Run("refuses an unknown model", s.refusesModel)
	t.Run("refuses an unknown language", s.refusesLanguage)
}

type recognizerSuite struct {
	r     pipeline.Recognizer
	clips []Clip
}

func (s recognizerSuite) speech(i int) pipeline.Speech {
	return pipeline.Speech{PCM: s.clips[i].PCM, Language: "fr"}
}

func (s recognizerSuite) hear(t *testing.T, i int) pipeline.Transcript {
	t.Helper()
	got, err := s.r.Transcribe(t.Context(), s.speech(i))
	if err != nil {
		t.Fatalf("clip %d: %v", i, err)
	}
	return got
}

func (s recognizerSuite) understands(t *testing.T) {
	for i, c := range s.clips {
		before := slices.Clone(c.PCM)
		got := s.hear(t, i)
		if wer := audiotest.WER(c.Text, got.Text); wer > 1.0/3 {
			t.Errorf("clip %d: heard %q, was %q: word error rate %.2f", i, got.Text, c.Text, wer)
		}
		if got.Language != "fr" || got.Model == "" || got.Capped || got.Text != strings.TrimSpace(got.Text) {
			t.Errorf("clip %d: %+v", i, got)
		}
		checkSegments(t, got, float64(len(c.PCM))/pipeline.InputRate)
		if !slices.Equal(before, c.PCM) {
			t.Errorf("clip %d: the sound was changed", i)
		}
	}
}

// checkSegments checks that the segments are in order, inside the sound, and hold the text.
func checkSegments(t *testing.T, got pipeline.Transcript, seconds float64) {
	t.Helper()
	const slack = 0.1
	words, last := []string{}, 0.0
	for _, seg := range got.Segments {
		if seg.Start < last || seg.End < seg.Start || seg.End > seconds+slack {
			t.Errorf("segment %+v after %.2f, in %.2f s of sound", seg, last, seconds)
		}
		last = seg.Start
		words = append(words, strings.Fields(seg.Text)...)
	}
	if !slices.Equal(words, strings.Fields(got.Text)) {
		t.Errorf("segments hold %q, the text is %q", words, got.Text)
	}
}

// repeats checks that what was heard before does not change what is heard now.
func (s recognizerSuite) repeats(t *testing.T) {
	first := s.hear(t, 0)
	s.hear(t, 1)
	if again := s.hear(t, 0); again.Text != first.Text {
		t.Errorf("first %q, then %q", first.Text, again.Text)
	}
}

func (s recognizerSuite) anyLength(t *testing.T) {
	for _, n := range []int{0, 1, 1600, 12345} {
		pcm := s.clips[0].PCM
		got, err := s.r.Transcribe(t.Context(), pipeline.Speech{PCM: pcm[:min(n, len(pcm))], Language: "fr"})
		if err != nil {
			t.Errorf("%d samples: %v", n, err)
		}
		if n == 0 && got.Text != "" {
			t.Errorf("no sound at all is %q", got.Text)
		}
	}
}

func (s recognizerSuite) thorough(t *testing.T) {
	speech := s.speech(0)
	speech.Thorough = true
	speech.Prompt = "Standard téléphonique."
	got, err := s.r.Transcribe(t.Context(), speech)
	if err != nil || audiotest.WER(s.clips[0].Text, got.Text) > 1.0/3 {
		t.Errorf("heard %q: %v", got.Text, err)
	}
}

func (s recognizerSuite) deadContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrSuperseded)
	if _, err := s.r.Transcribe(ctx, s.speech(0)); !errors.Is(err, fault.ErrSuperseded) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

// stops cancels at several moments of the work. Whatever the moment, the error is the cause or the work
// was done.
func (s recognizerSuite) stops(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond} {
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(after, func() { cancel(fault.ErrBargeIn) })
		_, err := s.r.Transcribe(ctx, s.speech(0))
		if err != nil && !errors.Is(err, fault.ErrBargeIn) {
			t.Errorf("cancelled after %v: %v", after, err)
		}
		timer.Stop()
		cancel(nil)
	}
	got := s.hear(t, 1)
	if wer := audiotest.WER(s.clips[1].Text, got.Text); wer > 1.0/3 {
		t.Errorf("after the cancellations: heard %q, was %q", got.Text, s.clips[1].Text)
	}
}

// servesSeveral runs calls side by side, one of which is cancelled: the others must not notice.
func (s recognizerSuite) servesSeveral(t *testing.T) {
	want := []pipeline.Transcript{s.hear(t, 0), s.hear(t, 1)}
	var g sync.WaitGroup
	for i := range 4 {
		g.Go(func() {
			got, err := s.r.Transcribe(t.Context(), s.speech(i%2))
			if err != nil || got.Text != want[i%2].Text {
				t.Errorf("side by side: %q, alone: %q: %v", got.Text, want[i%2].Text, err)
			}
		})
	}
	g.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := s.r.Transcribe(ctx, s.speech(0))
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the one that is cancelled: %v", err)
		}
	})
	g.Wait()
}

func (s recognizerSuite) refusesModel(t *testing.T) {
	speech := s.speech(0)
	speech.Model = "no-such-size"
	if _, err := s.r.Transcribe(t.Context(), speech); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v, want fault.NotFound", err)
	}
}

func (s recognizerSuite) refusesLanguage(t *testing.T) {
	speech := s.speech(0)
	speech.Language = "tlh"
	if _, err := s.r.Transcribe(t.Context(), speech); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v, want fault.Invalid", err)
	}
}
