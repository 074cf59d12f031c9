package wav

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"brenda/audio/pcm"
)

const headerSize = 44 // RIFF header, 16-byte format chunk, head of the data chunk

// putHeader writes the header of integer samples to b. A size of unknownSize stays unknown.
func putHeader(b []byte, h header, size int64) {
	le := binary.LittleEndian
	riff := size + headerSize - 8 + size&1
	if size == unknownSize {
		riff = unknownSize
	}
	copy(b[0:], "RIFF")
	le.PutUint32(b[4:], uint32(min(riff, math.MaxUint32)))
	copy(b[8:], "WAVEfmt ")
	le.PutUint32(b[16:], 16)
	le.PutUint16(b[20:], tagPCM)
	le.PutUint16(b[22:], uint16(h.channels))
	le.PutUint32(b[24:], uint32(h.rate))
	le.PutUint32(b[28:], uint32(h.rate*h.frame()))
	le.PutUint16(b[32:], uint16(h.frame()))
	le.PutUint16(b[34:], uint16(8*h.width))
	copy(b[36:], "data")
	le.PutUint32(b[40:], uint32(size))
}

func mono16(rate int) header { return header{channels: 1, width: 2, rate: rate} }

// Encode returns a complete WAV file of mono samples (−1…1, clipped): 16-bit PCM at rate Hz.
func Encode(samples []float32, rate int) []byte {
	b := make([]byte, headerSize, headerSize+2*len(samples))
	putHeader(b, mono16(rate), int64(2*len(samples)))
	return pcm.AppendInt16(b, samples)
}

// Writer writes a WAV file as its samples come: mono 16-bit PCM. The header goes out with the first
// samples and leaves the sizes open (0xFFFFFFFF: until the end), which is how WAV is streamed over HTTP;
// Close puts the right ones in when the target can seek.
type Writer struct {
	w       io.Writer
	seeker  io.WriteSeeker // nil when w cannot seek
	start   int64          // where the header is
	rate    int
	started bool
	size    int64 // bytes of samples
	buf     []byte
}

// NewWriter returns a writer of a file with the given rate in Hz to w. It writes nothing yet.
func NewWriter(w io.Writer, rate int) *Writer {
	out := &Writer{w: w, rate: rate}
	if s, ok := w.(io.WriteSeeker); ok {
		if pos, err := s.Seek(0, io.SeekCurrent); err == nil { // a pipe has the method and fails
			out.seeker, out.start = s, pos
		}
	}
	return out
}

// Write writes samples (−1…1, clipped) at once.
func (w *Writer) Write(samples []float32) error {
	w.buf = w.buf[:0]
	if !w.started {
		w.started = true
		w.buf = append(w.buf, make([]byte, headerSize)...)
		putHeader(w.buf, mono16(w.rate), unknownSize)
	}
	w.buf = pcm.AppendInt16(w.buf, samples)
	w.size += int64(2 * len(samples))
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("wav: %w", err)
	}
	return nil
}

// Close ends the file; a file without samples gets its header now. It does not close the target.
func (w *Writer) Close() error {
	if !w.started {
		if err := w.Write(nil); err != nil {
			return err
		}
	}
	if w.seeker == nil || w.size >= unknownSize-headerSize {
		return nil
	}
	var head [headerSize]byte
	putHeader(head[:], mono16(w.rate), w.size)
	if err := w.patch(head[:]); err != nil {
		return fmt.Errorf("wav: completing the header: %w", err)
	}
	return nil
}

func (w *Writer) patch(head []byte) error {
	if _, err := w.seeker.Seek(w.start, io.SeekStart); err != nil {
		return err
	}
	if _, err := w.seeker.Write(head); err != nil {
		return err
	}
	_, err := w.seeker.Seek(w.start+headerSize+w.size, io.SeekStart)
	return err
}
