package ort_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/enginetest"
)

// session opens the smallest model that there is.
func session(t *testing.T) *ort.Session {
	t.Helper()
	if err := ort.Load(enginetest.ORTLib(t)); err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(enginetest.Model(t, "silero-vad", "silero_vad.onnx"),
		[]string{"input", "state", "sr"}, []string{"output", "stateN"}, ort.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func inputs() []ort.Tensor {
	in := make([]float32, 576)
	for i := range in {
		in[i] = float32(i%40)/40 - 0.5
	}
	return []ort.Tensor{
		{Shape: []int64{1, 576}, Floats: in},
		{Shape: []int64{2, 1, 128}, Floats: make([]float32, 256)},
		{Shape: []int64{1}, Ints: []int64{16000}},
	}
}

func TestRunsAtOnceGiveTheSame(t *testing.T) {
	s := session(t)
	want, err := s.Run(t.Context(), inputs()...)
	if err != nil || len(want) != 2 || len(want[0]) != 1 || len(want[1]) != 256 {
		t.Fatalf("%v, %v", want, err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel() // the end may come before, within or after
				got, err := s.Run(ctx, inputs()...)
				switch {
				case err != nil && !errors.Is(err, context.Canceled):
					t.Error(err)
				case err == nil && !slices.EqualFunc(got, want, slices.Equal):
					t.Error("another result than alone")
				}
			}
		})
	}
	wg.Wait()
}

func TestRefusals(t *testing.T) {
	s := session(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("over")
	cancel(why)
	if _, err := s.Run(ctx, inputs()...); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.Run(t.Context(), inputs()[:1]...); err == nil {
		t.Error("ran with too few inputs")
	}
	bad := inputs()
	bad[0].Shape = []int64{1, 5}
	if _, err := s.Run(t.Context(), bad...); err == nil {
		t.Error("ran with a frame of five samples")
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Run(t.Context(), inputs()...); !errors.Is(err, ort.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	junk := filepath.Join(t.TempDir(), "junk.onnx")
	if err := os.WriteFile(junk, []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ort.Open(junk, []string{"a"}, []string{"b"}, ort.Options{}); err == nil {
		t.Error("opened a web page")
	}
}
