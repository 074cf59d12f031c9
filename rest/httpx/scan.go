package httpx

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"brenda/pipeline/fault"
)

// maxJSON is the most that a body may hold besides its big fields, in bytes. That much is in memory.
const maxJSON = 16 << 20

// scanner reads one JSON object. The big fields among its members go to blobs as they come; all the rest is
// collected for encoding/json, which also has the last word on its syntax.
type scanner struct {
	br    *bufio.Reader
	dir   string
	big   map[string]bool
	blobs Blobs
	rest  bytes.Buffer
	field string // the member being read
}

func (s *scanner) scan() error {
	if bom, _ := s.br.Peek(3); string(bom) == "\xef\xbb\xbf" {
		_, _ = s.br.Discard(3) // what Peek has seen can be discarded
	}
	c, err := s.next()
	switch {
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "invalid_json", "the body is empty; send a JSON object")
	case err != nil:
		return err
	case c != '{':
		return fault.New(fault.Invalid, "invalid_json", "the body must be a JSON object")
	}
	s.rest.WriteByte('{')
	if err := s.members(); err != nil {
		return s.cut(err)
	}
	s.rest.WriteByte('}')
	switch _, err := s.next(); {
	case err == nil:
		return fault.New(fault.Invalid, "invalid_json", "there is more behind the JSON object")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// members reads to the closing brace.
func (s *scanner) members() error {
	c, err := s.next()
	if err != nil || c == '}' {
		return err
	}
	for {
		if c != '"' {
			return s.malformed("expected a field's name in quotes")
		}
		if err := s.member(); err != nil {
			return err
		}
		if c, err = s.next(); err != nil || c == '}' {
			return err
		}
		if c != ',' {
			return s.malformed("expected a comma or a closing brace")
		}
		s.rest.WriteByte(',')
		if c, err = s.next(); err != nil {
			return err
		}
	}
}

// member reads one name and its value. The name's opening quote has been read.
func (s *scanner) member() error {
	start := s.rest.Len()
	s.rest.WriteByte('"')
	if err := s.copyString(); err != nil {
		return err
	}
	var name string
	if json.Unmarshal(s.rest.Bytes()[start:], &name) != nil {
		return s.malformed("a field's name is not a valid string")
	}
	s.field = name
	c, err := s.next()
	if err != nil {
		return err
	}
	if c != ':' {
		return s.malformed("expected a colon after the field's name")
	}
	s.rest.WriteByte(':')
	if c, err = s.next(); err != nil {
		return err
	}
	if s.big[name] && c != 'n' { // null is as good as absent
		return s.bigValue(name, c)
	}
	start = s.rest.Len()
	if err := s.copyValue(c); err != nil {
		return err
	}
	if !json.Valid(s.rest.Bytes()[start:]) {
		return s.malformed("its value is not valid JSON")
	}
	return nil
}

// bigValue streams a string of base64 to its blob.
func (s *scanner) bigValue(name string, c byte) error {
	if c != '"' {
		return fault.Field(name, "%s must be a string of base64", name)
	}
	s.rest.WriteString("null")
	s.blobs[name].Close() // of two fields with one name the last counts
	delete(s.blobs, name)
	blob := &Blob{dir: s.dir}
	dec := newUnbase64(blob)
	err := s.streamString(dec)
	if err == nil {
		err = dec.Close()
	}
	if err == nil && blob.Size() > 0 {
		s.blobs[name] = blob
		return nil
	}
	blob.Close()
	if errors.Is(err, errNotBase64) {
		return fault.Field(name, "%s is not base64", name)
	}
	return err
}

// streamString unescapes a string, whose opening quote has been read, into w.
func (s *scanner) streamString(w io.Writer) error {
	for {
		if _, err := s.br.Peek(1); err != nil {
			return err
		}
		run, _ := s.br.Peek(s.br.Buffered())
		n := 0
		for n < len(run) && run[n] != '"' && run[n] != '\\' && run[n] >= ' ' {
			n++
		}
		if _, err := w.Write(run[:n]); err != nil {
			return err
		}
		_, _ = s.br.Discard(n) // they are in the buffer
		if n == len(run) {
			continue
		}
		switch c, _ := s.br.ReadByte(); c {
		case '"':
			return nil
		case '\\':
			if err := s.escape(w); err != nil {
				return err
			}
		default:
			return s.malformed("its value holds a bare control character")
		}
	}
}

// escape unescapes one escape sequence, whose backslash has been read.
func (s *scanner) escape(w io.Writer) error {
	seq := []byte{'"', '\\', 0, '"'}
	c, err := s.br.ReadByte()
	if err != nil {
		return err
	}
	seq[2] = c
	if c == 'u' {
		var hex [4]byte
		if _, err := io.ReadFull(s.br, hex[:]); err != nil {
			return err
		}
		seq = append(append(seq[:3], hex[:]...), '"')
	}
	var text string
	if json.Unmarshal(seq, &text) != nil {
		return s.malformed("its value holds a bad escape sequence")
	}
	_, err = io.WriteString(w, text)
	return err
}

// copyValue copies one value, whose first byte has been read, to the rest.
func (s *scanner) copyValue(c byte) error {
	s.rest.WriteByte(c)
	switch c {
	case '"':
		return s.copyString()
	case '{', '[':
		return s.copyNested()
	}
	for {
		p, err := s.br.Peek(1)
		if err != nil {
			return err
		}
		if c := p[0]; c == ',' || c == '}' || c == ']' || isSpace(c) {
			return nil
		}
		if err := s.take(); err != nil {
			return err
		}
	}
}

// copyNested copies an object or an array, whose first bracket has been read.
func (s *scanner) copyNested() error {
	for depth := 1; depth > 0; {
		if err := s.takeTo(`"{}[]`); err != nil {
			return err
		}
		var err error
		switch s.last() {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			err = s.copyString()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyString copies to the closing quote.
func (s *scanner) copyString() error {
	for {
		if err := s.takeTo(`"\`); err != nil {
			return err
		}
		switch s.last() {
		case '"':
			return nil
		case '\\':
			if err := s.take(); err != nil {
				return err
			}
		}
	}
}

// takeTo copies up to and with the next of these bytes to the rest.
func (s *scanner) takeTo(stops string) error {
	for {
		if _, err := s.br.Peek(1); err != nil {
			return err
		}
		run, _ := s.br.Peek(s.br.Buffered())
		n := bytes.IndexAny(run, stops)
		found := n >= 0
		if !found {
			n = len(run) - 1
		}
		if err := s.takeN(n + 1); err != nil || found {
			return err
		}
	}
}

func (s *scanner) take() error { return s.takeN(1) }

// takeN copies n bytes, no more than the buffer holds, to the rest.
func (s *scanner) takeN(n int) error {
	run, err := s.br.Peek(n)
	if err != nil {
		return err
	}
	if s.rest.Len()+n > maxJSON {
		return &fault.Error{
			Kind: fault.TooLarge, Code: "too_large", Param: s.param(),
			Msg: "the text of a request may have at most 16 MiB",
		}
	}
	s.rest.Write(run)
	_, _ = s.br.Discard(n) // they are in the buffer
	return nil
}

func (s *scanner) last() byte { return s.rest.Bytes()[s.rest.Len()-1] }

// next returns the next byte that is no white space.
func (s *scanner) next() (byte, error) {
	for {
		c, err := s.br.ReadByte()
		if err != nil || !isSpace(c) {
			return c, err
		}
	}
}

func (s *scanner) malformed(what string) error {
	f := fault.New(fault.Invalid, "invalid_json", "the body is not valid JSON: %s", what)
	f.Param = s.param()
	return f
}

// cut says so when the body ended too early.
func (s *scanner) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return s.malformed("it ends too early")
	}
	return err
}

// param is the member to blame, as far as an answer can show it.
func (s *scanner) param() string {
	const longest = 100
	if len(s.field) > longest || !utf8.ValidString(s.field) {
		return ""
	}
	return s.field
}
