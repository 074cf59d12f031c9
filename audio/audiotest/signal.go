// Package audiotest makes and measures sound for tests: tones, noise, spectra, word error rates.
package audiotest

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"os"

	"gonum.org/v1/gonum/dsp/fourier"

	"brenda/audio"
)

// InputRate is the rate in Hz that [ReadFile] converts to, that of the listening engines.
const InputRate = 16000

// Tone returns n samples of a sine with the given frequency and amplitude at rate Hz, starting at phase 0.
func Tone(freq, amplitude float64, rate, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(amplitude * math.Sin(2*math.Pi*freq*float64(i)/float64(rate)))
	}
	return out
}

// Silence returns n samples of 0.
func Silence(n int) []float32 { return make([]float32, n) }

// White returns n samples of white noise, even in −amplitude…amplitude; the same for the same seed.
func White(amplitude float64, n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(amplitude * (2*rng.Float64() - 1))
	}
	return out
}

// Pink returns n samples of pink noise (−3 dB per octave) with peaks near amplitude, by the method of
// Voss and McCartney: sixteen random values, the k-th drawn anew each 2^k samples, added up.
func Pink(amplitude float64, n int, seed uint64) []float32 {
	const rows = 16
	rng := rand.New(rand.NewPCG(seed, 1))
	var row [rows]float64
	out := make([]float32, n)
	for i := range out {
		for k := range row {
			if i%(1<<k) == 0 {
				row[k] = 2*rng.Float64() - 1
			}
		}
		sum := 2*rng.Float64() - 1
		for _, v := range row {
			sum += v
		}
		out[i] = float32(amplitude * sum / (rows + 1) * 2)
	}
	return out
}

// Mix returns the sum of sounds, as long as the longest.
func Mix(sounds ...[]float32) []float32 {
	var out []float32
	for _, s := range sounds {
		if len(s) > len(out) {
			out = append(out, make([]float32, len(s)-len(out))...)
		}
		for i, v := range s {
			out[i] += v
		}
	}
	return out
}

// The Blackman–Harris window's main lobe reaches four elements to each side, and noise under it reads as
// much higher.
const (
	lobe       = 4
	noiseWidth = 2.0044
)

// Spectrum returns the amplitude of each frequency of a sound under a Blackman–Harris window (side lobes
// below −92 dB): element k stands for k·rate/len(pcm) Hz, and a sine of amplitude a that falls on it
// reads a. Tones need about four elements of distance.
func Spectrum(pcm []float32) []float64 {
	n := len(pcm)
	x := make([]float64, n)
	var gain float64
	for i, v := range pcm {
		t := 2 * math.Pi * float64(i) / float64(n)
		w := 0.35875 - 0.48829*math.Cos(t) + 0.14128*math.Cos(2*t) - 0.01168*math.Cos(3*t)
		x[i] = float64(v) * w
		gain += w
	}
	out := make([]float64, 0, n/2+1)
	for _, c := range fourier.NewFFT(n).Coefficients(nil, x) {
		out = append(out, 2*cmplx.Abs(c)/gain)
	}
	return out
}

// Peak returns the strongest frequency of a sound in Hz and its amplitude, both finer than the elements
// of its [Spectrum]: the centre and the power of the window's main lobe. It needs 16 samples or more.
func Peak(pcm []float32, rate int) (freq, amplitude float64) {
	s := Spectrum(pcm)
	best := 1
	for k := 1; k < len(s); k++ {
		if s[k] > s[best] {
			best = k
		}
	}
	power, moment := mainLobe(s, best)
	if power == 0 {
		return 0, 0
	}
	return moment / power * float64(rate) / float64(len(pcm)), math.Sqrt(power / noiseWidth)
}

// Levels returns the amplitudes of tones in a sound. Each needs ten elements of its [Spectrum] to itself.
func Levels(pcm []float32, rate int, freqs ...float64) []float64 {
	s := Spectrum(pcm)
	out := make([]float64, len(freqs))
	for i, f := range freqs {
		power, _ := mainLobe(s, int(math.Round(f*float64(len(pcm))/float64(rate))))
		out[i] = math.Sqrt(power / noiseWidth)
	}
	return out
}

// mainLobe returns the power around element k of a spectrum, and its moment.
func mainLobe(s []float64, k int) (power, moment float64) {
	for i := max(1, k-lobe); i <= min(k+lobe, len(s)-1); i++ {
		power += s[i] * s[i]
		moment += s[i] * s[i] * float64(i)
	}
	return power, moment
}

// Noise returns the RMS of what is in a sound beside the tone at freq: everything further than 0.5 % of
// the rate from it. It ignores 0 Hz.
func Noise(pcm []float32, rate int, freq float64) float64 {
	var sum float64
	for k, a := range Spectrum(pcm) {
		f := float64(k) * float64(rate) / float64(len(pcm))
		if k > 4 && math.Abs(f-freq) > float64(rate)/200 {
			sum += a * a / 2
		}
	}
	return math.Sqrt(sum / noiseWidth)
}

// ReadFile returns the sound of a WAV or MP3 file as mono samples at [InputRate].
func ReadFile(path string) ([]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	src, err := audio.Open(f, info.Size(), InputRate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return audio.ReadAll(src)
}
