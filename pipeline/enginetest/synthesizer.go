package enginetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// What the suite says: everyday French, of a length that takes an engine some work.
const (
	sentence = "Bonjour, je suis à votre écoute."
	word     = "Oui."
)

// Synthesizer checks that an engine keeps the promises of [pipeline.Synthesizer]. It runs over the fakes and
// over the real engines.
func Synthesizer(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	t.Run("speaks", func(t *testing.T) { speaks(t, s) })
	t.Run("speed", func(t *testing.T) { obeysSpeed(t, s) })
	t.Run("nothing to say", func(t *testing.T) { staysSilent(t, s) })
	t.Run("long text", func(t *testing.T) { speaksAtLength(t, s) })
	t.Run("unknown voice", func(t *testing.T) {
		_, err := say(t.Context(), s, pipeline.Line{Text: word, Voice: "Nobody"})
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("got %v, want not found", err)
		}
	})
	t.Run("cancelled before", func(t *testing.T) { cancelledBefore(t, s) })
	t.Run("cancelled within", func(t *testing.T) { cancelledWithin(t, s) })
	t.Run("emit fails", func(t *testing.T) { emitFails(t, s) })
	t.Run("several at once", func(t *testing.T) { severalAtOnce(t, s) })
}

// say collects the sound of a line.
func say(ctx context.Context, s pipeline.Synthesizer, l pipeline.Line) ([]float32, error) {
	var all []float32
	err := s.Synthesize(ctx, l, func(pcm []float32) error {
		all = append(all, pcm...)
		return nil
	})
	return all, err
}

func mustSay(t *testing.T, s pipeline.Synthesizer, l pipeline.Line) []float32 {
	t.Helper()
	pcm, err := say(t.Context(), s, l)
	if err != nil {
		t.Fatalf("%q: %v", l.Text, err)
	}
	return pcm
}

func speaks(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	pcm := mustSay(t, s, pipeline.Line{Text: sentence})
	seconds := float64(len(pcm)) / pipeline.OutputRate
	if perSecond := float64(len([]rune(sentence))) / seconds; !(perSecond > 5 && perSecond < 30) {
		t.Errorf("%.2f s for %d letters: nobody speaks at %.0f letters a second", seconds, len(sentence), perSecond)
	}
	var sum, peak float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
		peak = max(peak, math.Abs(float64(v)))
	}
	level := 10 * math.Log10(sum/float64(len(pcm)))
	if !(level > -40 && level < -6) || peak > 1 {
		t.Errorf("level %.1f dB, peak %.2f: too quiet, too loud or no sound", level, peak)
	}
}

func obeysSpeed(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	slow := mustSay(t, s, pipeline.Line{Text: word, Speed: 0.6})
	fast := mustSay(t, s, pipeline.Line{Text: word, Speed: 1.8})
	if ratio := float64(len(slow)) / float64(len(fast)); ratio < 1.3 {
		t.Errorf("speed 0.6 takes only %.2f times as long as speed 1.8", ratio)
	}
}

func staysSilent(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	for _, text := range []string{"", "  \n\t", "…", "?!", "« »", "\x00\x01"} {
		if pcm := mustSay(t, s, pipeline.Line{Text: text}); len(pcm) != 0 {
			t.Errorf("%q gives %d samples", text, len(pcm))
		}
	}
}

func speaksAtLength(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	one := mustSay(t, s, pipeline.Line{Text: sentence})
	many := mustSay(t, s, pipeline.Line{Text: strings.Repeat(sentence+" ", 6)})
	if ratio := float64(len(many)) / float64(len(one)); !(ratio > 4 && ratio < 8) {
		t.Errorf("a sentence six times takes %.1f times as long as once", ratio)
	}
}

func cancelledBefore(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("over")
	cancel(why)
	if pcm, err := say(ctx, s, pipeline.Line{Text: sentence}); !errors.Is(err, why) || len(pcm) > 0 {
		t.Errorf("%d samples, error %v, want %v", len(pcm), err, why)
	}
}

func cancelledWithin(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("over")
	pieces := 0
	err := s.Synthesize(ctx, pipeline.Line{Text: strings.Repeat(sentence+" ", 6)}, func([]float32) error {
		pieces++
		cancel(why)
		return nil
	})
	cancel(nil)
	if pieces > 1 {
		t.Errorf("%d pieces after the context's end", pieces-1)
	}
	if err != nil && !errors.Is(err, why) { // all was said in one piece: no error is right too
		t.Errorf("got %v, want %v", err, why)
	}
}

func emitFails(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	why := errors.New("the receiver is gone")
	pieces := 0
	long := pipeline.Line{Text: strings.Repeat(sentence+" ", 6)}
	err := s.Synthesize(t.Context(), long, func([]float32) error {
		pieces++
		return why
	})
	if pieces != 1 || !errors.Is(err, why) {
		t.Errorf("%d pieces, error %v, want %v", pieces, err, why)
	}
}

func severalAtOnce(t *testing.T, s pipeline.Synthesizer) {
	t.Helper()
	texts := []string{word, "Bonjour !", "Il fait beau.", "Quelle heure est-il ?"}
	want := make([][]float32, len(texts))
	for i, text := range texts {
		want[i] = mustSay(t, s, pipeline.Line{Text: text})
	}
	var wg sync.WaitGroup
	for i, text := range texts {
		wg.Go(func() {
			got, err := say(t.Context(), s, pipeline.Line{Text: text})
			if err != nil || !slices.Equal(got, want[i]) {
				t.Errorf("%q: %d samples, %v; alone %d samples", text, len(got), err, len(want[i]))
			}
		})
	}
	wg.Wait()
}
