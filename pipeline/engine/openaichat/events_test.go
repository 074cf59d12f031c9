package openaichat

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func read(r io.Reader) (all []string, err error) {
	e := newEvents(r)
	for {
		data, err := e.next()
		if err != nil {
			return all, err
		}
		all = append(all, string(data))
	}
}

func TestEvents(t *testing.T) {
	cases := map[string]struct {
		in   string
		want []string
	}{
		"LF":                {"data: a\n\ndata: b\n\n", []string{"a", "b"}},
		"CRLF":              {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"CR":                {"data: a\r\rdata: b\r\r", []string{"a", "b"}},
		"mixed":             {"data: a\r\ndata: b\n\r\n", []string{"a\nb"}},
		"lines":             {"data: a\ndata:\ndata: b\n\n", []string{"a\n\nb"}},
		"comments, fields":  {": hi\n\nevent: x\nid: 3\nretry: 9\ndata:a\n\n: bye\n\n", []string{"a"}},
		"no space":          {"data:a\n\ndata:  b\n\n", []string{"a", " b"}},
		"empty data":        {"data\n\ndata:\n\n", []string{"", ""}},
		"byte order mark":   {"\xEF\xBB\xBFdata: a\n\n", []string{"a"}},
		"cut event dropped": {"data: a\n\ndata: b\n", []string{"a"}},
		"cut line dropped":  {"data: a\n\ndata: b", []string{"a"}},
		"unlike data":       {"database: a\n\nDATA: b\n\n", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				got, err := read(r)
				if !errors.Is(err, io.EOF) || strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
					t.Errorf("got %q, %v, want %q", got, err, c.want)
				}
			}
		})
	}
}

func TestEventTooLong(t *testing.T) {
	line := "data: " + strings.Repeat("x", maxEvent/2) + "\n"
	if _, err := read(strings.NewReader(line + line + line)); !errors.Is(err, errEventTooLong) {
		t.Errorf("error = %v", err)
	}
}

// FuzzEvents: any bytes end in an error without a panic, and however the network cuts them, the events are
// the same; so they are with any of the three ends of a line.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(llamaBody))
	f.Add([]byte(bareBody))
	f.Add([]byte("data: \xc3\xa9\r\rdata: \xff\n\n\r\n:"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := read(strings.NewReader(string(in)))
		if err == nil {
			t.Fatal("no end")
		}
		cut, _ := read(iotest.OneByteReader(strings.NewReader(string(in))))
		if strings.Join(whole, "|") != strings.Join(cut, "|") {
			t.Errorf("whole %q, byte by byte %q", whole, cut)
		}
		if strings.Contains(string(in), "\r") {
			return
		}
		for _, end := range []string{"\r\n", "\r"} {
			other, _ := read(strings.NewReader(strings.ReplaceAll(string(in), "\n", end)))
			if strings.Join(whole, "|") != strings.Join(other, "|") {
				t.Errorf("with LF %q, with %q %q", whole, end, other)
			}
		}
	})
}
