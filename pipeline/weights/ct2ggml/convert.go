// Package ct2ggml converts a Whisper model from CTranslate2's model.bin to the ggml file that whisper.cpp
// reads.
//
// It streams: only headers and blocks of about a megabyte are ever in memory, so that "large" converts on a
// small machine. The result is the same on every machine, byte for byte, so its checksum can be recorded
// beforehand. Layouts are taken from CTranslate2's model loader (binary versions 5 and 6) and whisper.cpp's
// convert-pt-to-ggml script; the q8_0 rounding is that of ggml's quantize_row_q8_0_ref.
package ct2ggml

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// Format is the type of the weights in the ggml file.
type Format int

// The formats. Biases, norms and position embeddings are f32 in each of them, convolutions f16.
const (
	Q8 Format = iota // q8_0: blocks of 32 signed bytes with a scale; half the size of F16 and the fastest on x86
	F16
)

const (
	ggmlMagic = 0x67676d6c
	typeF32   = 0
	typeF16   = 1
	typeQ8    = 8
	ftypeF16  = 1
	ftypeQ8   = 2007 // quantisation version 2, ftype 7
)

// blockValues is how many weights are converted at a time; a multiple of the q8_0 block.
const blockValues = 1 << 18

// Convert writes the Whisper model of modelSize bytes in model, with the tokens of a Hugging Face
// tokenizer.json, to out. Only multilingual models are taken. It reads model in pieces, and stops when ctx
// ends.
func Convert(ctx context.Context, out io.Writer, model io.ReaderAt, modelSize int64, tokenizer io.Reader,
	format Format,
) error {
	file, err := openCT2(model, modelSize)
	if err != nil {
		return fmt.Errorf("convert whisper: %w", err)
	}
	shape, err := file.shape()
	if err != nil {
		return fmt.Errorf("convert whisper: %w", err)
	}
	tokens, err := readTokens(tokenizer)
	if err != nil {
		return fmt.Errorf("convert whisper: %w", err)
	}
	w := &writer{
		out: bufio.NewWriterSize(out, 1<<20), file: file, format: format,
		vals: make([]float32, blockValues), raw: make([]byte, 4*blockValues),
	}
	w.header(shape, tokens)
	err = file.tensors(shape, func(t tensor) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		return w.tensor(t)
	})
	if err == nil {
		err = w.out.Flush()
	}
	if err != nil {
		return fmt.Errorf("convert whisper: %w", err)
	}
	return nil
}

type writer struct {
	out    *bufio.Writer // keeps the first error until Flush
	file   *ct2File
	format Format
	vals   []float32
	raw    []byte
	enc    []byte
}

func (w *writer) ints(values ...int) {
	var b [4]byte
	for _, v := range values {
		binary.LittleEndian.PutUint32(b[:], uint32(int32(v)))
		_, _ = w.out.Write(b[:])
	}
}

func (w *writer) header(s shape, tokens [][]byte) {
	ftype := ftypeQ8
	if w.format == F16 {
		ftype = ftypeF16
	}
	w.ints(ggmlMagic, s.vocab, s.audioCtx, s.state, s.heads, s.encLayers,
		s.textCtx, s.state, s.heads, s.decLayers, s.mels, ftype)
	w.ints(s.mels, melBins)
	for _, f := range melFilters(s.mels) {
		w.ints(int(int32(math.Float32bits(f))))
	}
	w.ints(len(tokens))
	for _, t := range tokens {
		w.ints(len(t))
		_, _ = w.out.Write(t)
	}
}

// tensor writes one tensor: rank, length of the name, type, dimensions from the innermost, name, values.
func (w *writer) tensor(t tensor) error {
	kind := typeF32
	switch {
	case t.use == matrix && w.format == Q8:
		kind = typeQ8
	case t.use != vector:
		kind = typeF16
	}
	v := t.variable
	if kind == typeQ8 && v.row()%q8Block != 0 {
		return fmt.Errorf("%s: rows of %d values cannot be q8_0", t.name, v.row())
	}
	w.ints(len(t.dims), len(t.name), kind)
	for _, d := range slices.Backward(t.dims) {
		w.ints(int(d))
	}
	_, _ = w.out.WriteString(t.name)

	scales, err := w.file.scales(t)
	if err != nil {
		return err
	}
	for from := t.from; from < t.to; from += blockValues {
		vals := w.vals[:min(blockValues, t.to-from)]
		if err := w.file.values(v, scales, from, vals, w.raw); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		w.enc = encode(w.enc[:0], kind, vals)
		if _, err := w.out.Write(w.enc); err != nil {
			return err
		}
	}
	return nil
}

func encode(out []byte, kind int, vals []float32) []byte {
	switch kind {
	case typeQ8:
		return quantizeQ8(out, vals)
	case typeF16:
		for _, v := range vals {
			out = binary.LittleEndian.AppendUint16(out, toHalf(v))
		}
	default:
		for _, v := range vals {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out
}
