package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"brenda/audio/audiotest"
	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// VAD checks that v keeps the promises of pipeline.VAD. speech is a recording with a voice in most of
// it.
func VAD(t *testing.T, v pipeline.VAD, speech []float32) {
	t.Helper()
	speech = speech[:len(speech)/pipeline.FrameSamples*pipeline.FrameSamples]
	if len(speech) < 30*pipeline.FrameSamples {
		t.Fatal("the suite needs a second of speech at least")
	}
	s := vadSuite{v: v, speech: speech}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("tells speech from none", s.tells)
	t.Run("pieces give the same as the whole", s.pieces)
	t.Run("streams do not mix", s.streams)
	t.Run("refuses a broken frame", s.refuses)
	t.Run("does nothing for a dead context", s.deadContext)
}

type vadSuite struct {
	v      pipeline.VAD
	speech []float32
}

func (s vadSuite) judge(t *testing.T, st *pipeline.VADState, pcm []float32) []float32 {
	t.Helper()
	probs, err := s.v.Speech(t.Context(), st, pcm)
	if err != nil {
		t.Fatal(err)
	}
	if len(probs) != len(pcm)/pipeline.FrameSamples {
		t.Fatalf("%d probabilities for %d frames", len(probs), len(pcm)/pipeline.FrameSamples)
	}
	for i, p := range probs {
		if !(p >= 0 && p <= 1) {
			t.Fatalf("frame %d: probability %v", i, p)
		}
	}
	return probs
}

func (s vadSuite) tells(t *testing.T) {
	above := func(probs []float32) float64 {
		n := 0
		for _, p := range probs {
			if p > 0.5 {
				n++
			}
		}
		return float64(n) / float64(len(probs))
	}
	before := slices.Clone(s.speech)
	if part := above(s.judge(t, new(pipeline.VADState), s.speech)); part < 0.4 {
		t.Errorf("a voice in %.0f %% of the frames of speech", 100*part)
	}
	if !slices.Equal(before, s.speech) {
		t.Error("the sound was changed")
	}
	const n = 100 * pipeline.FrameSamples
	for name, pcm := range map[string][]float32{
		"silence": audiotest.Silence(n), "white noise": audiotest.White(0.05, n, 1),
		"pink noise": audiotest.Pink(0.05, n, 1),
	} {
		if part := above(s.judge(t, new(pipeline.VADState), pcm)); part > 0.05 {
			t.Errorf("a voice in %.0f %% of the frames of %s", 100*part, name)
		}
	}
	s.judge(t, new(pipeline.VADState), nil)
}

func (s vadSuite) pieces(t *testing.T) {
	whole := s.judge(t, new(pipeline.VADState), s.speech)
	st, got := new(pipeline.VADState), []float32{}
	for rest, step := s.speech, 1; len(rest) > 0; step = step%7 + 1 {
		n := min(step*pipeline.FrameSamples, len(rest))
		got = append(got, s.judge(t, st, rest[:n])...)
		rest = rest[n:]
	}
	if !near(got, whole) {
		t.Error("the probabilities differ")
	}
}

func (s vadSuite) streams(t *testing.T) {
	whole := s.judge(t, new(pipeline.VADState), s.speech)
	noise := audiotest.White(0.3, pipeline.FrameSamples, 2)
	st, other, got := new(pipeline.VADState), new(pipeline.VADState), []float32{}
	for rest := s.speech; len(rest) > 0; rest = rest[pipeline.FrameSamples:] {
		got = append(got, s.judge(t, st, rest[:pipeline.FrameSamples])...)
		s.judge(t, other, noise)
	}
	if !near(got, whole) {
		t.Error("another stream changed the probabilities")
	}
	if !near(s.judge(t, new(pipeline.VADState), s.speech), whole) {
		t.Error("the zero state is no fresh start")
	}
}

func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { d := x - y; return d < 1e-3 && d > -1e-3 })
}

func (s vadSuite) refuses(t *testing.T) {
	if _, err := s.v.Speech(t.Context(), new(pipeline.VADState), s.speech[:pipeline.FrameSamples+1]); err == nil {
		t.Error("a frame and a sample were taken")
	}
}

func (s vadSuite) deadContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrSuperseded)
	if _, err := s.v.Speech(ctx, new(pipeline.VADState), s.speech); !errors.Is(err, fault.ErrSuperseded) {
		t.Errorf("got %v, want the context's cause", err)
	}
}
