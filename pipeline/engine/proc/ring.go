package proc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

const (
	ringBytes    = 64 << 10 // how much of a child's output is kept
	maxLineBytes = 4 << 10  // a longer line is logged in pieces
)

// ring keeps the end of what was written to it.
type ring struct {
	mu   sync.Mutex
	buf  []byte
	next int  // where the next byte goes
	full bool // the buffer has wrapped
}

func newRing(size int) *ring { return &ring{buf: make([]byte, size)} }

func (r *ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	if n >= len(r.buf) {
		copy(r.buf, p[n-len(r.buf):])
		r.next, r.full = 0, true
		return n, nil
	}
	k := copy(r.buf[r.next:], p)
	copy(r.buf, p[k:])
	if r.next+n >= len(r.buf) {
		r.full = true
	}
	r.next = (r.next + n) % len(r.buf)
	return n, nil
}

// String returns what is kept, oldest first.
func (r *ring) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full {
		return string(r.buf[:r.next])
	}
	return string(r.buf[r.next:]) + string(r.buf[:r.next])
}

// lastLine returns the last line of text in the ring, "" when there is none.
func (r *ring) lastLine() string {
	s := bytes.TrimSpace([]byte(r.String()))
	if i := bytes.LastIndexByte(s, '\n'); i >= 0 {
		s = s[i+1:]
	}
	const enough = 300
	if len(s) > enough {
		s = s[:enough]
	}
	return string(bytes.ToValidUTF8(bytes.TrimSpace(s), []byte("?")))
}

// drain copies a child's output into the ring and, line by line, into the debug log until r ends.
func drain(ctx context.Context, r io.Reader, keep *ring, log *slog.Logger) {
	buf := make([]byte, maxLineBytes)
	held := 0 // bytes of an unfinished line at the start of buf
	for {
		n, err := r.Read(buf[held:])
		keep.Write(buf[held : held+n]) //nolint:errcheck // a ring takes everything
		held += n
		if log.Enabled(ctx, slog.LevelDebug) {
			held = logLines(ctx, buf[:held], held == len(buf) || err != nil, log)
		} else {
			held = 0
		}
		if err != nil {
			return
		}
	}
}

// logLines logs the whole lines of buf, and the rest too when flush is set. It moves what remains to the
// front and returns its length.
func logLines(ctx context.Context, buf []byte, flush bool, log *slog.Logger) int {
	rest := buf
	for {
		line, after, found := bytes.Cut(rest, []byte{'\n'})
		if !found {
			break
		}
		if s := bytes.TrimSpace(line); len(s) > 0 {
			log.DebugContext(ctx, "child output", "line", string(s))
		}
		rest = after
	}
	if flush {
		if s := bytes.TrimSpace(rest); len(s) > 0 {
			log.DebugContext(ctx, "child output", "line", string(s))
		}
		return 0
	}
	return copy(buf, rest)
}
