package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"brenda/audio/pcm"
)

// Codes of the format chunk.
const (
	tagPCM        = 1
	tagFloat      = 3
	tagALaw       = 6
	tagULaw       = 7
	tagExtensible = 0xFFFE
)

const (
	maxChannels = 32
	minRate     = 8000
	maxRate     = 192000
	maxChunks   = 1000 // before the data; real files have a handful
	unknownSize = 0xFFFFFFFF
	fmtMax      = 40 // bytes of the longest format chunk that matters: WAVE_FORMAT_EXTENSIBLE
)

// subFormatTail is what follows the format code in the GUID of an extensible header.
const subFormatTail = "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"

// header is what a file says about its samples, checked against the bytes that are there.
type header struct {
	tag      int // one of the codes above except tagExtensible
	channels int
	rate     int   // Hz
	width    int   // bytes of one sample of one channel
	start    int64 // where the samples begin
	size     int64 // bytes of whole frames that are really there
}

// frame returns the bytes of one sample of all channels.
func (h header) frame() int { return h.channels * h.width }

// Is tells whether the first 12 bytes of a file are those of a WAV file.
func Is(head []byte) bool {
	if len(head) < 12 {
		return false
	}
	id := string(head[:4])
	return (id == "RIFF" || id == "RF64" || id == "BW64") && string(head[8:12]) == "WAVE"
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("wav: %w: %w", pcm.ErrFormat, fmt.Errorf(format, args...))
}

// chunk is one part of a RIFF file.
type chunk struct {
	id    string
	size  int64 // as claimed
	start int64 // of its body
}

// next returns where the following chunk starts: bodies are padded to an even size.
func (c chunk) next() int64 { return c.start + c.size + c.size&1 }

// readChunk reads the 8 bytes that head a chunk.
func readChunk(r io.ReadSeeker, pos int64) (chunk, error) {
	var b [8]byte
	if err := readAt(r, pos, b[:]); err != nil {
		return chunk{}, err
	}
	return chunk{id: string(b[:4]), size: int64(binary.LittleEndian.Uint32(b[4:])), start: pos + 8}, nil
}

func readAt(r io.ReadSeeker, pos int64, b []byte) error {
	if _, err := r.Seek(pos, io.SeekStart); err != nil {
		return err
	}
	_, err := io.ReadFull(r, b)
	return err
}

// readHeader walks the chunks of a file of the given size up to the samples. No size is believed that the
// file is too short for, and nothing is allocated by size.
func readHeader(r io.ReadSeeker, size int64) (header, error) {
	var head [12]byte
	if err := readAt(r, 0, head[:]); err != nil || !Is(head[:]) {
		return header{}, notRIFF(err)
	}
	var h header
	var bigData int64
	pos := int64(len(head))
	for range maxChunks {
		if pos+8 > size {
			return header{}, malformed("the file ends before the samples")
		}
		c, err := readChunk(r, pos)
		if err != nil {
			return header{}, cut(err)
		}
		switch c.id {
		case "ds64":
			bigData, err = readDS64(r, c, size)
		case "fmt ":
			h, err = readFmt(r, c, size)
		case "data":
			if h.channels == 0 {
				return header{}, malformed("the samples come before their format")
			}
			if c.size == unknownSize && bigData > 0 {
				c.size = bigData
			}
			h.start, h.size = c.start, dataSize(r, c, size)
			h.size -= h.size % int64(h.frame())
			return h, nil
		}
		if err != nil {
			return header{}, err
		}
		pos = c.next()
	}
	return header{}, malformed("more than %d chunks before the samples", maxChunks)
}

// notRIFF tells a file that is too short or of another kind from a reader that failed.
func notRIFF(err error) error {
	if err == nil {
		return malformed("no RIFF header")
	}
	return cut(err)
}

// cut makes the end of the file an error of format and leaves other errors alone.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("the file ends within its header")
	}
	return fmt.Errorf("wav: %w", err)
}

// readDS64 returns the size of the data chunk as a 64-bit file (EBU Tech 3306) has it.
func readDS64(r io.ReadSeeker, c chunk, size int64) (int64, error) {
	var b [16]byte
	if c.size < int64(len(b)) || c.start+int64(len(b)) > size {
		return 0, malformed("ds64 chunk of %d bytes", c.size)
	}
	if err := readAt(r, c.start, b[:]); err != nil {
		return 0, cut(err)
	}
	n := int64(binary.LittleEndian.Uint64(b[8:]))
	return max(0, n), nil
}

// dataSize returns how many bytes of samples there are. A claim of 0 or 0xFFFFFFFF is a streaming
// writer's "not known yet", and a claim beyond the end means that the file was cut: both play what is
// there. A 0 that is meant, before other chunks or the end, stays 0.
func dataSize(r io.ReadSeeker, c chunk, size int64) int64 {
	rest := max(0, size-c.start)
	if c.size == 0 && !onlyChunks(r, c.start, size) {
		return rest
	}
	return min(c.size, rest)
}

// onlyChunks tells whether a chain of chunks leads from pos to the end of the file.
func onlyChunks(r io.ReadSeeker, pos, size int64) bool {
	for range maxChunks {
		if pos >= size {
			return true
		}
		c, err := readChunk(r, pos)
		if err != nil || !printable(c.id) || c.start+c.size > size {
			return false
		}
		pos = c.next()
	}
	return false
}

func printable(id string) bool {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// readFmt reads and checks the format chunk.
func readFmt(r io.ReadSeeker, c chunk, size int64) (header, error) {
	var b [fmtMax]byte
	n := min(c.size, fmtMax)
	if n < 16 || c.start+c.size > size {
		return header{}, malformed("format chunk of %d bytes", c.size)
	}
	if err := readAt(r, c.start, b[:n]); err != nil {
		return header{}, cut(err)
	}
	le := binary.LittleEndian
	h := header{tag: int(le.Uint16(b[0:])), channels: int(le.Uint16(b[2:])), rate: int(le.Uint32(b[4:]))}
	align, depth := int(le.Uint16(b[12:])), int(le.Uint16(b[14:]))
	if h.tag == tagExtensible {
		if n < fmtMax || string(b[26:40]) != subFormatTail {
			return header{}, malformed("unknown extensible format")
		}
		h.tag = int(le.Uint16(b[24:]))
	}
	if h.channels < 1 || h.channels > maxChannels {
		return header{}, malformed("%d channels", h.channels)
	}
	if h.rate < minRate || h.rate > maxRate {
		return header{}, malformed("%d Hz", h.rate)
	}
	h.width = (depth + 7) / 8
	if w := align / h.channels; align%h.channels == 0 && w > h.width && w <= 4 && h.tag == tagPCM {
		h.width = w // a wider container: the samples are at its top
	}
	if !supported(h.tag, h.width) {
		return header{}, malformed("format code %d with %d bits", h.tag, depth)
	}
	return h, nil
}

func supported(tag, width int) bool {
	switch tag {
	case tagPCM:
		return width >= 1 && width <= 4
	case tagFloat:
		return width == 4 || width == 8
	case tagALaw, tagULaw:
		return width == 1
	}
	return false
}
