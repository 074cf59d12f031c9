package silero

import (
	"fmt"
	"math"
	"slices"
)

// pack lays the weights out as kernel.c reads them: STFT cosines and sines (folded, see there), the four
// convolutions, the LSTM, all biases, the last layer. It checks every shape and that every value is finite:
// after it the kernel cannot leave its memory.
func pack(model map[string]tensor) ([]float32, error) {
	p := packer{model: model}
	basis := p.get("stft.forward_basis_buffer", 258, 1, 256)
	conv := [4][]float32{
		p.get("encoder.0.reparam_conv.weight", 128, 129, 3), p.get("encoder.1.reparam_conv.weight", 64, 128, 3),
		p.get("encoder.2.reparam_conv.weight", 64, 64, 3), p.get("encoder.3.reparam_conv.weight", 128, 64, 3),
	}
	bias := slices.Concat(p.get("encoder.0.reparam_conv.bias", 128), p.get("encoder.1.reparam_conv.bias", 64),
		p.get("encoder.2.reparam_conv.bias", 64), p.get("encoder.3.reparam_conv.bias", 128))
	ih, hh := p.get("decoder.rnn.weight_ih", 512, 128), p.get("decoder.rnn.weight_hh", 512, 128)
	bih, bhh := p.get("decoder.rnn.bias_ih", 512), p.get("decoder.rnn.bias_hh", 512)
	last := slices.Concat(p.get("decoder.decoder.2.weight", 1, 128, 1), p.get("decoder.decoder.2.bias", 1))
	if p.err != nil {
		return nil, p.err
	}
	if err := folds(basis); err != nil {
		return nil, err
	}
	bins := func(first int, from, n int) func(row, _, channel int) float32 {
		return func(row, _, channel int) float32 {
			if row >= 129 || channel >= n {
				return 0
			}
			return basis[(first+row)*256+from+channel]
		}
	}
	taps := func(w []float32, channels, skip int) func(row, tap, channel int) float32 {
		return func(row, tap, channel int) float32 { return w[(row*channels+channel)*3+tap+skip] }
	}
	p.blocks(16, 144, 1, 129, bins(0, 0, 129))
	p.blocks(16, 144, 1, 127, bins(129, 1, 127))
	p.blocks(16, 128, 3, 129, taps(conv[0], 129, 0))
	p.blocks(16, 64, 3, 128, taps(conv[1], 128, 0))
	p.blocks(64, 64, 2, 64, taps(conv[2], 64, 1))  // its left tap meets padding only
	p.blocks(64, 128, 1, 64, taps(conv[3], 64, 1)) // and here both outer taps do
	p.blocks(64, 512, 2, 128, func(row, half, channel int) float32 {
		return [2][]float32{ih, hh}[half][row*128+channel]
	})
	p.out = append(p.out, bias...)
	for i := range bih {
		p.out = append(p.out, bih[i]+bhh[i])
	}
	return append(p.out, last...), nil
}

type packer struct {
	model map[string]tensor
	out   []float32
	err   error
}

// get returns a tensor's values, and remembers the first that is missing or wrong.
func (p *packer) get(name string, dims ...int64) []float32 {
	size := int64(1)
	for _, d := range dims {
		size *= d
	}
	t := p.model[name]
	finite := !slices.ContainsFunc(t.data, func(v float32) bool {
		return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0)
	})
	switch {
	case p.err != nil:
	case !slices.Equal(t.dims, dims) || int64(len(t.data)) != size:
		p.err = fmt.Errorf("%w of Silero VAD v5: %s has shape %v, not %v", errModel, name, t.dims, dims)
	case !finite:
		p.err = fmt.Errorf("%w of Silero VAD v5: %s holds a value that is not finite", errModel, name)
	}
	return t.data
}

// blocks appends rows×taps×channels weights as [rows/width][tap][channel][width].
func (p *packer) blocks(width, rows, taps, channels int, at func(row, tap, channel int) float32) {
	for row := 0; row < rows; row += width {
		for tap := range taps {
			for channel := range channels {
				for i := range width {
					p.out = append(p.out, at(row+i, tap, channel))
				}
			}
		}
	}
}

// folds checks that the STFT's cosines are even and its sines odd around the middle of the window, which the
// kernel makes use of.
func folds(basis []float32) error {
	const slack = 1e-5
	far := func(a, b float32) bool { return math.Abs(float64(a-b)) > slack }
	for k := range 129 {
		cos, sin := basis[k*256:][:256], basis[(129+k)*256:][:256]
		bad := far(sin[0], 0) || far(sin[128], 0)
		for n := 1; n < 128; n++ {
			bad = bad || far(cos[n], cos[256-n]) || far(sin[n], -sin[256-n])
		}
		if bad {
			return fmt.Errorf("%w of Silero VAD v5: the STFT's row %d is no windowed Fourier base", errModel, k)
		}
	}
	return nil
}
