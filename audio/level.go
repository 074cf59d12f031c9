package audio

import (
	"math"

	"brenda/audio/pcm"
)

// RMS returns the root mean square of a sound, 0…1; 0 for no samples. A full-scale sine has 0.707.
func RMS(samples []float32) float64 {
	if len(samples) == 0 {
		return 0
	}
	var sum float64
	for _, v := range samples {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(samples)))
}

// DB returns a level such as [RMS] in decibels relative to full scale: 0 for 1, −Inf for 0.
func DB(level float64) float64 { return 20 * math.Log10(level) }

// trimWindow is how much sound TrimSilence judges at once: long enough for a period of the deepest voice.
const trimWindow = 0.010 // s

// TrimSilence returns the part of a sound between its first and last 10 ms whose RMS exceeds threshold
// (0…1), with keepHead and keepTail seconds more around it as far as they are there. It returns nil when
// nothing exceeds threshold. The result is part of the same array.
func TrimSilence(samples []float32, rate int, threshold, keepHead, keepTail float64) []float32 {
	window := max(1, int(trimWindow*float64(rate)))
	first, last := -1, 0
	for i := 0; i < len(samples); i += window {
		end := min(i+window, len(samples))
		if RMS(samples[i:end]) <= threshold {
			continue
		}
		if first < 0 {
			first = i
		}
		last = end
	}
	if first < 0 {
		return nil
	}
	first = max(0, first-int(keepHead*float64(rate)))
	last = min(len(samples), last+int(keepTail*float64(rate)))
	return samples[first:last]
}

// knee is where SoftClip starts to bend.
const knee = 0.8

// SoftClip bends peaks of a sound in place so that it stays within −1…1 without the harsh edges of
// clipping. Samples up to 0.8 stay as they are; above, tanh takes over with the same slope.
func SoftClip(samples []float32) {
	for i, v := range samples {
		m := math.Abs(float64(v))
		if m > knee {
			m = knee + (1-knee)*math.Tanh((m-knee)/(1-knee))
			samples[i] = float32(math.Copysign(m, float64(v)))
		}
	}
}

// FloatsFromPCM16 appends the samples of src (16-bit signed, little endian) to dst as −1…1. An odd last
// byte is ignored.
func FloatsFromPCM16(dst []float32, src []byte) []float32 { return pcm.AppendFloats(dst, src) }

// PCM16 returns samples as 16-bit signed, little endian, rounded and clipped.
func PCM16(samples []float32) []byte {
	return pcm.AppendInt16(make([]byte, 0, 2*len(samples)), samples)
}
