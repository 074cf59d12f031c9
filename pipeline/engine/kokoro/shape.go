package kokoro

import (
	"math"
	"time"

	"brenda/pipeline"
)

// How the sound of a piece is cut out of what the model gives.
const (
	lead      = 30 * time.Millisecond // silence that is kept before the first sound
	fadeIn    = 5 * time.Millisecond
	fadeOut   = 15 * time.Millisecond
	window    = 5 * time.Millisecond // what loudness is measured over
	threshold = 0.02                 // of the loudest window: below it is silence (−34 dB)
	floor     = 0.001                // absolute, so that silence has no sound in it
	ceiling   = 0.95                 // peaks are brought down to it
)

// pause is the silence after a piece that ends with this mark, at normal speed: what a person leaves there.
// The next piece adds its lead.
func pause(end rune) time.Duration {
	switch end {
	case '.', '!', '?', '…':
		return 240 * time.Millisecond
	case ';', ':', dash:
		return 160 * time.Millisecond
	case ',':
		return 100 * time.Millisecond
	}
	return 40 * time.Millisecond // within a clause: as little as the last sound needs to die away
}

// shape trims the model's 0.4 s of silence before and after the speech, leaves the pause that the punctuation
// asks for, and fades both ends so that nothing clicks. Sound without speech in it gives nil.
func shape(pcm []float32, pause time.Duration, speed float64) []float32 {
	first, last, peak := speech(pcm)
	if first < 0 {
		return nil
	}
	start := max(0, first-samples(lead))
	out := make([]float32, last-start+samples(time.Duration(float64(pause)/speed)))
	n := copy(out, pcm[start:])
	gain := float32(1)
	if peak > ceiling {
		gain = ceiling / peak
	}
	in, away := samples(fadeIn), samples(fadeOut)
	for i := range out {
		g := gain
		if i < in {
			g *= float32(i) / float32(in)
		}
		if left := n - 1 - i; left >= 0 && left < away {
			g *= float32(left) / float32(away)
		}
		out[i] *= g
	}
	return out
}

func samples(d time.Duration) int { return int(d * pipeline.OutputRate / time.Second) }

// speech returns where the speech in pcm begins and ends, and its highest peak; first is -1 if there is none.
func speech(pcm []float32) (first, last int, peak float32) {
	size := samples(window)
	loud := make([]float64, 0, len(pcm)/size+1)
	var top float64
	for start := 0; start < len(pcm); start += size {
		var sum float64
		part := pcm[start:min(start+size, len(pcm))]
		for _, v := range part {
			sum += float64(v) * float64(v)
			peak = max(peak, v, -v)
		}
		loud = append(loud, math.Sqrt(sum/float64(len(part))))
		top = max(top, loud[len(loud)-1])
	}
	first = -1
	for i, l := range loud {
		if l > max(floor, top*threshold) {
			if first < 0 {
				first = i * size
			}
			last = min((i+1)*size, len(pcm))
		}
	}
	return first, last, peak
}
