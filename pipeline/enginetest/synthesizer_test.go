package enginetest

import (
	"context"
	"math"
	"strings"
	"testing"
	"unicode"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// hum says every sentence as a tone of a length that fits.
type hum struct{}

func (hum) Synthesize(ctx context.Context, l pipeline.Line, emit func([]float32) error) error {
	if l.Voice != "" && l.Voice != "Hum" {
		return fault.New(fault.NotFound, "", "no voice %q", l.Voice)
	}
	speed := l.Speed
	if speed == 0 {
		speed = 1
	}
	for part := range strings.SplitAfterSeq(l.Text, ".") {
		if strings.IndexFunc(part, unicode.IsLetter) < 0 {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pcm := make([]float32, int(float64(len(part))*pipeline.OutputRate/15/speed))
		for i := range pcm {
			pcm[i] = float32(0.1 * math.Sin(float64(i)/10))
		}
		if err := emit(pcm); err != nil {
			return err
		}
	}
	return nil
}

func TestSynthesizer(t *testing.T) { Synthesizer(t, hum{}) }

// certain answers by the loudness of the end.
type certain struct{}

func (certain) Finished(ctx context.Context, pcm []float32) (float32, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if len(pcm) == 0 || pcm[len(pcm)-1] < 0.01 {
		return 1, nil
	}
	return 0, nil
}

func TestTurnDetector(t *testing.T) { TurnDetector(t, certain{}) }
