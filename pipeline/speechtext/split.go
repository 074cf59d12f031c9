package speechtext

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Chunk is a stretch of the answer that is spoken in one go.
type Chunk struct {
	Source string // as written: the exact slice of the stream
	Spoken string // what the voice says; empty when nothing of it is spoken (code, an image, a rule)
}

// Options says how to cut. Lengths are in characters as heard: markup counts nothing, a digit counts as
// several.
type Options struct {
	Language string // ISO 639-1; empty means French
	FirstMin int    // the first chunk may end at a comma from here on; 0 means 12
	FirstMax int    // the first chunk is cut between two words if it grows past this; 0 means 30
	Min      int    // later sentences shorter than this are joined with the next; 0 means 25
	Max      int    // no chunk is longer than about this; 0 means 150
}

// Growth of chunks: while one is heard the next is made, so it may be longer, but not by more than a
// synthesizer at half of real time can keep up with.
const (
	growth    = 1.75 // how much longer than the last a chunk may be
	stretch   = 1.4  // and how much longer still before a sentence is cut between two words
	leastNext = 50   // what the second chunk may always have
	maxHeld   = 4096 // bytes that are held back at most: nothing readable is that long without a border
)

// Splitter cuts a stream of text into chunks. It looks at the stream byte by byte, so that its chunks
// depend on the text alone and never on how the stream was cut into tokens. It is not safe for concurrent
// use.
type Splitter struct {
	opt     Options
	buf     []byte
	last    int    // length of the last spoken chunk; 0 before the first
	fence   string // the marker of the code block that is open; empty outside
	midLine bool   // buf continues a line that was cut
	ended   bool   // in midLine: the line's kind ends with the line
}

// New returns a Splitter at the start of a stream.
func New(opt Options) *Splitter {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&opt.FirstMin, 12)
	def(&opt.FirstMax, 30)
	def(&opt.Min, 25)
	def(&opt.Max, 150)
	return &Splitter{opt: opt}
}

// Push takes the next piece of the stream, which may end anywhere, even inside a character, and returns
// the chunks that are certain now.
func (s *Splitter) Push(delta string) []Chunk {
	var chunks []Chunk
	for i := range len(delta) {
		s.buf = append(s.buf, delta[i])
		if !s.decides() {
			continue
		}
		for {
			n := s.cut(false)
			if n == 0 {
				break
			}
			chunks = append(chunks, s.take(n))
		}
	}
	return chunks
}

// Flush ends the stream and returns what was held back. The Splitter is then at the start of a new stream.
func (s *Splitter) Flush() []Chunk {
	var chunks []Chunk
	for len(s.buf) > 0 {
		n := s.cut(true)
		if n == 0 {
			n = len(s.buf)
		}
		chunks = append(chunks, s.take(n))
	}
	*s = Splitter{opt: s.opt}
	return chunks
}

// decides tells whether the last byte can settle anything: a line's end, the first character of a word,
// too much held.
func (s *Splitter) decides() bool {
	n := len(s.buf)
	if n >= maxHeld || s.buf[n-1] == '\n' {
		return true
	}
	r, size := utf8.DecodeLastRune(s.buf)
	if r == utf8.RuneError || unicode.IsSpace(r) || size == n {
		return false
	}
	before, _ := utf8.DecodeLastRune(s.buf[:n-size])
	return unicode.IsSpace(before)
}

// take removes the first n bytes as a chunk.
func (s *Splitter) take(n int) Chunk {
	src := string(s.buf[:n])
	s.buf = append(s.buf[:0], s.buf[n:]...)
	c := Chunk{Source: src}
	if !s.inCode(src) {
		c.Spoken = Verbalize(plain(src, s.midLine), s.opt.Language)
	}
	if strings.HasSuffix(strings.TrimRight(src, " "), ")") && isLetter(lastRune(c.Spoken)) && len(s.buf) > 0 {
		c.Spoken += ","
	}
	if !hasWord(c.Spoken) {
		c.Spoken = ""
	}
	if c.Spoken != "" {
		s.last = max(heard(src), 1)
	}
	line := src[strings.LastIndexByte(src, '\n')+1:]
	wasMid := s.midLine && len(line) == len(src)
	s.ended = line != "" && (wasMid && s.ended || !wasMid && lineKind(line).ends)
	s.midLine = strings.TrimSpace(line) != "" || line != "" && wasMid
	return c
}

// inCode follows code blocks over the chunk src, which holds either code alone or none.
func (s *Splitter) inCode(src string) bool {
	code := s.fence != ""
	for line := range strings.Lines(src) {
		mark := fenceOf(line)
		switch {
		case s.fence == "" && mark != "" && (!s.midLine || len(line) < len(src)):
			s.fence, code = mark, true
		case s.fence != "" && closesFence(line, s.fence):
			s.fence = ""
		}
	}
	return code
}

// cut returns how many bytes of buf make the next chunk; 0 if that is not certain yet. final says that
// nothing follows.
func (s *Splitter) cut(final bool) int {
	if s.fence != "" {
		return s.cutCode(0, final)
	}
	text := string(s.buf)
	if !s.midLine {
		if n, held := s.cutBlock(text, final); n > 0 || held {
			return s.bounded(n)
		}
	}
	sc := scan{text: text, final: final, midLine: s.midLine, ends: s.ended}
	sc.run()
	return s.bounded(s.choose(sc.borders, sc.length, final))
}

// bounded forces a border when too much is held back.
func (s *Splitter) bounded(n int) int {
	if n > 0 || len(s.buf) < maxHeld {
		return n
	}
	n = len(s.buf)
	if i := bytes.LastIndexAny(s.buf, " \n"); i > 0 {
		return i + 1
	}
	for n > maxHeld-utf8.UTFMax && !utf8.RuneStart(s.buf[n-1]) {
		n--
	}
	if n > 1 && s.buf[n-1] >= utf8.RuneSelf && utf8.RuneStart(s.buf[n-1]) {
		n--
	}
	return n
}

// cutBlock cuts lines that are taken whole: code, table rows, rules. held says to wait for the line's end.
func (s *Splitter) cutBlock(text string, final bool) (n int, held bool) {
	start := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	start = strings.LastIndexByte(text[:start], '\n') + 1
	line, _, whole := strings.Cut(text[start:], "\n")
	k := lineKind(line)
	if !k.whole {
		return 0, false
	}
	if !whole && !final {
		return 0, true
	}
	end := min(start+len(line)+1, len(text))
	if fenceOf(line) != "" {
		s.fence = fenceOf(line)
		n = s.cutCode(end, final)
		s.fence = ""
		return n, n == 0
	}
	return end, false
}

// cutCode cuts after the line that closes the code block; from is where its lines start.
func (s *Splitter) cutCode(from int, final bool) int {
	text := string(s.buf[from:])
	n := from
	for line := range strings.Lines(text) {
		n += len(line)
		if closesFence(line, s.fence) && (final || strings.HasSuffix(line, "\n")) {
			return n
		}
	}
	if final {
		return len(s.buf)
	}
	if len(s.buf) >= maxHeld {
		if i := bytes.LastIndexByte(s.buf, '\n'); i >= 0 {
			return i + 1
		}
		return s.bounded(0)
	}
	return 0
}

// hasWord tells whether there is anything to say.
func hasWord(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }) >= 0
}
