package smartturn

import (
	_ "embed"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { enginetest.MainWithChild(m, ChildMain) }

// What pipecat's reference in Python gives for sound(samples).
//
//go:embed testdata/golden.json
var golden []byte

type example struct {
	Samples     int         `json:"samples"`
	Probability float64     `json:"probability"`
	Columns     []int       `json:"columns"`
	Features    [][]float64 `json:"features"` // by column
}

func examples(tb testing.TB) []example {
	tb.Helper()
	var all []example
	if err := json.Unmarshal(golden, &all); err != nil || len(all) == 0 {
		tb.Fatal(err)
	}
	return all
}

// sound is a pulsing sweep with a whistle and noise.
func sound(n int) []float32 {
	pcm := make([]float32, n)
	seed := uint32(12345)
	for i := range pcm {
		t := float64(i) / rate
		s := 0.3*math.Sin(2*math.Pi*(150*t+40*t*t))*max(0, math.Sin(2*math.Pi*3*t)) + 0.05*math.Sin(2*math.Pi*3100*t)
		seed = seed*1664525 + 1013904223
		pcm[i] = float32(s + (float64(seed)/(1<<32)-0.5)*0.02)
	}
	return pcm
}

func TestFeaturesAreWhispers(t *testing.T) {
	e := newExtractor()
	for _, g := range examples(t) {
		got := e.features(sound(g.Samples))
		var worst float64
		for i, column := range g.Columns {
			for m, want := range g.Features[i] {
				worst = max(worst, math.Abs(float64(got[m*frames+column])-want))
			}
		}
		t.Logf("%d samples: worst difference %.2g", g.Samples, worst)
		if worst > 1e-3 {
			t.Errorf("%d samples: differs from the reference by %g", g.Samples, worst)
		}
	}
}

func config(tb testing.TB) Config {
	tb.Helper()
	c := Config{ORTLib: enginetest.ORTLib(tb), Model: enginetest.Model(tb, "smart-turn-v3.2", "smart-turn-v3.2-cpu.onnx")}
	c.Exec, c.Env = enginetest.AsChild()
	return c
}

func engine(tb testing.TB) *Engine {
	tb.Helper()
	return enginetest.Closed(tb, New(tb.Context(), config(tb)))
}

func TestConformance(t *testing.T) { enginetest.TurnDetector(t, engine(t)) }

// The slack is wide because the model is: a change of one millionth in its input tips 8-bit roundings and
// moves an undecided answer by 0.1 in the reference too.
func TestProbabilityIsTheReferences(t *testing.T) {
	e := engine(t)
	for _, g := range examples(t) {
		p, err := e.Finished(t.Context(), sound(g.Samples))
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(p)-g.Probability) > 0.15 {
			t.Errorf("%d samples: %.4f, the reference has %.4f", g.Samples, p, g.Probability)
		}
	}
}

func TestOnlyTheLastEightSecondsCount(t *testing.T) {
	e := newExtractor()
	long := sound(length + 5000)
	a, b := e.features(long), e.features(long[5000:])
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("feature %d: %g, without the past %g", i, a[i], b[i])
		}
	}
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), 3e38}
	for i, v := range e.features(odd) {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			t.Fatalf("odd samples give feature %d = %g", i, v)
		}
	}
}

func TestMissingModel(t *testing.T) {
	cfg := config(t)
	cfg.Model = filepath.Join(t.TempDir(), "none.onnx")
	e := New(t.Context(), cfg)
	defer func() { _ = e.Close() }()
	err := e.Warm(t.Context())
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "brenda models pull") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkFeatures(b *testing.B) {
	e, pcm := newExtractor(), sound(length)
	for b.Loop() {
		e.features(pcm)
	}
}

func BenchmarkFinished(b *testing.B) {
	e, pcm := engine(b), sound(length)
	for b.Loop() {
		if _, err := e.Finished(b.Context(), pcm); err != nil {
			b.Fatal(err)
		}
	}
}
