package mp3

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"brenda/audio/pcm"
)

const (
	maxJunk  = 64 << 10 // bytes that may stand before the first frame, after the tags
	confirm  = 3        // frames in a row that make a start, or fewer if they end the file
	maxTags  = 16       // ID3 tags in front
	lookSize = 8 << 10  // room to look ahead: confirm frames fit
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("mp3: %w: %w", pcm.ErrFormat, fmt.Errorf(format, args...))
}

// framer cuts a file into frames of one rate and version and leaves out all else: tags, junk, a cut last
// frame.
type framer struct {
	r     *bufio.Reader
	first frameHeader // what every frame must be like
	found bool        // first is known
}

// newFramer returns the frames of a file of the given size, after its ID3v2 tags.
func newFramer(r io.ReadSeeker, size int64) (*framer, error) {
	pos, err := skipTags(r, size)
	if err != nil {
		return nil, err
	}
	if _, err := r.Seek(pos, io.SeekStart); err != nil {
		return nil, fmt.Errorf("mp3: %w", err)
	}
	return &framer{r: bufio.NewReaderSize(io.LimitReader(r, size-pos), lookSize)}, nil
}

// skipTags returns where the sound starts. Sizes are 28 bits in four bytes, and must fit the file.
func skipTags(r io.ReadSeeker, size int64) (int64, error) {
	pos := int64(0)
	for range maxTags {
		if pos+10 > size {
			break
		}
		if _, err := r.Seek(pos, io.SeekStart); err != nil {
			return 0, fmt.Errorf("mp3: %w", err)
		}
		var b [10]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, fmt.Errorf("mp3: %w", err)
		}
		if string(b[:3]) != "ID3" {
			break
		}
		n := int64(b[6]&0x7F)<<21 | int64(b[7]&0x7F)<<14 | int64(b[8]&0x7F)<<7 | int64(b[9]&0x7F)
		if b[5]&0x10 != 0 {
			n += 10 // a footer
		}
		if pos += 10 + n; pos > size {
			return 0, malformed("a tag of %d bytes in a file of %d", n, size)
		}
	}
	return pos, nil
}

// next returns the next whole frame, valid until the call after; io.EOF at the end.
func (f *framer) next(buf []byte) ([]byte, frameHeader, error) {
	for junk := 0; ; junk++ {
		b, err := f.r.Peek(headerBytes)
		if err != nil {
			return nil, frameHeader{}, f.end(err)
		}
		h, ok := parseHeader(b)
		carriesOn := f.found && junk == 0 && h.like(f.first)
		if ok && !carriesOn {
			if ok, err = f.starts(h); err != nil {
				return nil, h, err
			}
		}
		if ok {
			n, err := io.ReadFull(f.r, buf[:h.size])
			if err != nil {
				return nil, h, f.end(err)
			}
			return buf[:n], h, nil
		}
		if !f.found && junk > maxJunk {
			return nil, h, malformed("no MP3 frame found")
		}
		if _, err := f.r.Discard(1); err != nil {
			return nil, h, f.end(err)
		}
	}
}

// starts judges a header that does not simply carry on: is it the start of the stream, the way back into
// it after junk, or the start of another stream (an error, since it would play at the wrong speed)?
func (f *framer) starts(h frameHeader) (bool, error) {
	if !f.chained(h) {
		return false, nil
	}
	switch {
	case h.version == 0:
		return false, malformed("MPEG-2.5 (%d Hz) is not supported", h.rate)
	case !f.found:
		f.first, f.found = h, true
	case !h.like(f.first):
		return false, malformed("the sample rate changes from %d Hz to %d Hz", f.first.rate, h.rate)
	}
	return true, nil
}

// chained tells whether frames like h follow each other from here: confirm of them, or fewer up to the
// end of the file or the ID3v1 tag there.
func (f *framer) chained(h frameHeader) bool {
	b, err := f.r.Peek(confirm * (maxFrame + headerBytes))
	whole := err != nil // b is all that is left
	pos := 0
	for range confirm {
		rest := b[min(pos, len(b)):]
		if whole && pos > 0 && (len(rest) < headerBytes || string(rest[:3]) == "TAG") {
			return pos <= len(b) // the last frame is whole
		}
		n, ok := parseHeader(rest)
		if !ok || !n.like(h) {
			return false
		}
		pos += n.size
	}
	return true
}

// end makes the reader's end this one's.
func (f *framer) end(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("mp3: %w", err)
	}
	if !f.found {
		return malformed("no MP3 frame found")
	}
	return io.EOF
}
