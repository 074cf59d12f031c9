package enginetest

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"

	"brenda/pipeline"
)

// TurnDetector checks that an engine keeps the promises of [pipeline.TurnDetector]. It runs over the fakes
// and over the real engines.
func TurnDetector(t *testing.T, d pipeline.TurnDetector) {
	t.Helper()
	sounds := turnSounds()
	want := map[string]float32{}
	t.Run("probabilities", func(t *testing.T) {
		for name, pcm := range sounds {
			p, err := d.Finished(t.Context(), pcm)
			if err != nil || !(p >= 0 && p <= 1) {
				t.Errorf("%s: %g, %v", name, p, err)
			}
			want[name] = p
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("over")
		cancel(why)
		if _, err := d.Finished(ctx, sounds["a second"]); !errors.Is(err, why) {
			t.Errorf("got %v, want %v", err, why)
		}
	})
	t.Run("several at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for name, pcm := range sounds {
			wg.Go(func() {
				if p, err := d.Finished(t.Context(), pcm); err != nil || p != want[name] {
					t.Errorf("%s: %g, %v; alone %g", name, p, err, want[name])
				}
			})
		}
		wg.Wait()
	})
}

// turnSounds are of every length that matters: none, shorter than what counts, longer.
func turnSounds() map[string][]float32 {
	tone := make([]float32, 10*pipeline.InputRate)
	for i := range tone {
		t := float64(i) / pipeline.InputRate
		tone[i] = float32(0.2 * math.Sin(2*math.Pi*180*t) * math.Sin(2*math.Pi*2*t))
	}
	return map[string][]float32{
		"nothing": nil, "one sample": tone[5:6], "a second": tone[:pipeline.InputRate],
		"ten seconds": tone, "silence": make([]float32, pipeline.InputRate),
	}
}
