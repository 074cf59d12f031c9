// Package wav reads and writes WAV files.
//
// Reading is split between us and go-audio/wav. The library decodes integer samples of 8, 16, 24 and 32
// bits. It must not see a foreign header: it allocates what a format chunk's size claims (36 bytes are
// enough to ask for 4 GB), takes a streamed size of 0 for "no samples", and returns the bits of floats,
// A-law and µ-law as if they were integers. So the chunks are walked here, with each size checked against
// the bytes that are there; the library gets a new 44-byte header over a bounded view of the samples, and
// a panic of it becomes an error. Floats, A-law and µ-law are converted here.
//
// Writing is ours: the library's encoder needs a seekable target, which an HTTP response is not.
package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/go-audio/audio"
	gowav "github.com/go-audio/wav"

	"brenda/audio/g711"
	"brenda/audio/pcm"
)

const blockFrames = 1024 // sample frames decoded at once

// Reader is the stream of a WAV file's samples, mixed down to mono.
type Reader struct {
	header
	decode func() (frames int, err error) // fills wide; 0 with io.EOF at the end
	wide   []float32                      // interleaved samples of one block, reused
	mono   []float32                      // the block's samples that were not read yet
	block  []float32                      // the array behind mono
	err    error
}

// NewReader returns the samples of the WAV file in r, which is size bytes long: PCM of 8 to 32 bits, 32-
// and 64-bit float, A-law and µ-law, 1 to 32 channels, 8 to 192 kHz, plain, extensible or 64-bit (RF64),
// also with the sizes that a streaming writer leaves open. Samples cut off at the end are left out.
// Anything else is pcm.ErrFormat.
func NewReader(r io.ReadSeeker, size int64) (*Reader, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	if _, err := r.Seek(h.start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("wav: %w", err)
	}
	w := &Reader{
		header: h,
		wide:   make([]float32, blockFrames*h.channels),
		block:  make([]float32, blockFrames),
	}
	data := io.LimitReader(r, h.size)
	if h.tag == tagPCM {
		w.decode, err = w.library(data)
		return w, err
	}
	w.decode = w.own(data)
	return w, nil
}

// Rate returns the sample rate in Hz.
func (w *Reader) Rate() int { return w.rate }

// Read fills dst with mono samples, the mean of the channels, as io.Reader does: io.EOF at the end. Float
// samples may lie beyond −1…1 by a header's nature; they are clipped, and NaN is silence.
func (w *Reader) Read(dst []float32) (int, error) {
	if len(w.mono) == 0 && len(dst) > 0 {
		if w.err != nil {
			return 0, w.err
		}
		var frames int
		if frames, w.err = w.decode(); frames == 0 && w.err != nil {
			return 0, w.err
		}
		w.mix(frames)
	}
	n := copy(dst, w.mono)
	w.mono = w.mono[n:]
	return n, nil
}

func (w *Reader) mix(frames int) {
	gain := 1 / float32(w.channels)
	for i := range frames {
		var sum float32
		for _, v := range w.wide[i*w.channels : (i+1)*w.channels] {
			sum += v
		}
		w.block[i] = sum * gain
	}
	w.mono = w.block[:frames]
}

// library decodes integer samples with go-audio/wav.
func (w *Reader) library(data io.Reader) (func() (int, error), error) {
	d := gowav.NewDecoder(newView(w.header, data))
	buf := &audio.IntBuffer{Data: make([]int, len(w.wide))}
	scale, zero := float32(math.Ldexp(1, 1-8*w.width)), 0
	if w.width == 1 {
		zero = 128 // 8-bit samples are unsigned
	}
	var err error
	if guard(func() { err = d.FwdToPCM() }, &err); err != nil {
		return nil, err
	}
	return func() (int, error) {
		n, err := 0, error(nil)
		guard(func() { n, err = d.PCMBuffer(buf) }, &err)
		if err != nil {
			return 0, fmt.Errorf("wav: %w", err) // n counts bytes then
		}
		n -= n % w.channels
		for i, v := range buf.Data[:n] {
			w.wide[i] = float32(v-zero) * scale
		}
		if n == 0 {
			return 0, io.EOF
		}
		return n / w.channels, nil
	}, nil
}

// guard turns a panic of the library into an error.
func guard(call func(), err *error) {
	defer func() {
		if p := recover(); p != nil {
			*err = malformed("the decoder failed: %v", p)
		}
	}()
	call()
}

// own decodes what the library does not.
func (w *Reader) own(data io.Reader) func() (int, error) {
	raw := make([]byte, blockFrames*w.frame())
	convert := w.converter()
	return func() (int, error) {
		n, err := io.ReadFull(data, raw)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		frames := n / w.frame()
		for i := range frames * w.channels {
			w.wide[i] = convert(raw[i*w.width:])
		}
		return frames, err
	}
}

// converter returns the function that reads one sample.
func (w *Reader) converter() func([]byte) float32 {
	switch {
	case w.tag == tagALaw:
		table := g711.ALawFloats()
		return func(b []byte) float32 { return table[b[0]] }
	case w.tag == tagULaw:
		table := g711.ULawFloats()
		return func(b []byte) float32 { return table[b[0]] }
	case w.width == 8:
		return func(b []byte) float32 {
			return pcm.Clean(float32(math.Float64frombits(binary.LittleEndian.Uint64(b))))
		}
	}
	return func(b []byte) float32 {
		return pcm.Clean(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
}

// view is what the library sees: a header that we wrote, then the samples. It fills each read, since the
// library drops the rest of a sample that a short read cuts.
type view struct {
	io.Reader
}

func newView(h header, data io.Reader) *view {
	var head [headerSize]byte
	putHeader(head[:], h, min(h.size, math.MaxUint32-headerSize))
	return &view{io.MultiReader(bytes.NewReader(head[:]), data)}
}

func (v *view) Read(p []byte) (int, error) {
	n, err := io.ReadFull(v.Reader, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // io.EOF comes with the next read
	}
	return n, err
}

// Seek satisfies the library's constructor; decoding a header without foreign chunks never seeks.
func (v *view) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }
