package ct2ggml

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// use says how a tensor is stored in the ggml file.
type use int

const (
	vector use = iota // f32: biases, norms, position embeddings
	matrix            // quantised, or f16
	filter            // f16: convolutions
)

// tensor is a tensor of the ggml file, cut out of a variable of the CTranslate2 file: values [from, to).
type tensor struct {
	name     string
	dims     []int64
	use      use
	variable variable
	source   string // name of the variable, for the scales beside it
	from, to int64
}

// shape is the size of a Whisper model.
type shape struct {
	vocab, audioCtx, textCtx, state, heads, encLayers, decLayers, mels int
}

// Bounds on the shape: "large" has 51866 tokens, 1280 states, 32 layers, 128 mels.
const (
	minVocab  = 51865 // one less is an English-only model
	maxVocab  = 1 << 18
	maxState  = 1 << 13
	maxLayers = 128
)

func (f *ct2File) shape() (shape, error) {
	if f.spec != "WhisperSpec" {
		return shape{}, fmt.Errorf("the model is a %q, not a WhisperSpec", f.spec)
	}
	var errs []error
	dim := func(name string, rank, axis int) int {
		v, err := f.get(name)
		if err == nil && len(v.dims) != rank {
			err = fmt.Errorf("variable %q has %d dimensions, not %d", name, len(v.dims), rank)
		}
		if err != nil {
			errs = append(errs, err)
			return 0
		}
		return int(v.dims[axis])
	}
	heads, err := f.scalar("encoder/num_heads")
	errs = append(errs, err)
	s := shape{
		heads:     heads,
		audioCtx:  dim("encoder/position_encodings/encodings", 2, 0),
		state:     dim("encoder/position_encodings/encodings", 2, 1),
		textCtx:   dim("decoder/position_encodings/encodings", 2, 0),
		mels:      dim("encoder/conv1/weight", 3, 1),
		vocab:     dim("decoder/embeddings/weight", 2, 0),
		encLayers: f.layers("encoder"),
		decLayers: f.layers("decoder"),
	}
	if err := errors.Join(errs...); err != nil {
		return shape{}, err
	}
	return s, s.check()
}

func (s shape) check() error {
	switch {
	case s.vocab < minVocab:
		return fmt.Errorf("a vocabulary of %d tokens: only multilingual Whisper models are taken", s.vocab)
	case s.vocab > maxVocab, s.state < 1, s.state > maxState, s.heads < 1, s.state%s.heads != 0,
		s.encLayers < 1, s.encLayers > maxLayers, s.decLayers < 1, s.decLayers > maxLayers,
		s.audioCtx < 1, s.textCtx < 1, s.mels != 80 && s.mels != 128:
		return fmt.Errorf("this is no shape of a Whisper model: %+v", s)
	}
	return nil
}

// layers counts the layers of a side by the first variable that each of them has.
func (f *ct2File) layers(side string) int {
	n := 0
	for n <= maxLayers {
		if _, err := f.get(fmt.Sprintf("%s/layer_%d/ffn/linear_0/weight", side, n)); err != nil {
			break
		}
		n++
	}
	return n
}

// tensors calls emit with every tensor in the order of the ggml file.
func (f *ct2File) tensors(s shape, emit func(tensor) error) error {
	m := &mapper{file: f, state: int64(s.state), emit: emit}
	m.whole("encoder.positional_embedding", "encoder/position_encodings/encodings", vector)
	for _, n := range []string{"1", "2"} {
		m.whole("encoder.conv"+n+".weight", "encoder/conv"+n+"/weight", filter)
		m.column("encoder.conv"+n+".bias", "encoder/conv"+n+"/bias")
	}
	m.norm("encoder.ln_post", "encoder/layer_norm")
	m.whole("decoder.positional_embedding", "decoder/position_encodings/encodings", vector)
	m.whole("decoder.token_embedding.weight", "decoder/embeddings/weight", matrix)
	m.norm("decoder.ln", "decoder/layer_norm")
	for i := range s.encLayers {
		m.layer("encoder", i)
	}
	for i := range s.decLayers {
		m.layer("decoder", i)
	}
	return m.err
}

// mapper turns names of CTranslate2 into names of whisper.cpp; it keeps the first error.
type mapper struct {
	file  *ct2File
	state int64
	emit  func(tensor) error
	err   error
}

func (m *mapper) layer(side string, i int) {
	src, dst := fmt.Sprintf("%s/layer_%d", side, i), fmt.Sprintf("%s.blocks.%d", side, i)
	m.norm(dst+".attn_ln", src+"/self_attention/layer_norm")
	m.norm(dst+".mlp_ln", src+"/ffn/layer_norm")
	// Queries, keys and values are stacked in one matrix; Whisper's keys have no bias, CTranslate2 stores zeros.
	m.zeros(src+"/self_attention/linear_0/bias", 1, 3)
	m.linear(dst+".attn.query", src+"/self_attention/linear_0", 0, 3, true)
	m.linear(dst+".attn.key", src+"/self_attention/linear_0", 1, 3, false)
	m.linear(dst+".attn.value", src+"/self_attention/linear_0", 2, 3, true)
	m.linear(dst+".attn.out", src+"/self_attention/linear_1", 0, 1, true)
	if side == "decoder" {
		m.norm(dst+".cross_attn_ln", src+"/attention/layer_norm")
		m.zeros(src+"/attention/linear_1/bias", 0, 2)
		m.linear(dst+".cross_attn.query", src+"/attention/linear_0", 0, 1, true)
		m.linear(dst+".cross_attn.key", src+"/attention/linear_1", 0, 2, false)
		m.linear(dst+".cross_attn.value", src+"/attention/linear_1", 1, 2, true)
		m.linear(dst+".cross_attn.out", src+"/attention/linear_2", 0, 1, true)
	}
	m.linear(dst+".mlp.0", src+"/ffn/linear_0", 0, 1, true)
	m.linear(dst+".mlp.2", src+"/ffn/linear_1", 0, 1, true)
}

func (m *mapper) norm(dst, src string) {
	m.whole(dst+".weight", src+"/gamma", vector)
	m.whole(dst+".bias", src+"/beta", vector)
}

// linear emits part k of n of a stacked weight, and of its bias.
func (m *mapper) linear(dst, src string, k, n int, bias bool) {
	m.part(dst+".weight", src+"/weight", matrix, k, n)
	if bias {
		m.part(dst+".bias", src+"/bias", vector, k, n)
	}
}

func (m *mapper) whole(dst, src string, u use) { m.part(dst, src, u, 0, 1) }

// column emits a vector of n values as n rows of one, as whisper.cpp wants the biases of its convolutions.
func (m *mapper) column(dst, src string) {
	m.cut(dst, src, vector, 0, 1, func(t *tensor) { t.dims = append(t.dims, 1) })
}

func (m *mapper) part(dst, src string, u use, k, n int) { m.cut(dst, src, u, k, n, nil) }

func (m *mapper) cut(dst, src string, u use, k, n int, change func(*tensor)) {
	if m.err != nil {
		return
	}
	v, err := m.file.get(src)
	if err != nil {
		m.err = err
		return
	}
	rank := map[use][]int{vector: {1, 2}, matrix: {2}, filter: {3}}[u]
	if !slices.Contains(rank, len(v.dims)) || v.dims[0]%int64(n) != 0 || v.elements() == 0 {
		m.err = fmt.Errorf("variable %q has the dimensions %v", src, v.dims)
		return
	}
	t := tensor{name: dst, source: src, use: u, variable: v, dims: slices.Clone(v.dims)}
	t.dims[0] /= int64(n)
	size := v.elements() / int64(n)
	t.from, t.to = int64(k)*size, int64(k+1)*size
	if change != nil {
		change(&t)
	}
	m.err = m.emit(t)
}

// zeros checks that part k of n of a bias holds nothing but zeros, so that it may be left out.
func (m *mapper) zeros(src string, k, n int64) {
	if m.err != nil {
		return
	}
	v, err := m.file.get(src)
	count := v.elements()
	if err == nil && (len(v.dims) != 1 || count > n*maxState || count%n != 0 || count == 0) {
		err = fmt.Errorf("variable %q has the dimensions %v", src, v.dims)
	}
	if err != nil {
		m.err = err
		return
	}
	size := v.elements() / n
	vals, raw := make([]float32, size), make([]byte, 4*size)
	if m.err = m.file.values(v, nil, k*size, vals, raw); m.err != nil {
		return
	}
	if slices.ContainsFunc(vals, func(x float32) bool { return x != 0 }) {
		m.err = fmt.Errorf("variable %q: the bias of the keys is not zero", src)
	}
}

// scales returns the divisors of int8 weights, nil for other types.
func (f *ct2File) scales(t tensor) ([]float32, error) {
	if t.variable.dtype != ct2I8 {
		return nil, nil
	}
	v, err := f.get(strings.TrimSuffix(t.source, "/weight") + "/weight_scale")
	if err != nil {
		return nil, err
	}
	n := v.elements()
	if n != 1 && n != t.variable.dims[0] || v.dtype != ct2F32 {
		return nil, fmt.Errorf("%s: %d scales for %d rows", t.source, n, t.variable.dims[0])
	}
	out, raw := make([]float32, n), make([]byte, 4*n)
	return out, f.values(v, nil, 0, out, raw)
}
