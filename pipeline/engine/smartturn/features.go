package smartturn

import (
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// What the model hears: Whisper's log-mel spectrogram of 8 s, as its feature extractor computes it (Hugging
// Face transformers, feature_extraction_whisper.py, with do_normalize).
const (
	rate     = 16000
	length   = 8 * rate // samples
	fftSize  = 400
	hop      = 160
	frames   = length / hop
	bins     = fftSize/2 + 1
	mels     = 80
	melFloor = 1e-10
)

// extractor holds the tables; it is read only once made. FFT plans are not, so each call makes its own.
type extractor struct {
	window  [fftSize]float64
	filters [mels]filter
}

// filter is one triangle of the mel bank: weights for the bins from first on.
type filter struct {
	first   int
	weights []float64
}

func newExtractor() *extractor {
	e := &extractor{}
	for i := range e.window {
		e.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/fftSize)
	}
	// Slaney's mel scale, each triangle of area one.
	var edges [mels + 2]float64
	top := toMel(rate / 2)
	for i := range edges {
		edges[i] = toHertz(top * float64(i) / (mels + 1))
	}
	for m := range e.filters {
		left, middle, right := edges[m], edges[m+1], edges[m+2]
		f := filter{first: -1}
		for bin := range bins {
			hz := float64(bin) * rate / fftSize
			w := min((hz-left)/(middle-left), (right-hz)/(right-middle))
			if w <= 0 {
				continue
			}
			if f.first < 0 {
				f.first = bin
			}
			f.weights = append(f.weights, w*2/(right-left))
		}
		f.first = max(f.first, 0)
		e.filters[m] = f
	}
	return e
}

func toMel(hertz float64) float64 {
	if hertz < 1000 {
		return 3 * hertz / 200
	}
	return 15 + math.Log(hertz/1000)*27/math.Log(6.4)
}

func toHertz(mel float64) float64 {
	if mel < 15 {
		return 200 * mel / 3
	}
	return 1000 * math.Exp((mel-15)*math.Log(6.4)/27)
}

// features returns the log-mel spectrogram (mels × frames, by rows) of the last 8 s of pcm, which are filled
// up with zeros in front.
func (e *extractor) features(pcm []float32) []float32 {
	x := padded(pcm)
	fft := fourier.NewFFT(fftSize)
	var windowed [fftSize]float64
	spectrum := make([]complex128, bins)
	var power [bins]float64
	logs := make([]float64, mels*frames)
	top := math.Inf(-1)
	for t := range frames {
		for i := range windowed {
			windowed[i] = x[t*hop+i] * e.window[i]
		}
		fft.Coefficients(spectrum, windowed[:])
		for i, c := range spectrum {
			power[i] = real(c)*real(c) + imag(c)*imag(c)
		}
		for m, f := range e.filters {
			var sum float64
			for i, w := range f.weights {
				sum += w * power[f.first+i]
			}
			v := math.Log10(max(melFloor, sum))
			logs[m*frames+t] = v
			top = max(top, v)
		}
	}
	out := make([]float32, len(logs))
	for i, v := range logs {
		out[i] = float32((max(v, top-8) + 4) / 4)
	}
	return out
}

// padded returns the last 8 s with zeros in front, brought to mean 0 and variance 1, and mirrored at both
// ends by half a window.
func padded(pcm []float32) []float64 {
	const pad = fftSize / 2
	pcm = pcm[max(0, len(pcm)-length):]
	x := make([]float64, length+2*pad)
	voice := x[pad+length-len(pcm) : pad+length]
	var sum float64
	for i, v := range pcm {
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			voice[i] = f
			sum += f
		}
	}
	mean := sum / length
	var squares float64
	middle := x[pad : pad+length]
	for _, v := range middle {
		squares += (v - mean) * (v - mean)
	}
	scale := 1 / math.Sqrt(squares/length+1e-7)
	for i, v := range middle {
		middle[i] = (v - mean) * scale
	}
	for i := range pad {
		x[pad-1-i] = x[pad+1+i]
		x[pad+length+i] = x[pad+length-2-i]
	}
	return x
}
