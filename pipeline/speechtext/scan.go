package speechtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// rank tells how good a place is to cut.
type rank int

const (
	glue     rank = iota // between two words that belong together: "le | chat"
	word                 // between two words
	phrase               // before a word that opens a phrase: "… | pour aller"
	clause               // behind , ; : ) or around a dash
	sentence             // behind a sentence or a line
	forced               // before code or a table, or at the very end: must be cut
)

// border is a place where the text may be cut.
type border struct {
	pos    int // bytes before it
	length int // characters heard before it
	rank   rank
}

// longestSpan is how many bytes a link, tag or formula may have; a longer one is taken as plain text.
const longestSpan = 300

// scan walks over text that starts at a chunk's start and collects borders. It stops where what follows
// is not known yet.
type scan struct {
	text    string
	final   bool
	midLine bool
	ends    bool // the current line is a heading or list entry: it ends with its line
	closed  bool // the current line's last sentence has ended

	i       int
	length  int
	borders []border
	stopped bool
}

func (s *scan) run() {
	if !s.midLine {
		s.startLine()
	}
	for s.i < len(s.text) && !s.stopped {
		before := s.i
		s.step()
		if s.i == before && !s.stopped { // a reply must never hang the server
			s.i++
		}
	}
	if s.final && !s.stopped {
		s.add(len(s.text), forced)
	}
}

func (s *scan) step() {
	c, size := utf8.DecodeRuneInString(s.text[s.i:])
	if n, wait := span(s.text[s.i:], s.final); wait {
		s.stopped = true
		return
	} else if n > 0 {
		s.length += heard(s.text[s.i : s.i+n])
		s.i += n
		return
	}
	switch {
	case c == '\n':
		s.newline()
	case isStop(c):
		s.stop()
	case c == ',' || c == ';' || c == ':' || c == ')':
		s.length++
		s.i++
		s.pause()
	case unicode.IsSpace(c):
		s.space()
	default:
		s.length += weightOf(c)
		s.i += size
	}
}

func (s *scan) add(pos int, r rank) {
	if n := len(s.borders); n > 0 && s.borders[n-1].pos == pos {
		s.borders[n-1].rank = max(s.borders[n-1].rank, r)
		return
	}
	s.borders = append(s.borders, border{pos: pos, length: s.length, rank: r})
}

// startLine skips blank lines and the marker of the line that starts here.
func (s *scan) startLine() {
	rest := s.text[s.i:]
	start := len(rest) - len(strings.TrimLeft(rest, " \t\r\n"))
	start = strings.LastIndexByte(rest[:start], '\n') + 1
	line, _, _ := strings.Cut(rest[start:], "\n")
	k := lineKind(line)
	s.i += start + k.marker
	s.length += k.heard
	s.ends = k.ends
}

// newline decides whether a line's end is a border, once it is known what the next line starts with.
func (s *scan) newline() {
	end := s.i + 1
	if s.ends && s.length > 0 { // what starts the next line cannot matter
		s.add(end, sentence)
	}
	next := strings.TrimLeft(s.text[end:], " \t\r\n")
	if next == "" {
		s.stopped = !s.final
		s.i = len(s.text)
		return
	}
	at := len(s.text) - len(next)
	at = strings.LastIndexByte(s.text[:at], '\n') + 1
	c := firstRune(next)
	if (c == '`' || c == '~') && len(next) < 3 && !s.final {
		s.stopped = true
		return
	}
	line, _, _ := strings.Cut(s.text[at:], "\n")
	blank := strings.Count(s.text[s.i:at], "\n") > 1
	switch {
	case fenceOf(line) != "" || c == '|':
		s.add(at, forced)
		s.stopped = true
	case lineKind(line).whole && len(line) < len(s.text)-at:
		s.add(at, forced)
		s.stopped = true
	case c == '#' && lineKind(line).ends:
		s.add(at, forced)
		s.i, s.closed = at, false
		s.startLine()
	case blank || s.ends || s.closed || !unicode.IsLower(c):
		s.add(at, sentence)
		s.i, s.closed = at, false
		s.startLine()
	default:
		s.length++
		s.add(at, clause)
		s.i = at
	}
}

// stop reads . ! ? … and decides whether a sentence ends.
func (s *scan) stop() {
	end := s.i
	for end < len(s.text) {
		c, size := utf8.DecodeRuneInString(s.text[end:])
		if !isStop(c) {
			break
		}
		end += size
	}
	r, next := endOf(s.text, s.i, end, s.midLine)
	s.length++
	switch {
	case next == unknown && s.ends && strings.Contains(s.text[end:], "\n"):
		s.i, s.closed = end, true
	case next == unknown && !s.final:
		s.stopped = true
	case next == unknown, r < clause:
		s.i = end
	case strings.Contains(s.text[end:next], "\n"):
		s.i, s.closed = end, true
	default:
		s.i = next
		s.add(next, r)
	}
}

// pause reads what is behind , ; : ) and makes a clause border of it if a space follows.
func (s *scan) pause() {
	rest := s.text[s.i:]
	gap := len(rest) - len(strings.TrimLeftFunc(rest, isBlank))
	switch {
	case gap == len(rest) && !s.final:
		s.stopped = true
	case gap == 0 || gap == len(rest):
	case strings.ContainsRune("\n»,.;:!?)…", firstRune(rest[gap:])):
	default:
		s.i += gap
		s.length++
		s.add(s.i, clause)
	}
}

// space makes a border between two words.
func (s *scan) space() {
	rest := s.text[s.i:]
	next := strings.TrimLeftFunc(rest, isBlank)
	if next == "" {
		s.stopped = !s.final
		s.i = len(s.text)
		return
	}
	pos := s.i + len(rest) - len(next)
	s.length++
	switch c := firstRune(next); {
	case c == '\n':
	case c == '–' || c == '—':
		s.add(pos, clause)
		s.i = pos + len("–")
		return
	case c == '(':
		s.add(pos, clause)
	case strings.ContainsRune("»!?;:%€$°", c):
	default:
		s.add(pos, joinRank(s.text[:s.i], next))
	}
	s.i = pos
}

// isBlank tells the spaces of a line: any but the line's end.
func isBlank(c rune) bool { return c != '\n' && unicode.IsSpace(c) }

func isStop(c rune) bool { return c == '.' || c == '!' || c == '?' || c == '…' }

// heard estimates how many characters a stretch of source has as speech.
func heard(src string) int {
	n := 0
	text := src
	for len(text) > 0 {
		if k, _ := span(text, true); k > 0 {
			n += heardSpan(text[:k])
			text = text[k:]
			continue
		}
		c, size := utf8.DecodeRuneInString(text)
		n += weightOf(c)
		text = text[size:]
	}
	return n
}

func heardSpan(src string) int {
	n := 0
	if src[0] == '$' || src[0] == '\\' { // rendering a formula just to measure it is too dear
		for _, c := range macro.ReplaceAllString(src, "") {
			n += weightOf(c)
		}
		return n
	}
	for _, c := range inline(src) {
		n += weightOf(c)
	}
	return n
}

// weightOf returns what a character adds to the length: digits are several letters once said, markup is
// nothing.
func weightOf(c rune) int {
	switch {
	case c >= '0' && c <= '9':
		return 4
	case strings.ContainsRune("*_`#|>~", c):
		return 0
	case c == '€' || c == '%' || c == '$':
		return 5
	}
	return 1
}
