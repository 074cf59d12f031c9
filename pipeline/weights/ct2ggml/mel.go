package ct2ggml

import "math"

const (
	melFFT  = 400
	melRate = 16000
	melBins = 1 + melFFT/2
)

// melFilters returns the mels × 201 filter bank that Whisper was trained with: triangles on the Slaney
// scale, each of area one (librosa.filters.mel with htk=False and norm="slaney"), in 64-bit floats, rounded
// to 32 bits at the end.
func melFilters(mels int) []float32 {
	hz := make([]float64, mels+2)
	top := slaneyMel(melRate / 2)
	step := top / float64(mels+1)
	for i := range hz {
		m := float64(float64(i) * step)
		if i == mels+1 {
			m = top
		}
		hz[i] = slaneyHz(m)
	}
	out := make([]float32, 0, mels*melBins)
	for m := range mels {
		lower, upper := hz[m+1]-hz[m], hz[m+2]-hz[m+1]
		norm := 2 / (hz[m+2] - hz[m])
		for k := range melBins {
			f := float64(k) * (melRate / 2) / (melBins - 1)
			rise := -(hz[m] - f) / lower
			fall := (hz[m+2] - f) / upper
			w := min(rise, fall)
			if w < 0 { // not max(0, w): the recorded checksums have the reference's negative zero at 0 Hz
				w = 0
			}
			out = append(out, float32(w*norm))
		}
	}
	return out
}

// The Slaney scale: linear below 1 kHz, logarithmic above.
const (
	slaneyStep  = 200.0 / 3
	slaneyBreak = 1000.0
)

func slaneyMel(hz float64) float64 {
	if hz < slaneyBreak {
		return hz / slaneyStep
	}
	return slaneyBreak/slaneyStep + math.Log(hz/slaneyBreak)/(math.Log(6.4)/27)
}

func slaneyHz(mel float64) float64 {
	knee := slaneyBreak / slaneyStep
	if mel < knee {
		return mel * slaneyStep
	}
	return slaneyBreak * math.Exp(math.Log(6.4)/27*(mel-knee))
}
