package audio_test

import (
	"math"
	"slices"
	"testing"

	"brenda/audio"
	"brenda/audio/audiotest"
)

func TestRMS(t *testing.T) {
	for name, c := range map[string]struct {
		pcm  []float32
		want float64
	}{
		"nothing":  {nil, 0},
		"silence":  {audiotest.Silence(100), 0},
		"constant": {[]float32{-0.5, -0.5}, 0.5},
		"sine":     {audiotest.Tone(1000, 1, 16000, 16000), math.Sqrt2 / 2},
	} {
		if got := audio.RMS(c.pcm); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %g, want %g", name, got, c.want)
		}
	}
	if got := audio.DB(0.5); math.Abs(got+6.0206) > 1e-4 {
		t.Errorf("half is %g dB", got)
	}
}

func TestTrimSilence(t *testing.T) {
	const rate = 16000
	quiet := func(n int) []float32 { return audiotest.White(0.001, n, 1) }
	sound := slices.Concat(quiet(rate), audiotest.Tone(200, 0.3, rate, rate/2), quiet(2*rate))
	for name, c := range map[string]struct {
		pcm        []float32
		head, tail float64
		start, n   int
	}{
		"bare":              {sound, 0, 0, rate, rate / 2},
		"with room":         {sound, 0.1, 0.2, rate - rate/10, rate/2 + 3*rate/10},
		"more room than is": {sound, 9, 9, 0, len(sound)},
		"nothing to trim":   {sound[rate : rate+100], 1, 1, rate, 100},
	} {
		got := audio.TrimSilence(c.pcm, rate, 0.01, c.head, c.tail)
		if len(got) != c.n || &got[0] != &sound[c.start] {
			t.Errorf("%s: %d samples, want %d from %d", name, len(got), c.n, c.start)
		}
	}
	if got := audio.TrimSilence(quiet(rate), rate, 0.01, 1, 1); got != nil {
		t.Errorf("%d samples of silence", len(got))
	}
	if got := audio.TrimSilence(nil, rate, 0.01, 1, 1); got != nil {
		t.Errorf("%d samples of nothing", len(got))
	}
}

func TestSoftClip(t *testing.T) {
	pcm := []float32{0, 0.5, -0.8, 0.9, -1, 3, -100, float32(math.Inf(1))}
	audio.SoftClip(pcm)
	if !slices.Equal(pcm[:3], []float32{0, 0.5, -0.8}) {
		t.Errorf("small samples changed: %v", pcm[:3])
	}
	for _, v := range pcm[3:] {
		if m := math.Abs(float64(v)); m <= 0.8 || m > 1 {
			t.Errorf("a peak became %g", v)
		}
	}
	if pcm[3] >= -pcm[4] || pcm[4] > 0 {
		t.Errorf("order or sign lost: %v", pcm)
	}
}

func TestPCM16RoundTrip(t *testing.T) {
	var raw []byte
	for v := math.MinInt16; v <= math.MaxInt16; v++ {
		raw = append(raw, byte(v), byte(v>>8))
	}
	pcm := audio.FloatsFromPCM16(nil, append(raw, 7)) // an odd byte is left out
	if got := audio.PCM16(pcm); !slices.Equal(got, raw) {
		t.Error("16-bit samples do not survive")
	}
	if pcm[0] != -1 || pcm[32768] != 0 {
		t.Errorf("%g and %g", pcm[0], pcm[32768])
	}
}
