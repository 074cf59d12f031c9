package speechtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// reader walks over normalized text once and writes what is said. At each place the rules are asked in
// order; the first that knows what stands there says how it is spoken and how many bytes it took.
type reader struct {
	src     string
	pos     int
	out     strings.Builder
	shouted bool // the text around is written in capitals: they carry no meaning
}

// readFrench is one pass of reading French.
func readFrench(text string) string {
	r := &reader{src: normalize(text)}
	r.shouted = isShouted(r.src)
	for r.pos < len(r.src) {
		r.step()
	}
	return punctuate(r.out.String())
}

func (r *reader) step() {
	c := firstRune(r.rest())
	switch {
	case isDigit(c):
		r.say(r.number())
	case unicode.IsLetter(c):
		r.letters()
	case c == ' ':
		r.out.WriteByte(' ')
		r.pos++
	default:
		r.symbol(c)
	}
}

// letters reads a word, or what starts like one.
func (r *reader) letters() {
	for _, rule := range [...]func(*reader) (string, int){
		(*reader).times, (*reader).address, (*reader).abbreviation, (*reader).initials, (*reader).roman,
		(*reader).capitals,
	} {
		if spoken, n := rule(r); n > 0 {
			r.say(spoken, n)
			return
		}
	}
	n := letterRun(r.rest())
	r.out.WriteString(r.src[r.pos : r.pos+n])
	r.pos += n
	if r.pos < len(r.src) && isDigit(rune(r.src[r.pos])) {
		r.out.WriteByte(' ')
	}
}

// say writes words set apart by spaces (not after an apostrophe: "l'ONU") and moves on by n bytes.
func (r *reader) say(spoken string, n int) {
	if !strings.HasSuffix(r.out.String(), "'") {
		r.out.WriteByte(' ')
	}
	r.out.WriteString(spoken)
	r.pos += n
	if c := firstRune(r.rest()); c != '-' && c != '\'' || isDigit(lastRune(r.src[:r.pos])) {
		r.out.WriteByte(' ')
	}
}

func (r *reader) rest() string { return r.src[r.pos:] }

// before returns the character before the place where the reader stands; utf8.RuneError at the start.
func (r *reader) before() rune { return lastRune(r.src[:r.pos]) }

// wordBefore returns the word before this place, in lower case; "" if there is none on this side of a
// sentence mark.
func (r *reader) wordBefore() string {
	return strings.ToLower(r.writtenBefore())
}

func (r *reader) writtenBefore() string {
	s := strings.TrimRight(r.src[:r.pos], " '-")
	return s[len(s)-lastLetterRun(s):]
}

// wordAt returns the word that starts at byte i of s, after at most one space, in lower case.
func wordAt(s string) string {
	s = strings.TrimPrefix(s, " ")
	return strings.ToLower(s[:letterRun(s)])
}

func firstRune(s string) rune {
	c, _ := utf8.DecodeRuneInString(s)
	return c
}

func lastRune(s string) rune {
	c, _ := utf8.DecodeLastRuneInString(s)
	return c
}

func isDigit(c rune) bool { return c >= '0' && c <= '9' }

func isLetter(c rune) bool { return unicode.IsLetter(c) || unicode.IsMark(c) }

func isWord(c rune) bool { return isLetter(c) || isDigit(c) }

// letterRun returns how many bytes of letters s starts with.
func letterRun(s string) int {
	for i, c := range s {
		if !isLetter(c) {
			return i
		}
	}
	return len(s)
}

// lastLetterRun returns how many bytes of letters s ends with.
func lastLetterRun(s string) int {
	n := 0
	for n < len(s) {
		c, size := utf8.DecodeLastRuneInString(s[:len(s)-n])
		if !isLetter(c) || c == utf8.RuneError {
			break
		}
		n += size
	}
	return n
}

func digitRun(s string) int {
	n := 0
	for n < len(s) && isDigit(rune(s[n])) {
		n++
	}
	return n
}
