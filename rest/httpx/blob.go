package httpx

import (
	"bytes"
	"io"
	"os"

	"brenda/pipeline/fault"
)

// blobMemory is how much of a big field stays in memory, in bytes. What is longer goes to a file.
const blobMemory = 1 << 20

// Blob holds the decoded bytes of one big field: in memory while it is small, in a file without a name after
// that.
type Blob struct {
	dir  string
	mem  []byte
	file *os.File
	size int64
}

// Size returns how many bytes it holds.
func (b *Blob) Size() int64 { return b.size }

// Open returns a new reader over the bytes. It is good until Close.
func (b *Blob) Open() io.ReadSeeker {
	if b.file == nil {
		return bytes.NewReader(b.mem)
	}
	return io.NewSectionReader(b.file, 0, b.size)
}

// Write adds bytes at the end.
func (b *Blob) Write(p []byte) (int, error) {
	if b.file == nil && len(b.mem)+len(p) > blobMemory {
		if err := b.spill(); err != nil {
			return 0, noSpace(err)
		}
	}
	if b.file == nil {
		b.mem = append(b.mem, p...)
	} else if _, err := b.file.Write(p); err != nil {
		return 0, noSpace(err)
	}
	b.size += int64(len(p))
	return len(p), nil
}

// spill moves the bytes to a file, which vanishes with the process whatever happens to it.
func (b *Blob) spill() error {
	f, err := os.CreateTemp(b.dir, "brenda-body-*")
	if err != nil {
		return err
	}
	b.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = f.Write(b.mem)
	b.mem = nil
	return err
}

// Close frees what it holds. A nil Blob is closed already.
func (b *Blob) Close() {
	if b == nil {
		return
	}
	if b.file != nil {
		_ = b.file.Close() // it has no name any more: there is nothing to keep
	}
	b.mem = nil
}

func noSpace(err error) error {
	return fault.Wrap(err, fault.Unavailable, "no_space", "the server has no room for this; try again later")
}

// Blobs are the big fields of one request by name. A field that was absent, null or blank is not there.
type Blobs map[string]*Blob

// Close frees all of them.
func (bs Blobs) Close() {
	for _, b := range bs {
		b.Close()
	}
}
