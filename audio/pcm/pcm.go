// Package pcm holds what every sound package of Brenda shares: the errors of decoding and the conversions
// between 16-bit samples and float32.
//
// Float samples are mono or interleaved, nominally −1…1. 16-bit samples are signed, little endian; 1.0
// stands for 32768, as in every common player, so that a 16-bit sample comes back exact after a round
// trip.
package pcm

import (
	"encoding/binary"
	"errors"
	"math"
)

// What can be wrong with sound that came from outside.
var (
	// ErrFormat means that the bytes are no sound, or sound of a kind that is not supported. It is the
	// sender's fault (415 over HTTP).
	ErrFormat = errors.New("not a supported audio format")
	// ErrTooLong means that the sound plays longer than the limit that was set (413 over HTTP).
	ErrTooLong = errors.New("the audio is too long")
)

const full = 32768 // the 16-bit value of 1.0

// FromInt16 converts one 16-bit sample.
func FromInt16(v int16) float32 { return float32(v) / full }

// ToInt16 converts one sample to 16 bits, rounding to nearest and clipping to the range. NaN becomes 0.
func ToInt16(v float32) int16 {
	s := math.Round(float64(v) * full)
	switch {
	case s >= math.MaxInt16:
		return math.MaxInt16
	case s <= math.MinInt16:
		return math.MinInt16
	case s != s:
		return 0
	}
	return int16(s)
}

// AppendFloats appends the samples of src, 16-bit little endian, to dst. An odd last byte is ignored.
func AppendFloats(dst []float32, src []byte) []float32 {
	for i := 0; i+1 < len(src); i += 2 {
		dst = append(dst, FromInt16(int16(binary.LittleEndian.Uint16(src[i:]))))
	}
	return dst
}

// AppendInt16 appends pcm to dst as 16-bit little endian.
func AppendInt16(dst []byte, pcm []float32) []byte {
	for _, v := range pcm {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(ToInt16(v)))
	}
	return dst
}

// Clean returns v within −1…1, and 0 for NaN.
func Clean(v float32) float32 {
	switch {
	case v > 1:
		return 1
	case v < -1:
		return -1
	case v != v:
		return 0
	}
	return v
}
