package whispercpp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// errModelFile is the text for the log; the path stays out of what a client sees.
var errModelFile = errors.New("not a whole ggml model file of Whisper")

// blockBytes maps a ggml tensor type to the size of one block and the number of values in it.
func blockBytes(typ uint32) (size, values int64) {
	switch typ {
	case 0: // f32
		return 4, 1
	case 1: // f16
		return 2, 1
	case 2: // q4_0
		return 18, 32
	case 3: // q4_1
		return 20, 32
	case 6: // q5_0
		return 22, 32
	case 7: // q5_1
		return 24, 32
	case 8: // q8_0
		return 34, 32
	case 10: // q2_K
		return 84, 256
	case 11: // q3_K
		return 110, 256
	case 12: // q4_K
		return 144, 256
	case 13: // q5_K
		return 176, 256
	case 14: // q6_K
		return 210, 256
	}
	return 0, 1
}

// checkModel walks through a ggml file (magic, 11 parameters, mel filters, vocabulary, tensors) and
// returns an error unless it is whole. ggml itself ends the process over some broken files.
func checkModel(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w := &walker{f: f, r: bufio.NewReader(f), size: info.Size()}
	if err := w.walk(); err != nil {
		return fmt.Errorf("%w: %w", errModelFile, err)
	}
	return nil
}

// walker reads a file forward and jumps over what it need not see. The first error sticks.
type walker struct {
	f    *os.File
	r    *bufio.Reader
	pos  int64
	size int64
	err  error
}

func (w *walker) u32() uint32 {
	var b [4]byte
	if w.err != nil {
		return 0
	}
	if _, w.err = io.ReadFull(w.r, b[:]); w.err != nil {
		return 0
	}
	w.pos += 4
	return binary.LittleEndian.Uint32(b[:])
}

func (w *walker) skip(n int64) {
	if w.err != nil {
		return
	}
	if n < 0 || n > w.size-w.pos {
		w.err = fmt.Errorf("cut off at byte %d", w.size)
		return
	}
	w.pos += n
	if n <= int64(w.r.Buffered()) {
		_, w.err = w.r.Discard(int(n))
		return
	}
	if _, w.err = w.f.Seek(w.pos, io.SeekStart); w.err == nil {
		w.r.Reset(w.f)
	}
}

func (w *walker) walk() error {
	const magic = 0x67676d6c
	if w.u32() != magic {
		return errors.New("no ggml magic")
	}
	var h [11]uint32
	for i := range h {
		h[i] = w.u32()
	}
	// n_vocab, n_audio_ctx, n_audio_state, _head, _layer, n_text_ctx, _state, _head, _layer, n_mels, ftype
	if h[0] < 50_000 || h[0] > 60_000 || h[1] != 1500 || h[2] > 2048 || h[4] > 64 || h[5] != 448 || h[8] > 64 ||
		h[9] > 256 || h[2]*h[3]*h[4]*h[8] == 0 {
		return errors.New("parameters of no Whisper")
	}
	mels, bins := int64(w.u32()), int64(w.u32())
	w.skip(mels * bins * 4)
	for words := w.u32(); words > 0 && w.err == nil; words-- {
		w.skip(int64(w.u32()))
	}
	// Two convolutions, two embeddings, norms: 15 encoder tensors per layer, 24 decoder tensors per layer,
	// 11 others.
	want, got := 11+15*int(h[4])+24*int(h[8]), 0
	for w.err == nil && w.pos < w.size {
		w.tensor()
		got++
	}
	if w.err == nil && got != want {
		return fmt.Errorf("%d tensors, not %d", got, want)
	}
	return w.err
}

func (w *walker) tensor() {
	dims, name, typ := w.u32(), w.u32(), w.u32()
	size, values := blockBytes(typ)
	if w.err != nil {
		return
	}
	if dims < 1 || dims > 3 || name > 256 || size == 0 {
		w.err = fmt.Errorf("no tensor at byte %d", w.pos-12)
		return
	}
	count := int64(1)
	for range dims {
		count *= int64(w.u32() & 0xfffff) // none is that long
	}
	w.skip(int64(name))
	w.skip(count / values * size)
}
