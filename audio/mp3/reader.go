// Package mp3 reads and writes MP3 files.
//
// Reading is split between us and go-mp3, which decodes MPEG-1 and MPEG-2 layer III but panics on hostile
// bytes, makes a buffer of any size that a tag claims, keeps the position of every frame, and plays a
// stream whose rate changes at the wrong speed. Here the file is cut into frames first, each checked;
// go-mp3 gets whole frames of one kind through a plain reader (no seeking, so it keeps no index). Frames
// that refer to sound which was cut away are silenced, not decoded as noise. A frame on which go-mp3
// fails or panics becomes silence, and a fresh decoder goes on with the next; when that happens too often
// the file is refused. MPEG-2.5 (8, 11.025 and 12 kHz) is beyond go-mp3 and refused.
//
// Writing is by shine-mp3, a port of the fixed-point encoder Shine to Go; see [Writer].
package mp3

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	gomp3 "github.com/hajimehoshi/go-mp3"
)

const (
	frameCap  = 1152 // samples per channel of the longest frame
	badAllow  = 8    // frames that may fail in any file…
	badShare  = 10   // …and one in so many beyond
	stereoS16 = 4    // bytes of what go-mp3 calls a sample: 16-bit stereo, always
)

// Reader is the stream of an MP3 file's samples, mixed down to mono.
type Reader struct {
	frames  *framer
	decoder *gomp3.Decoder // nil before the first frame and after a bad one
	feed    feed
	have    int   // bytes of main data that decoder can refer back to
	good    int   // frames decoded
	bad     int   // frames replaced by silence
	cause   error // of the last bad frame
	raw     [frameCap * stereoS16]byte
	block   [frameCap]float32
	mono    []float32 // the part of block that was not read yet
	frame   [maxFrame]byte
	err     error
}

// NewReader returns the samples of the MP3 file in r, which is size bytes long: MPEG-1 or MPEG-2 layer
// III, 16 to 48 kHz, fixed or variable bit rate, with or without tags. What is none, or does not decode,
// is pcm.ErrFormat. A file that ends within a frame plays up to there.
func NewReader(r io.ReadSeeker, size int64) (*Reader, error) {
	f, err := newFramer(r, size)
	if err != nil {
		return nil, err
	}
	m := &Reader{frames: f}
	// The first frames tell whether this is MP3 at all; the answer must come before any sound.
	for m.good == 0 && m.err == nil {
		m.fill()
	}
	if m.good == 0 {
		if errors.Is(m.err, io.EOF) {
			return nil, m.silent()
		}
		return nil, m.err
	}
	return m, nil
}

// Rate returns the sample rate in Hz, that of every frame.
func (m *Reader) Rate() int { return m.frames.first.rate }

// Read fills dst with mono samples, the mean of the channels, as io.Reader does: io.EOF at the end.
func (m *Reader) Read(dst []float32) (int, error) {
	for len(m.mono) == 0 && len(dst) > 0 {
		if m.err != nil {
			return 0, m.err
		}
		m.fill()
	}
	n := copy(dst, m.mono)
	m.mono = m.mono[n:]
	return n, nil
}

// fill decodes one frame, or sets err.
func (m *Reader) fill() {
	frame, h, err := m.frames.next(m.frame[:])
	if err != nil {
		m.err = err
		return
	}
	if m.good+m.bad == 0 && h.isInfo(frame) {
		return
	}
	back := h.back(frame)
	if back > m.have {
		back = min(m.have, 0x1FF)
		h.silence(frame, back)
		back = h.back(frame)
	}
	n, err := m.decode(frame, h)
	if err != nil {
		m.lost(h, err)
		return
	}
	m.good++
	m.have = back + h.mainBytes()
	for i := range n {
		l := int16(binary.LittleEndian.Uint16(m.raw[i*stereoS16:]))
		r := int16(binary.LittleEndian.Uint16(m.raw[i*stereoS16+2:]))
		m.block[i] = float32(int(l)+int(r)) / (2 << 15)
	}
	m.mono = m.block[:n]
}

// silent is the error of a file of which no frame was decoded.
func (m *Reader) silent() error {
	if m.cause == nil {
		return malformed("the file has no sound")
	}
	return malformed("no frame could be decoded: %w", m.cause)
}

// lost puts silence in a bad frame's place, so that what follows keeps its time, and gives up when there
// are too many.
func (m *Reader) lost(h frameHeader, err error) {
	m.decoder, m.have, m.cause = nil, 0, err
	m.bad++
	if m.bad > badAllow+m.good/badShare {
		m.err = malformed("%d of %d frames are broken: %w", m.bad, m.bad+m.good, err)
		return
	}
	m.mono = m.block[:h.samples()]
	clear(m.mono)
}

// decode runs go-mp3 over one frame and returns how many samples per channel are in raw.
func (m *Reader) decode(frame []byte, h frameHeader) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder failed: %v", p)
		}
	}()
	m.feed.left = frame
	if m.decoder == nil {
		if m.decoder, err = gomp3.NewDecoder(&m.feed); err != nil {
			return 0, err
		}
	}
	want := h.samples() * stereoS16
	for done := 0; done < want; {
		k, err := m.decoder.Read(m.raw[done:want])
		if err != nil {
			return 0, err
		}
		done += k
	}
	return h.samples(), nil
}

// feed gives go-mp3 one frame. It reads exactly that much to decode one; wanting more means that it lost
// its way.
type feed struct{ left []byte }

func (f *feed) Read(p []byte) (int, error) {
	if len(f.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}
