package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
)

const (
	chunk   = 32 << 10 // bytes read at once
	maxLine = 64 << 10 // a longer line is told of in pieces
)

// lines makes lines out of a log as the daemon sends it. Its memory does not grow with what a frame says of its length.
type lines struct {
	emit    func(vitals.Line) error
	stamped bool // the daemon puts a time in front of each message
	refused error

	open [2]line // what has no end yet, of stdout and stderr
}

type line struct {
	text []byte
	at   time.Time
}

// demux reads the log of a container without a terminal: frames of a stream's number, three zeros, a length, and text. A
// frame holds one message, or a piece of one.
func (l *lines) demux(r *bufio.Reader) error {
	var head [8]byte
	for {
		switch _, err := io.ReadFull(r, head[:]); {
		case errors.Is(err, io.EOF):
			return l.flush()
		case err != nil:
			return broken(err)
		}
		kind, length := head[0], int64(binary.BigEndian.Uint32(head[4:]))
		if kind > 3 || head[1] != 0 || head[2] != 0 || head[3] != 0 {
			return tooLong()
		}
		if err := l.frame(kind, io.LimitReader(r, length), length); err != nil {
			return err
		}
	}
}

// frame reads one frame.
func (l *lines) frame(kind byte, r io.Reader, length int64) error {
	if kind == 3 { // the daemon's own trouble with this log
		text, _ := io.ReadAll(io.LimitReader(r, 4<<10))
		return fault.Wrap(errors.New(string(text)), fault.Upstream, "docker_failed", "Docker cannot read this log to its end")
	}
	stream := 0
	if kind == 2 {
		stream = 1
	}
	buf := make([]byte, min(length, chunk))
	for first := true; length > 0; first = false {
		n, err := io.ReadFull(r, buf[:min(length, chunk)])
		if err != nil {
			return broken(err)
		}
		length -= int64(n)
		text := buf[:n]
		if first && l.stamped {
			text = l.stamp(stream, text)
		}
		if err := l.take(stream, text); err != nil {
			return err
		}
	}
	return nil
}

// raw reads the log of a container with a terminal: text as it was written.
func (l *lines) raw(r *bufio.Reader) error {
	for {
		text, err := r.ReadSlice('\n')
		if len(l.open[0].text) == 0 && l.stamped {
			text = l.stamp(0, text)
		}
		if terr := l.take(0, text); terr != nil {
			return terr
		}
		switch {
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return l.flush()
		default:
			return err
		}
	}
}

// stamp takes the time off the front of a message.
func (l *lines) stamp(stream int, text []byte) []byte {
	word, rest, ok := bytes.Cut(text, []byte{' '})
	if !ok || len(word) > len(time.RFC3339Nano) {
		return text
	}
	at, err := time.Parse(time.RFC3339Nano, string(word))
	if err != nil {
		return text
	}
	if o := &l.open[stream]; len(o.text) == 0 {
		o.at = at
	}
	return rest
}

// take adds text to what is open of a stream and emits the lines that end in it.
func (l *lines) take(stream int, text []byte) error {
	o := &l.open[stream]
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		room := maxLine - len(o.text)
		if end > room {
			o.text = append(o.text, text[:room]...)
			text = text[room:]
			if err := l.out(stream); err != nil {
				return err
			}
			continue
		}
		o.text = append(o.text, text[:end]...)
		if end == len(text) {
			return nil
		}
		text = text[end+1:]
		if err := l.out(stream); err != nil {
			return err
		}
	}
	return nil
}

// out emits what is open of a stream.
func (l *lines) out(stream int) error {
	o := &l.open[stream]
	text := bytes.TrimSuffix(o.text, []byte{'\r'}) // a terminal's lines end with both
	ln := vitals.Line{Stream: [2]string{"stdout", "stderr"}[stream], Text: string(text), At: o.at}
	o.text = o.text[:0]
	l.refused = l.emit(ln)
	return l.refused
}

// flush emits what has no end at the end of the log.
func (l *lines) flush() error {
	for stream := range l.open {
		if len(l.open[stream].text) == 0 {
			continue
		}
		if err := l.out(stream); err != nil {
			return err
		}
	}
	return nil
}

// broken says that a log ended within a frame.
func broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fault.New(fault.Unavailable, "docker_unavailable", "Docker ended the log in the middle")
	}
	return err
}
