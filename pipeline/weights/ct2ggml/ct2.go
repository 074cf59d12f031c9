package ct2ggml

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Types of a CTranslate2 variable.
const (
	ct2F32  = 0
	ct2I8   = 1
	ct2I16  = 2
	ct2I32  = 3
	ct2F16  = 4
	ct2BF16 = 5
)

// Bounds on what a header may claim, far above any Whisper model.
const (
	maxVariables = 1 << 16
	maxRank      = 4
	maxName      = 1 << 10
)

// variable says where one tensor of the file is; nothing of it is in memory.
type variable struct {
	dims   []int64
	dtype  byte
	offset int64
	bytes  int64
}

// elements returns the number of values of the tensor, 1 for a scalar.
func (v variable) elements() int64 {
	n := int64(1)
	for _, d := range v.dims {
		n *= d
	}
	return n
}

// row returns the number of values of one row, the product of all dimensions but the first.
func (v variable) row() int64 {
	if len(v.dims) == 0 || v.dims[0] == 0 {
		return 1
	}
	return v.elements() / v.dims[0]
}

// ct2File is the index of a CTranslate2 model.bin: its names, shapes and offsets.
type ct2File struct {
	in    io.ReaderAt
	spec  string
	vars  map[string]variable
	alias map[string]string
}

// openCT2 reads the headers of a model.bin of size bytes (binary version 5 or 6, little endian) and skips
// the data.
func openCT2(in io.ReaderAt, size int64) (*ct2File, error) {
	r := &cursor{r: io.NewSectionReader(in, 0, size), size: size}
	r.buf = bufio.NewReader(r.r)
	version := r.u32()
	if r.err == nil && (version < 5 || version > 6) {
		return nil, fmt.Errorf("not a CTranslate2 model, or of an unknown version %d", version)
	}
	f := &ct2File{in: in, spec: r.text(), vars: map[string]variable{}, alias: map[string]string{}}
	r.u32() // revision of the specification; the names below are checked instead
	count := r.u32()
	if count > maxVariables {
		return nil, fmt.Errorf("header claims %d variables", count)
	}
	for range count {
		if err := f.readVariable(r); err != nil {
			return nil, err
		}
	}
	aliases := r.u32()
	if aliases > maxVariables {
		return nil, fmt.Errorf("header claims %d aliases", aliases)
	}
	for range aliases {
		name := r.text()
		f.alias[name] = r.text()
		if r.err != nil {
			break
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("incomplete CTranslate2 model: %w", r.err)
	}
	return f, nil
}

func (f *ct2File) readVariable(r *cursor) error {
	name := r.text()
	rank := int(r.u8())
	if rank > maxRank {
		return fmt.Errorf("variable %q claims %d dimensions", name, rank)
	}
	v := variable{dims: make([]int64, rank)}
	elements := int64(1)
	for i := range v.dims {
		v.dims[i] = int64(r.u32())
		if v.dims[i] > 0 && elements > math.MaxInt64/8/v.dims[i] {
			return fmt.Errorf("variable %q claims too many elements", name)
		}
		elements *= v.dims[i]
	}
	v.dtype = r.u8()
	v.bytes = int64(r.u32())
	v.offset = r.pos
	if r.err != nil {
		return fmt.Errorf("incomplete CTranslate2 model: %w", r.err)
	}
	width := widthOf(v.dtype)
	if width == 0 {
		return fmt.Errorf("variable %q is of the unknown type %d", name, v.dtype)
	}
	if elements*width != v.bytes {
		return fmt.Errorf("variable %q has %d bytes for %d elements", name, v.bytes, elements)
	}
	if err := r.skip(v.bytes); err != nil {
		return fmt.Errorf("incomplete CTranslate2 model: variable %q is cut off: %w", name, err)
	}
	f.vars[name] = v
	return nil
}

func widthOf(dtype byte) int64 {
	switch dtype {
	case ct2F32, ct2I32:
		return 4
	case ct2I16, ct2F16, ct2BF16:
		return 2
	case ct2I8:
		return 1
	}
	return 0
}

// get returns the variable of this name, following an alias.
func (f *ct2File) get(name string) (variable, error) {
	if to, ok := f.alias[name]; ok {
		name = to
	}
	v, ok := f.vars[name]
	if !ok {
		return variable{}, fmt.Errorf("the model has no variable %q", name)
	}
	return v, nil
}

// scalar returns a variable of one whole number.
func (f *ct2File) scalar(name string) (int, error) {
	v, err := f.get(name)
	if err != nil {
		return 0, err
	}
	if v.elements() != 1 {
		return 0, fmt.Errorf("variable %q is no scalar", name)
	}
	var b [4]byte
	if _, err := f.in.ReadAt(b[:v.bytes], v.offset); err != nil {
		return 0, fmt.Errorf("read %q: %w", name, err)
	}
	switch v.dtype {
	case ct2I8:
		return int(int8(b[0])), nil
	case ct2I16:
		return int(int16(binary.LittleEndian.Uint16(b[:]))), nil
	case ct2I32:
		return int(int32(binary.LittleEndian.Uint32(b[:]))), nil
	}
	return 0, fmt.Errorf("variable %q is no whole number", name)
}

// cursor reads little-endian values and keeps the first error and the position.
type cursor struct {
	r    *io.SectionReader
	buf  *bufio.Reader
	pos  int64
	size int64
	err  error
}

func (c *cursor) bytes(n int) []byte {
	b := make([]byte, n)
	if c.err == nil {
		_, c.err = io.ReadFull(c.buf, b)
		c.pos += int64(n)
	}
	if errors.Is(c.err, io.EOF) {
		c.err = io.ErrUnexpectedEOF
	}
	return b
}

func (c *cursor) u8() byte    { return c.bytes(1)[0] }
func (c *cursor) u32() uint32 { return binary.LittleEndian.Uint32(c.bytes(4)) }

// text reads a string: its length with the closing NUL as 16 bits, then the bytes.
func (c *cursor) text() string {
	n := int(binary.LittleEndian.Uint16(c.bytes(2)))
	if n > maxName {
		if c.err == nil {
			c.err = fmt.Errorf("a name claims %d bytes", n)
		}
		return ""
	}
	return strings.TrimRight(string(c.bytes(n)), "\x00")
}

func (c *cursor) skip(n int64) error {
	if n > c.size-c.pos {
		return io.ErrUnexpectedEOF
	}
	c.pos += n
	if n <= int64(c.buf.Buffered()) {
		_, err := c.buf.Discard(int(n))
		return err
	}
	if _, err := c.r.Seek(c.pos, io.SeekStart); err != nil {
		return err
	}
	c.buf.Reset(c.r)
	return nil
}
