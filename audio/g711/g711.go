// Package g711 converts between linear samples and the two 8-bit codes of telephony, A-law (Europe) and
// µ-law (North America, Japan), after ITU-T G.711 (11/1988), tables 1a to 2b.
//
// Linear samples are 16-bit signed with the code's 13 (A-law) or 14 (µ-law) significant bits at the top,
// the usual form.
package g711

import "math/bits"

const (
	bias = 132   // µ-law: added before coding, so that every segment starts at a power of two
	clip = 32635 // µ-law: the largest magnitude that can be coded
)

// DecodeALaw returns the linear value of one A-law byte, −32256…32256.
func DecodeALaw(code byte) int16 {
	code ^= 0x55 // even bits are inverted on the line
	segment := uint(code>>4) & 7
	v := int(code&0x0F)<<4 + 8
	if segment > 0 {
		v = (v + 0x100) << (segment - 1)
	}
	if code&0x80 == 0 {
		v = -v
	}
	return int16(v)
}

// EncodeALaw returns the A-law byte nearest to a linear value.
func EncodeALaw(v int16) byte {
	sign := byte(0x80)
	m := int(v)
	if m < 0 {
		sign, m = 0, -m-1 // −1 lies in the first negative step
	}
	m >>= 4 // 12 bits of magnitude in steps of 16, 11 of them 0…2047
	code := byte(m)
	if segment := bits.Len(uint(m)) - 4; segment > 1 {
		code = byte(segment)<<4 | byte(m>>(segment-1))&0x0F
	}
	return (sign | code) ^ 0x55
}

// DecodeULaw returns the linear value of one µ-law byte, −32124…32124.
func DecodeULaw(code byte) int16 {
	code = ^code // all bits are inverted on the line
	v := (int(code&0x0F)<<3+bias)<<(uint(code>>4)&7) - bias
	if code&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// EncodeULaw returns the µ-law byte nearest to a linear value.
func EncodeULaw(v int16) byte {
	sign := byte(0)
	m := int(v)
	if m < 0 {
		sign, m = 0x80, -m
	}
	m = min(m, clip) + bias
	segment := bits.Len(uint(m)) - 8
	return ^(sign | byte(segment)<<4 | byte(m>>(segment+3))&0x0F)
}

// ALawFloats returns the value of each A-law byte in −1…1: a table for decoding in bulk.
func ALawFloats() *[256]float32 { return table(DecodeALaw) }

// ULawFloats returns the value of each µ-law byte in −1…1: a table for decoding in bulk.
func ULawFloats() *[256]float32 { return table(DecodeULaw) }

func table(decode func(byte) int16) *[256]float32 {
	var t [256]float32
	for i := range t {
		t[i] = float32(decode(byte(i))) / 32768
	}
	return &t
}
