package speechtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// symbol reads whatever is neither letter, digit nor space. It takes at least one character.
func (r *reader) symbol(c rune) {
	size := utf8.RuneLen(c)
	if c == utf8.RuneError {
		_, size = utf8.DecodeRuneInString(r.rest())
	}
	after := r.rest()[size:]
	if r.sign(c, after) {
		return
	}
	switch c {
	case '.', ',', ';', ':', '!', '?', '…':
		r.out.WriteRune(c)
		r.pos += size
	case '-', '\'':
		r.joint(c, after)
	case '(', ')', '[', ']':
		r.bracket(after)
	case '–', '|':
		r.say(",", size)
	case '/':
		r.slash(after)
	case '²', '³', '^':
		r.power(c, after)
	default:
		r.say(r.symbolName(c, after), size)
	}
}

// sign reads symbols that belong to the number behind them: −5, +33 6 …, $5, ~20.
func (r *reader) sign(c rune, after string) bool {
	if isWord(r.before()) || r.before() == ')' {
		return false
	}
	if c == '+' {
		if spoken, n := readForeignPhone(r.rest()); n > 0 {
			r.say(spoken, n)
			return true
		}
	}
	if strings.ContainsRune("$€£¥", c) {
		if spoken, n := readPrefixedMoney(r.rest()); n > 0 {
			r.say(spoken, n)
			return true
		}
	}
	if c != '-' && c != '−' || after == "" || !isDigit(rune(after[0])) {
		return false
	}
	r.say("moins", len(string(c)))
	return true
}

// joint keeps a hyphen or apostrophe that joins two words, and drops any other.
func (r *reader) joint(c rune, after string) {
	prev, next := r.before(), firstRune(after)
	switch {
	case isLetter(prev) && isLetter(next):
		if c == '-' && isSpelled(r.src[:r.pos]) { // USB-C
			c = ' '
		}
		r.out.WriteRune(c)
	case c == '\'' && isLetter(prev) && isDigit(next):
		r.out.WriteRune(c)
	case c == '-' && prev == ' ' && next == ' ':
		if r.formula() {
			r.out.WriteString("moins")
		} else {
			r.out.WriteByte(',')
		}
	case c == '-' && isDigit(prev) && isDigit(next) && lawArticle(r.src[:r.pos]):
		r.out.WriteString(" tiret ")
	case c == '-' && isDigit(prev) && isDigit(next) && r.formula():
		r.out.WriteString(" moins ")
	default:
		r.out.WriteByte(' ')
	}
	r.pos++
}

// lawArticle tells that the text ends with the number of a French article of law: "L. 121".
func lawArticle(s string) bool {
	s = strings.TrimRight(s, "0123456789-")
	s = strings.TrimRight(s, " .")
	return s != "" && strings.Contains("LRD", s[len(s)-1:]) && lastLetterRun(s) == 1
}

// formula tells that the text holds an equation, where a dash is a minus.
func (r *reader) formula() bool { return strings.Contains(r.src, "=") }

// bracket turns brackets into pauses, and drops the "(s)" of a plural.
func (r *reader) bracket(after string) {
	if r.rest()[0] == '(' && len(r.writtenBefore()) > 1 && isLetter(r.before()) {
		if n := letterRun(after); pluralMark(after[:n]) && strings.HasPrefix(after[n:], ")") {
			r.pos += n + 2
			return
		}
	}
	if strings.TrimLeft(after, " )]") == "" {
		r.say("", 1)
		return
	}
	r.say(",", 1)
}

// pluralMark tells the endings that are written in brackets behind a word and not said: "le(s) invité(e)s".
func pluralMark(s string) bool {
	switch s {
	case "s", "e", "es", "ne", "x", "nt", "ve", "se", "le", "te", "trice", "euse":
		return true
	}
	return false
}

// slash reads "et/ou" as "et ou", other alternatives as a pause, a path with its slashes.
func (r *reader) slash(after string) {
	prev, next := r.before(), firstRune(after)
	before := r.wordBefore()
	switch {
	case isDigit(prev) && isDigit(next):
		r.say("sur", 1)
	case before == "et":
		r.say("", 1)
	case isPeriod(wordAt(after)) && isLetter(prev):
		r.say("par", 1)
	case isLetter(prev) && isLetter(next):
		r.say(",", 1)
	case (prev == ' ' || prev == utf8.RuneError) && isLetter(next):
		path := trimURL(strings.Fields(r.rest())[0])
		r.say(readDots(strings.ReplaceAll(path, "/", " slash ")), len(path))
	case prev == ' ' && next == ' ':
		r.say(",", 1)
	default:
		r.say("", 1)
	}
}

// isPeriod tells the nouns that something happens so often per: "3 fois/jour".
func isPeriod(w string) bool {
	switch w {
	case "jour", "mois", "an", "semaine", "heure", "nuit", "personne", "minute", "seconde":
		return true
	}
	return false
}

// power reads x² and 10^3.
func (r *reader) power(c rune, after string) {
	prev := r.before()
	if !isWord(prev) && prev != ')' {
		r.say("", len(string(c)))
		return
	}
	switch c {
	case '²':
		r.say("au carré", 2)
		return
	case '³':
		r.say("au cube", 2)
		return
	}
	switch n := digitRun(after); {
	case n == 1 && after[0] == '2':
		r.say("au carré", 2)
	case n == 1 && after[0] == '3':
		r.say("au cube", 2)
	case n > 0 && isLetter(prev) && len(r.writtenBefore()) > 2: // a footnote
		r.say("", 1+n)
	case n > 0:
		r.say("puissance "+code(after[:n]), 1+n)
	case strings.HasPrefix(after, "-") && digitRun(after[1:]) > 0:
		n = digitRun(after[1:])
		r.say("puissance moins "+code(after[1:1+n]), 2+n)
	case startsWithLetter(after):
		r.say("puissance", 1)
	default:
		r.say("", 1)
	}
}

func startsWithLetter(s string) bool { return unicode.IsLetter(firstRune(s)) }
