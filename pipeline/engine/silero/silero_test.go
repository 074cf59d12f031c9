package silero

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"brenda/pipeline"
	"brenda/pipeline/engine/ort"
	"brenda/pipeline/enginetest"
)

func modelPath(tb testing.TB) string {
	tb.Helper()
	p := filepath.Join(enginetest.ModelsDir(tb), "silero-vad", "silero_vad.onnx")
	if _, err := os.Stat(p); err != nil {
		tb.Fatalf("%v; run: brenda models pull", err)
	}
	return p
}

func engine(tb testing.TB) *Engine {
	tb.Helper()
	e, err := Open(modelPath(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// session opens the same weights in ONNX Runtime: what the kernel is measured against.
func session(tb testing.TB) *ort.Session {
	tb.Helper()
	lib := filepath.Join(enginetest.ModelsDir(tb), "onnxruntime", "libonnxruntime.so")
	if err := ort.Load(lib); err != nil {
		tb.Fatalf("%v; run: brenda models pull", err)
	}
	s, err := ort.Open(modelPath(tb), []string{"input", "state", "sr"}, []string{"output", "stateN"}, ort.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// reference runs n streams of one frame each through ONNX Runtime: in is [n,576], state [2,n,128].
func reference(tb testing.TB, s *ort.Session, n int, in, state []float32) (probs, next []float32) {
	tb.Helper()
	out, err := s.Run(tb.Context(), ort.Tensor{Shape: []int64{int64(n), 576}, Floats: in},
		ort.Tensor{Shape: []int64{2, int64(n), 128}, Floats: state}, ort.Tensor{Shape: []int64{1}, Ints: []int64{16000}})
	if err != nil {
		tb.Fatal(err)
	}
	return out[0], out[1]
}

// speechlike makes sound that excites the network: bursts of voiced harmonics, noise, silence, clipping.
func speechlike(seconds int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	pcm := make([]float32, seconds*pipeline.InputRate/pipeline.FrameSamples*pipeline.FrameSamples)
	for i := range pcm {
		t := float64(i) / pipeline.InputRate
		switch part := int(t*2) % 5; part {
		case 0:
		case 1:
			pcm[i] = float32(r.NormFloat64() * 0.02)
		default:
			f := 110 + 30*math.Sin(2*math.Pi*2.3*t)
			env := math.Max(0, math.Sin(2*math.Pi*4*t))
			for h := 1.0; h < 20; h++ {
				formant := math.Exp(-math.Pow((f*h-600*float64(part-1))/400, 2)) + 0.1/h
				pcm[i] += float32(0.4 * env * formant * math.Sin(2*math.Pi*f*h*t))
			}
			pcm[i] = max(-1, min(1, pcm[i]+float32(r.NormFloat64()*0.003)))
		}
	}
	return pcm
}

func TestKernelGivesWhatONNXRuntimeGives(t *testing.T) {
	e, s := engine(t), session(t)
	pcm := speechlike(30)
	var st pipeline.VADState
	got, err := e.Speech(t.Context(), &st, pcm)
	if err != nil {
		t.Fatal(err)
	}
	state, in := make([]float32, 256), make([]float32, 576)
	var worst, top float64
	for i := range got {
		copy(in[64:], pcm[i*512:])
		p, next := reference(t, s, 1, in, state)
		state = next
		copy(in, in[512:])
		worst = max(worst, math.Abs(float64(p[0]-got[i])))
		top = max(top, float64(p[0]))
	}
	t.Logf("%d frames, worst difference %.2g, highest probability %.2f", len(got), worst, top)
	if worst > 1e-4 {
		t.Errorf("differs from ONNX Runtime by %g", worst)
	}
	if top < 0.5 {
		t.Errorf("the sound never counts as speech (%.2f): the test compares too little", top)
	}
	for i := range state {
		if math.Abs(float64(state[i]-st.Hidden[i])) > 1e-3 {
			t.Fatalf("state %d: %g, ONNX Runtime has %g", i, st.Hidden[i], state[i])
		}
	}
}

func TestPiecesGiveTheSameAsTheWhole(t *testing.T) {
	e := engine(t)
	pcm := speechlike(8)
	var whole, pieces pipeline.VADState
	want, err := e.Speech(t.Context(), &whole, pcm)
	if err != nil {
		t.Fatal(err)
	}
	var got []float32
	for n := 1; len(pcm) > 0; n++ {
		k := min(len(pcm), n%5*pipeline.FrameSamples)
		p, err := e.Speech(t.Context(), &pieces, pcm[:k])
		if err != nil {
			t.Fatal(err)
		}
		got, pcm = append(got, p...), pcm[k:]
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("frame %d: %g, as a whole %g", i, got[i], want[i])
		}
	}
	if whole != pieces {
		t.Error("the states differ")
	}
}

func TestStreamsDoNotMix(t *testing.T) {
	e := engine(t)
	pcm := speechlike(10)
	var st pipeline.VADState
	want, _ := e.Speech(t.Context(), &st, pcm)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var st pipeline.VADState
			got, err := e.Speech(t.Context(), &st, pcm)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("frame %d: %g, alone %g", i, got[i], want[i])
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestOddSoundDoesNotDeafen(t *testing.T) {
	e := engine(t)
	odd := make([]float32, 3*pipeline.FrameSamples)
	for i, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), 3e38, -3e38} {
		odd[700+10*i] = v
	}
	var st pipeline.VADState
	p, err := e.Speech(t.Context(), &st, odd)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p {
		if !(v >= 0 && v <= 1) {
			t.Errorf("probability %g", v)
		}
	}
	p, err = e.Speech(t.Context(), &st, speechlike(8))
	if err != nil {
		t.Fatal(err)
	}
	var top float32
	for _, v := range p {
		top = max(top, v)
	}
	if top < 0.5 {
		t.Errorf("deaf after odd samples: at most %g", top)
	}
}

func TestRefusals(t *testing.T) {
	e := engine(t)
	var st pipeline.VADState
	if _, err := e.Speech(t.Context(), &st, make([]float32, 100)); err == nil {
		t.Error("took a part of a frame")
	}
	if p, err := e.Speech(t.Context(), &st, nil); err != nil || len(p) != 0 {
		t.Errorf("nothing in: %v, %v", p, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("over")
	cancel(why)
	if _, err := e.Speech(ctx, &st, make([]float32, 512)); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.onnx")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestDamagedModelIsRefused(t *testing.T) {
	raw, err := os.ReadFile(modelPath(t))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(raw); n += len(raw)/97 + 1 {
		if _, err := parse(raw[:n]); err == nil {
			t.Errorf("took the first %d of %d bytes", n, len(raw))
		}
	}
	if _, err := parse([]byte("<html>not found</html>")); err == nil {
		t.Error("took a web page")
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x3a\x04\x0a\x02\x12\x00"))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		if e, err := parse(raw); err == nil {
			e.run(&pipeline.VADState{}, make([]float32, 512), make([]float32, 1))
		}
	})
}

func BenchmarkKernelFrame(b *testing.B) {
	e := engine(b)
	pcm := speechlike(4)[:pipeline.FrameSamples]
	var st pipeline.VADState
	for b.Loop() {
		if _, err := e.Speech(b.Context(), &st, pcm); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKernelSecond(b *testing.B) {
	e := engine(b)
	pcm := speechlike(4)[:31*pipeline.FrameSamples]
	var st pipeline.VADState
	for b.Loop() {
		if _, err := e.Speech(b.Context(), &st, pcm); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/31, "ns/frame")
}

func BenchmarkONNXRuntime(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		b.Run(map[int]string{1: "one", 8: "batch8", 32: "batch32"}[n], func(b *testing.B) {
			s := session(b)
			in, state := make([]float32, n*576), make([]float32, n*256)
			for i := range in {
				in[i] = float32(math.Sin(float64(i)))
			}
			for b.Loop() {
				reference(b, s, n, in, state)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/frame")
		})
	}
}

func TestConformance(t *testing.T) {
	for _, r := range enginetest.Speech(t, "fr") {
		if r.Seconds > 3 {
			enginetest.VAD(t, engine(t), r.Clip(t).PCM)
			return
		}
	}
	t.Fatal("no recording of three seconds")
}
