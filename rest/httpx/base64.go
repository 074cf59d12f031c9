package httpx

import (
	"bytes"
	"errors"
	"io"
)

var errNotBase64 = errors.New("not base64")

// maxDataURL is the longest head of a data URL, up to its comma, in bytes.
const maxDataURL = 512

// The states of an unbase64.
const (
	atStart  = iota // what came so far may be the head of a data URL
	inHead          // in the head of a data URL
	inBody          // in the base64 itself
	inEnding        // after the first '='
)

// unbase64 decodes base64 as it comes: standard or URL-safe, padded or not, with white space anywhere, behind
// the head of a data URL or not.
type unbase64 struct {
	w     io.Writer
	state int
	head  []byte // what was read of a possible head
	quad  uint32 // the bits of the group that is not complete
	count int    // characters of that group, '=' included
	pads  int
	out   []byte
	table [256]byte // the sextet of each character
}

func newUnbase64(w io.Writer) *unbase64 {
	d := &unbase64{w: w, out: make([]byte, 0, 24<<10)}
	for c := range d.table {
		d.table[c] = sextet(byte(c))
	}
	return d
}

// Write decodes the next characters.
func (d *unbase64) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i++ {
		if d.state == inBody && d.count == 0 {
			if i += d.groups(p[i:]); i == len(p) {
				break
			}
		}
		c := p[i]
		var err error
		if d.state == inBody {
			err = d.char(c)
		} else {
			err = d.rare(c)
		}
		if err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// groups decodes whole groups of four characters, which is nearly all there ever is, and returns how many
// characters that were. It stops where anything else comes, or the output is full.
func (d *unbase64) groups(p []byte) int {
	n := 0
	for ; n+4 <= len(p) && len(d.out) <= cap(d.out)-6; n += 4 {
		a, b, c, e := d.table[p[n]], d.table[p[n+1]], d.table[p[n+2]], d.table[p[n+3]]
		if a|b|c|e > 63 {
			break
		}
		d.out = append(d.out, a<<2|b>>4, b<<4|c>>2, c<<6|e)
	}
	return n
}

// rare takes a character outside the body: at the start, in a data URL's head, in the padding.
func (d *unbase64) rare(c byte) error {
	if isSpace(c) {
		return nil
	}
	if d.state == inEnding {
		return d.ending(c)
	}
	d.head = append(d.head, c)
	if d.state == inHead {
		return d.inHead(c)
	}
	const scheme = "data:"
	if !bytes.EqualFold(d.head, []byte(scheme)[:len(d.head)]) {
		return d.replay()
	}
	if len(d.head) == len(scheme) {
		d.state = inHead
	}
	return nil
}

func (d *unbase64) inHead(c byte) error {
	switch {
	case c == ',' && bytes.HasSuffix(bytes.ToLower(d.head), []byte(";base64,")):
		d.state, d.head = inBody, nil
		return nil
	case c == ',', len(d.head) > maxDataURL:
		return errNotBase64
	}
	return nil
}

// replay decodes what looked like the beginning of a data URL and is none.
func (d *unbase64) replay() error {
	head := d.head
	d.state, d.head = inBody, nil
	_, err := d.Write(head)
	return err
}

func (d *unbase64) char(c byte) error {
	v := d.table[c]
	if v > 63 {
		switch {
		case isSpace(c):
			return nil
		case c == '=':
			d.state = inEnding
			return d.ending(c)
		}
		return errNotBase64
	}
	d.quad = d.quad<<6 | uint32(v)
	if d.count++; d.count < 4 {
		return nil
	}
	d.out = append(d.out, byte(d.quad>>16), byte(d.quad>>8), byte(d.quad))
	d.quad, d.count = 0, 0
	if len(d.out) > cap(d.out)-3 {
		return d.flush()
	}
	return nil
}

// ending allows as many '=' as fill the last group.
func (d *unbase64) ending(c byte) error {
	if c != '=' || d.count < 2 || d.count+d.pads == 4 {
		return errNotBase64
	}
	d.pads++
	return nil
}

// Close decodes the last group.
func (d *unbase64) Close() error {
	switch d.state {
	case inHead:
		return errNotBase64
	case atStart:
		if err := d.replay(); err != nil {
			return err
		}
	}
	if d.pads > 0 && d.count+d.pads != 4 {
		return errNotBase64
	}
	switch d.count {
	case 1:
		return errNotBase64
	case 2:
		d.out = append(d.out, byte(d.quad>>4))
	case 3:
		d.out = append(d.out, byte(d.quad>>10), byte(d.quad>>2))
	}
	return d.flush()
}

func (d *unbase64) flush() error {
	_, err := d.w.Write(d.out)
	d.out = d.out[:0]
	return err
}

// sextet returns the six bits of a character, 255 for one that has none.
func sextet(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+', c == '-':
		return 62
	case c == '/', c == '_':
		return 63
	}
	return 255
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
