package audio

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/gonum"
)

// The low-pass filter, designed after J. F. Kaiser (1974). With R the lower of the two rates, it passes
// 0…0.45·R, stops from 0.5·R on, so nothing folds back, and spends the tenth of the band between them on
// the slope.
const (
	stopDB    = 90.0 // attenuation of the stop band; the ripple of the pass band is as small, 0.0003 dB
	passEdge  = 0.9  // end of the pass band, in parts of R/2
	maxPhases = 512  // more phases than this are interpolated between, for ratios such as 44100:16001…
	minPhases = 32   // …fewer where the filter is stretched anyway, since the error depends on both
)

// Resampler converts a mono stream from one sample rate to another, block by block.
//
// It is a polyphase windowed-sinc filter. Output sample k lies exactly at input time k·from/to (integer
// arithmetic, so nothing drifts) and the filter's own delay is taken out: sample 0 of the output is
// sample 0 of the input. A stream of n samples becomes ceil(n·to/from), whatever the blocks. It is not
// safe for concurrent use.
type Resampler struct {
	from, to int // reduced by their greatest common divisor
	bank     *filterBank
	hist     []float32 // input not yet used up, zeros in front of the first sample
	pos      int       // where in hist the next output's window starts
	phase    int       // the next output's fraction of an input sample, in 1/to
	in, out  int64     // samples taken and given since the start
}

// NewResampler returns a resampler between two rates in Hz. Rates that are not [ValidRate] are a mistake
// in the program, and it panics.
func NewResampler(from, to int) *Resampler {
	if !ValidRate(from) || !ValidRate(to) {
		panic(fmt.Sprintf("audio: cannot resample from %d Hz to %d Hz", from, to))
	}
	g := gcd(from, to)
	r := &Resampler{from: from / g, to: to / g}
	if from != to {
		r.bank = newFilterBank(r.from, r.to)
	}
	r.Reset()
	return r
}

// Reset forgets the stream so far; the next sample is the first of a new one.
func (r *Resampler) Reset() {
	r.in, r.out, r.pos, r.phase = 0, 0, 0, 0
	if r.bank != nil {
		r.hist = append(r.hist[:0], make([]float32, r.bank.taps/2-1)...)
	}
}

// Process takes the next samples of the stream, appends to dst what they complete, and returns it. The
// output lags by half the filter, about 57 samples at the lower rate; Flush gives the rest. It keeps no
// reference to either slice.
func (r *Resampler) Process(dst, src []float32) []float32 {
	r.in += int64(len(src))
	if r.bank == nil {
		r.out = r.in
		return append(dst, src...)
	}
	r.hist = append(r.hist, src...)
	return r.produce(dst, math.MaxInt64)
}

// Flush appends the end of the stream to dst and starts a new one.
func (r *Resampler) Flush(dst []float32) []float32 {
	if r.bank != nil {
		total := (r.in*int64(r.to) + int64(r.from) - 1) / int64(r.from)
		r.hist = append(r.hist, make([]float32, r.bank.taps)...)
		dst = r.produce(dst, total)
	}
	r.Reset()
	return dst
}

// produce appends every output whose whole window is in hist, up to sample number limit of the stream.
func (r *Resampler) produce(dst []float32, limit int64) []float32 {
	step, rest := r.from/r.to, r.from%r.to
	for r.pos+r.bank.taps <= len(r.hist) && r.out < limit {
		dst = append(dst, r.bank.at(r.hist[r.pos:r.pos+r.bank.taps], r.phase, r.to))
		r.out++
		r.pos += step
		if r.phase += rest; r.phase >= r.to {
			r.phase -= r.to
			r.pos++
		}
	}
	used := min(r.pos, len(r.hist))
	r.hist = r.hist[:copy(r.hist, r.hist[used:])]
	r.pos -= used
	return dst
}

// Resample converts a whole sound from one rate in Hz to another. It returns pcm itself when they are the
// same, and panics as NewResampler does.
func Resample(pcm []float32, from, to int) []float32 {
	if from == to {
		return pcm
	}
	r := NewResampler(from, to)
	out := make([]float32, 0, int(int64(len(pcm))*int64(to)/int64(from))+1)
	return r.Flush(r.Process(out, pcm))
}

// filterBank holds the filter's impulse response, sampled once for each fraction of an input sample.
type filterBank struct {
	taps   int       // of one phase; even
	phases int       // distinct phases; when interpolating there is one row more
	coeffs []float32 // rows of taps coefficients
	blend  bool      // interpolate between rows
}

func newFilterBank(from, to int) *filterBank {
	scale := min(1, float64(to)/float64(from)) // of the lower rate to the input rate
	width := (1 - passEdge) / 2 * scale        // of the slope, in cycles per input sample
	cutoff := (1 + passEdge) / 4 * scale
	half := 2 * int(math.Ceil((stopDB-7.95)/(14.36*width)/4)) // even, for dot
	beta := 0.1102 * (stopDB - 8.7)

	b := &filterBank{taps: 2 * half, phases: to}
	rows := to
	if limit := max(minPhases, int(math.Ceil(maxPhases*scale))); to > limit {
		b.phases, b.blend, rows = limit, true, limit+1
	}
	b.coeffs = make([]float32, 0, rows*b.taps)
	row := make([]float64, b.taps)
	for p := range rows {
		fraction := float64(p) / float64(b.phases)
		sum := 0.0
		for j := range row {
			t := float64(j-half+1) - fraction // the tap's distance from the output sample
			row[j] = sinc(2*cutoff*t) * kaiser(t/float64(half), beta)
			sum += row[j]
		}
		for _, v := range row {
			b.coeffs = append(b.coeffs, float32(v/sum)) // every phase passes 0 Hz alike
		}
	}
	return b
}

// at filters one window of the input for the fraction phase/to.
func (b *filterBank) at(window []float32, phase, to int) float32 {
	if !b.blend {
		return dot(b.coeffs[phase*b.taps:(phase+1)*b.taps], window)
	}
	x := float64(phase) * float64(b.phases) / float64(to)
	i := int(x)
	row := b.coeffs[i*b.taps : (i+2)*b.taps]
	low, high := dot(row[:b.taps], window), dot(row[b.taps:], window)
	return low + float32(x-float64(i))*(high-low)
}

// dot is the inner loop; gonum has it in vector instructions, five times as fast as Go's own code. The
// coefficients come second, since it aligns on the second: their rows are whole vectors, so the sum does
// not depend on the blocks.
func dot(row, window []float32) float32 {
	return gonum.Implementation{}.Sdot(len(row), window, 1, row, 1)
}

// kaiser is the window at x in −1…1, but for a factor.
func kaiser(x, beta float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return bessel(beta * math.Sqrt(1-x*x))
}

// bessel is I₀ by its power series.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-9; k++ {
		term *= (x / 2 / k) * (x / 2 / k)
		sum += term
	}
	return sum
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
