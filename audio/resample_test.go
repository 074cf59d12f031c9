package audio_test

import (
	"fmt"
	"math"
	"math/bits"
	"testing"

	"brenda/audio"
	"brenda/audio/audiotest"
)

var commonRates = []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000}

// middle returns the samples in the middle, away from the filter's ends: a power of two, which the FFT likes.
func middle(pcm []float32) []float32 {
	n := min(1<<13, 1<<(bits.Len(uint(len(pcm)*7/8))-1))
	start := (len(pcm) - n) / 2
	return pcm[start : start+n]
}

func eachPair(t *testing.T, rates []int, check func(t *testing.T, from, to int)) {
	t.Helper()
	for _, from := range rates {
		for _, to := range rates {
			if from != to {
				t.Run(fmt.Sprintf("%d to %d", from, to), func(t *testing.T) { check(t, from, to) })
			}
		}
	}
}

// chord returns tones of the same amplitude at parts of nyquist.
func chord(parts []float64, nyquist, amplitude float64, rate int) (pcm []float32, freqs []float64) {
	for _, p := range parts {
		freqs = append(freqs, p*nyquist)
		pcm = audiotest.Mix(pcm, audiotest.Tone(p*nyquist, amplitude, rate, rate/4))
	}
	return pcm, freqs
}

func TestPassBandIsFlat(t *testing.T) {
	eachPair(t, commonRates, func(t *testing.T, from, to int) {
		t.Helper()
		parts := []float64{0.03, 0.1, 0.3, 0.5, 0.7, 0.8, 0.86, 0.9}
		in, freqs := chord(parts, float64(min(from, to))/2, 0.1, from)
		for i, amplitude := range audiotest.Levels(middle(audio.Resample(in, from, to)), to, freqs...) {
			if d := math.Abs(audio.DB(amplitude / 0.1)); d > 0.01 {
				t.Errorf("%.0f Hz is %.3f dB off", freqs[i], d)
			}
		}
	})
}

func TestNothingFoldsBack(t *testing.T) {
	eachPair(t, commonRates, func(t *testing.T, from, to int) {
		t.Helper()
		var parts []float64
		for _, p := range []float64{1.001, 1.05, 1.2, 1.5, 1.9, 2.5, 3.1, 5.3, 11} {
			if p*float64(to) < 0.99*float64(from) {
				parts = append(parts, p)
			}
		}
		in, _ := chord(parts, float64(to)/2, 1, from)
		if len(parts) == 0 {
			return
		}
		if _, amplitude := audiotest.Peak(middle(audio.Resample(in, from, to)), to); audio.DB(amplitude) > -85 {
			t.Errorf("%.1f dB come through", audio.DB(amplitude))
		}
	})
}

func TestUpsamplingAddsNoImages(t *testing.T) {
	eachPair(t, commonRates, func(t *testing.T, from, to int) {
		t.Helper()
		if from > to {
			return
		}
		freq := 0.83 * float64(from) / 2
		out := audio.Resample(audiotest.Tone(freq, 1, from, from/4), from, to)
		part := middle(out)
		for k, a := range audiotest.Spectrum(part) {
			f := float64(k) * float64(to) / float64(len(part))
			if math.Abs(f-freq) > 5*float64(to)/float64(len(part)) && audio.DB(a) > -80 {
				t.Fatalf("%.0f Hz is there at %.1f dB beside the tone at %.0f Hz", f, audio.DB(a), freq)
			}
		}
	})
}

func TestOddRatiosWork(t *testing.T) {
	eachPair(t, []int{8000, 16001, 44100, 47999, 191999}, func(t *testing.T, from, to int) {
		t.Helper()
		in := audiotest.Tone(1234, 0.5, from, from/2)
		out := audio.Resample(in, from, to)
		part := middle(out)
		freq, amplitude := audiotest.Peak(part, to)
		if math.Abs(freq-1234) > 1 || math.Abs(audio.DB(amplitude/0.5)) > 0.005 {
			t.Errorf("the tone became %.2f Hz at %.4f", freq, amplitude)
		}
		if noise := audiotest.Noise(part, to, 1234); audio.DB(noise/0.35) > -80 {
			t.Errorf("noise at %.1f dB", audio.DB(noise/0.35))
		}
	})
}

// The output is where the input is: no delay at the start, none that grows.
func TestOutputStaysAligned(t *testing.T) {
	eachPair(t, []int{8000, 16000, 22050, 44100, 48000, 16001}, func(t *testing.T, from, to int) {
		t.Helper()
		const freq, seconds = 440, 5
		out := audio.Resample(audiotest.Tone(freq, 0.5, from, from*seconds), from, to)
		want := audiotest.Tone(freq, 0.5, to, to*seconds)
		if len(out) != len(want) {
			t.Fatalf("%d samples, want %d", len(out), len(want))
		}
		for i := to / 10; i < len(out)-to/10; i++ {
			if d := math.Abs(float64(out[i] - want[i])); d > 1e-4 {
				t.Fatalf("sample %d is off by %g", i, d)
			}
		}
	})
}

func TestLengthIsExactForAnyBlocks(t *testing.T) {
	eachPair(t, []int{8000, 11025, 16000, 44100, 48000, 9973}, func(t *testing.T, from, to int) {
		t.Helper()
		for _, n := range []int{0, 1, 161, 4097} {
			in := audiotest.White(0.5, n, 1)
			whole := audio.Resample(in, from, to)
			want := (n*to + from - 1) / from
			if len(whole) != want {
				t.Fatalf("%d samples became %d, want %d", n, len(whole), want)
			}
			r := audio.NewResampler(from, to)
			for range 2 { // a flushed resampler starts anew
				var out []float32
				for i, size := 0, 1; i < n; i, size = i+size, size*3%97+1 {
					out = r.Process(out, in[i:min(i+size, n)])
				}
				out = r.Flush(out)
				if len(out) != len(whole) {
					t.Fatalf("in blocks: %d samples, want %d", len(out), len(whole))
				}
				for i := range out {
					if out[i] != whole[i] {
						t.Fatalf("sample %d depends on the blocks", i)
					}
				}
			}
		}
	})
}

func TestSameRatePassesThrough(t *testing.T) {
	in := audiotest.White(0.5, 1000, 1)
	r := audio.NewResampler(16000, 16000)
	out := r.Flush(r.Process(nil, in))
	if len(out) != len(in) || out[999] != in[999] {
		t.Fatal("changed")
	}
}

func TestWrongRatesPanic(t *testing.T) {
	for _, rate := range []int{-1, 0, 7999, 192001} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d Hz was accepted", rate)
				}
			}()
			audio.NewResampler(rate, 16000)
		}()
	}
}

func TestProcessDoesNotAllocateInTheLongRun(t *testing.T) {
	r := audio.NewResampler(48000, 16000)
	in, out := audiotest.White(0.5, 960, 1), make([]float32, 0, 1024)
	for range 10 {
		r.Process(out, in)
	}
	if n := testing.AllocsPerRun(100, func() { r.Process(out, in) }); n > 0 {
		t.Errorf("%.1f allocations a block", n)
	}
}

// BenchmarkResample reports how many times faster than the sound itself it is, in blocks of 20 ms.
func BenchmarkResample(b *testing.B) {
	for _, pair := range [][2]int{{48000, 16000}, {44100, 16000}, {24000, 48000}, {8000, 16000}, {16001, 16000}} {
		b.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(b *testing.B) {
			r := audio.NewResampler(pair[0], pair[1])
			in, out := audiotest.White(0.5, pair[0]/50, 1), make([]float32, 0, 4096)
			for b.Loop() {
				r.Process(out, in)
			}
			b.ReportMetric(0.02*float64(b.N)/b.Elapsed().Seconds(), "×realtime")
		})
	}
}

func BenchmarkNewResampler(b *testing.B) {
	for b.Loop() {
		audio.NewResampler(44100, 16000)
	}
}
