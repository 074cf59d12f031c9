package mp3

import (
	"fmt"
	"io"

	shine "github.com/braheezy/shine-mp3/pkg/mp3"

	"brenda/audio/pcm"
)

// gain undoes that shine-mp3 amplifies by 9/8, measured at every rate.
const gain = 8.0 / 9

// Writer encodes mono samples to MP3 as they come: constant bit rate, no tags, each frame written as soon
// as it is full, so that it can be streamed.
//
// The encoder is shine-mp3 (LGPL-2, pure Go). Like Shine it has no psychoacoustic model, so the bit rate
// is chosen generously: 64 kbit/s in mono for the rates up to 24 kHz. Its frames for one channel at 32
// kHz and above come out longer than their headers say, so there both channels carry the sound, at 128
// kbit/s. The decoded sound starts 1057 samples late, as with any MP3 encoder without a gapless tag
// (encoder 528, decoder 529).
type Writer struct {
	w       io.Writer
	enc     *shine.Encoder
	copies  int     // channels
	frame   int     // samples per channel of one frame
	pending []int16 // less than a frame, interleaved
	claimed int     // bytes that the headers of the frames so far announce
	written int     // bytes so far: the encoder holds back up to 3
	err     error
}

// format is how a sample rate is encoded.
type format struct{ channels, frame, kbits, index int }

func formatOf(rate int) (format, bool) {
	switch rate {
	case 16000, 22050, 24000:
		return format{channels: 1, frame: 576, kbits: 64, index: 8}, true // MPEG-2
	case 32000, 44100, 48000:
		return format{channels: 2, frame: 1152, kbits: 128, index: 9}, true // MPEG-1
	}
	return format{}, false
}

// NewWriter returns an encoder to w for samples at rate Hz, which must be one of MP3's: 16000, 22050,
// 24000, 32000, 44100 or 48000. It writes nothing yet.
func NewWriter(w io.Writer, rate int) (*Writer, error) {
	f, ok := formatOf(rate)
	if !ok {
		return nil, fmt.Errorf("mp3: cannot encode %d Hz", rate)
	}
	enc := shine.NewEncoder(rate, f.channels)
	m := &enc.Mpeg // the constructor knows 128 kbit/s only; these are the fields that follow from the rate
	m.Bitrate, m.BitrateIndex = int64(f.kbits), int64(f.index)
	slots := float64(f.frame) / float64(rate) * float64(f.kbits) * 1000 / 8
	m.WholeSlotsPerFrame = int64(slots)
	m.FracSlotsPerFrame = slots - float64(m.WholeSlotsPerFrame)
	m.SlotLag = -m.FracSlotsPerFrame
	return &Writer{w: w, enc: enc, copies: f.channels, frame: f.frame}, nil
}

// Write encodes samples (−1…1, clipped) and writes the frames that they complete.
func (w *Writer) Write(samples []float32) error {
	full := w.frame * w.copies
	for _, v := range samples {
		s := pcm.ToInt16(pcm.Clean(v) * gain)
		for range w.copies {
			w.pending = append(w.pending, s)
		}
		if len(w.pending) == full {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.err
}

// flush encodes the pending frame.
func (w *Writer) flush() error {
	if w.err != nil {
		return w.err
	}
	var out []byte
	if w.err = w.guard(func() {
		b, n := w.enc.EncodeBufferInterleaved(w.pending)
		out = b[:n]
	}); w.err != nil {
		return w.err
	}
	w.pending = w.pending[:0]
	w.claimed += int(w.enc.Mpeg.BitsPerFrame / 8)
	w.written += len(out)
	return w.emit(out)
}

func (w *Writer) emit(b []byte) error {
	if _, err := w.w.Write(b); err != nil {
		w.err = fmt.Errorf("mp3: %w", err)
	}
	return w.err
}

func (w *Writer) guard(call func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("mp3: the encoder failed: %v", p)
		}
	}()
	call()
	return nil
}

// Close encodes what is pending and enough silence behind it for a decoder to play the last sample, and
// ends the last frame. It does not close the target.
func (w *Writer) Close() error {
	const delay = 1057 // samples
	tail := delay + w.frame - (len(w.pending)/w.copies+delay)%w.frame
	if err := w.Write(make([]float32, tail)); err != nil {
		return err
	}
	return w.emit(make([]byte, max(0, w.claimed-w.written)))
}
