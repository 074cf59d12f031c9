package openaichat

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxEvent bounds one event: a server that never ends a line must not fill the memory.
const maxEvent = 1 << 20

var errEventTooLong = errors.New("an event of the stream is too long")

// events reads server-sent events as the HTML standard has them: lines end in LF, CR or CRLF, data lines of
// one event are joined by LF, lines that start with a colon are comments, an event that the stream's end
// cuts is dropped. Characters that the network cut in two are whole again, since nothing is handed out
// before a line's end.
type events struct {
	r      *bufio.Reader
	line   []byte
	data   []byte
	skipLF bool // the line before ended in CR: a LF that follows belongs to it
	begun  bool
}

func newEvents(r io.Reader) *events { return &events{r: bufio.NewReader(r)} }

// next returns the data of the next event that has some; io.EOF at the end. The slice is valid until the
// next call.
func (e *events) next() ([]byte, error) {
	e.data = e.data[:0]
	seen := false
	for {
		line, err := e.readLine()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			if seen {
				return e.data, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		if string(field) != "data" { // a comment's field is empty
			continue
		}
		if seen {
			e.data = append(e.data, '\n')
		}
		seen = true
		e.data = append(e.data, bytes.TrimPrefix(value, []byte(" "))...)
		if len(e.data) > maxEvent {
			return nil, errEventTooLong
		}
	}
}

// readLine returns a line without its end. A last line without an end is dropped: it was cut.
func (e *events) readLine() ([]byte, error) {
	e.line = e.line[:0]
	for {
		b, err := e.r.ReadByte()
		if err != nil {
			return nil, err
		}
		skip := e.skipLF && b == '\n'
		e.skipLF = b == '\r'
		switch {
		case skip:
		case b == '\n' || b == '\r':
			if !e.begun {
				e.begun = true
				return bytes.TrimPrefix(e.line, []byte("\xEF\xBB\xBF")), nil
			}
			return e.line, nil
		case len(e.line) >= maxEvent:
			return nil, errEventTooLong
		default:
			e.line = append(e.line, b)
		}
	}
}
