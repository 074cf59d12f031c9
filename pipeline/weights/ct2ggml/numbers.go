package ct2ggml

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// values reads elements [from, from+len(dst)) of v as 32-bit floats. scales are the per-row divisors of int8
// weights (CTranslate2 stores round(w·scale)); nil otherwise. buf is scratch of at least 4·len(dst) bytes.
func (f *ct2File) values(v variable, scales []float32, from int64, dst []float32, buf []byte) error {
	width := widthOf(v.dtype)
	raw := buf[:int64(len(dst))*width]
	if _, err := f.in.ReadAt(raw, v.offset+from*width); err != nil {
		return fmt.Errorf("read weights: %w", err)
	}
	switch v.dtype {
	case ct2F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case ct2F16:
		for i := range dst {
			dst[i] = fromHalf(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case ct2BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	case ct2I8:
		return unscale(v, scales, from, dst, raw)
	default:
		return fmt.Errorf("weights of type %d cannot be converted", v.dtype)
	}
	return nil
}

func unscale(v variable, scales []float32, from int64, dst []float32, raw []byte) error {
	row := v.row()
	if len(scales) == 0 {
		return errors.New("int8 weights without scales")
	}
	for i := range dst {
		s := scales[0]
		if len(scales) > 1 {
			s = scales[(from+int64(i))/row]
		}
		dst[i] = float32(int8(raw[i])) / s
	}
	return nil
}

// fromHalf converts IEEE 754 binary16, subnormals included.
func fromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	frac := uint32(h & 0x3ff)
	switch {
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	}
	v := float32(frac) * (1.0 / (1 << 24)) // exact: a power of two
	if sign != 0 {
		v = -v
	}
	return v
}

// toHalf converts to IEEE 754 binary16, to nearest, ties to even, as numpy and ggml do.
func toHalf(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN
		return sign | 0x7e00
	case b >= 0x477ff000: // rounds to 65520 or more
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: subnormal; adding 0.5 lets the FPU round at the right bit
		m := math.Float32bits(math.Float32frombits(b) + 0.5)
		return sign | uint16(m-0x3f000000)
	}
	b += 0xfff + b>>13&1
	return sign | uint16((b-0x38000000)>>13)
}

const (
	q8Block = 32     // values in a block of q8_0
	q8Bytes = 2 + 32 // a half-precision scale and 32 signed bytes
)

// quantizeQ8 appends x as q8_0 blocks, the same bytes as ggml's quantize_row_q8_0_ref. len(x) is a multiple
// of 32.
func quantizeQ8(out []byte, x []float32) []byte {
	for ; len(x) >= q8Block; x = x[q8Block:] {
		var peak float32
		for _, v := range x[:q8Block] {
			peak = max(peak, float32(math.Abs(float64(v))))
		}
		d := peak / 127
		var inv float32
		if d > 0 {
			inv = 1 / d
		}
		out = binary.LittleEndian.AppendUint16(out, toHalf(d))
		for _, v := range x[:q8Block] {
			y := float32(v * inv)
			out = append(out, byte(int8(math.Round(float64(y)))))
		}
	}
	return out
}
