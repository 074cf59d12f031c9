package speechtext

import (
	"strings"
	"unicode"
)

// before says what must follow an abbreviation for it to be one.
type before int

const (
	anything before = iota
	aName           // a space and a capital letter
	aNumber         // a digit, perhaps behind a space
	aPlace          // a capital letter, or "de", "du", "des", "la", "le", "l'", "d'" and then anything
	afterDay        // stands behind a day of the month
)

// abbreviation is a short form and how it is said.
type abbreviation struct {
	written string
	spoken  string
	need    before
}

func byLetters(list []abbreviation) map[string][]abbreviation {
	m := make(map[string][]abbreviation, len(list))
	for _, a := range list {
		key := strings.ToLower(a.written[:letterRun(a.written)])
		m[key] = append(m[key], a)
	}
	return m
}

// abbreviation reads a short form that starts here, with the capital of a sentence's start or without.
func (r *reader) abbreviation() (string, int) {
	s := r.rest()
	if c := r.before(); isWord(c) || c == '-' || c == '.' || c == '/' {
		return "", 0
	}
	for _, a := range abbreviations[strings.ToLower(s[:letterRun(s)])] {
		n := len(a.written)
		if !hasWritten(s, a.written) || !r.fits(a, s[n:]) {
			continue
		}
		spoken := a.spoken
		if startsUpper(s) && (startsLower(a.written) || strings.HasPrefix(s[n:], "-")) { // Tél., St-Malo
			first := firstRune(spoken)
			spoken = string(unicode.ToUpper(first)) + strings.TrimPrefix(spoken, string(first))
		}
		if strings.HasSuffix(a.written, ".") && keepsStop(a, s[n:]) {
			spoken += "."
		}
		return spoken, n
	}
	return "", 0
}

// hasWritten compares as written, allowing a capital first letter.
func hasWritten(s, written string) bool {
	if strings.HasPrefix(s, written) {
		return true
	}
	first := firstRune(written)
	if !unicode.IsLower(first) || len(s) < len(written) {
		return false
	}
	up := string(unicode.ToUpper(first))
	return strings.HasPrefix(s, up) && strings.HasPrefix(s[len(up):], strings.TrimPrefix(written, string(first)))
}

// fits checks what an abbreviation demands of its surroundings.
func (r *reader) fits(a abbreviation, after string) bool {
	if isLetter(lastRune(a.written)) {
		c := firstRune(after)
		if isWord(c) && a.need != aNumber || c == '\'' || c == '-' && a.need != aName {
			return false
		}
	}
	dotted := strings.HasSuffix(a.written, ".")
	next := strings.TrimLeft(after, " ")
	switch a.need {
	case aName:
		if a.written == "M." && after != next && (isLinkWord(wordAt(next)) || wordAt(next) == "et") {
			return true
		}
		joined := strings.TrimPrefix(next, "-")
		return unicode.IsUpper(firstRune(joined)) && (after != next || joined != next || dotted)
	case aNumber:
		if a.spoken == "article" && isLawLetter(next) {
			return true
		}
		return next != "" && isDigit(rune(next[0])) && (after != next || dotted)
	case aPlace:
		return after != next && (unicode.IsUpper(firstRune(next)) || isLinkWord(wordAt(next)))
	case afterDay:
		p := strings.TrimRight(r.src[:r.pos], " ")
		return p != "" && (isDigit(rune(p[len(p)-1])) || strings.HasSuffix(p, "1er") || isDayName(wordAt(p)))
	default:
		return true
	}
}

// isLawLetter tells that s starts like the number of a French article of law: "L. 121-1", "R421".
func isLawLetter(s string) bool {
	return len(s) > 1 && strings.Contains("LRD", s[:1]) && !isLetter(rune(s[1]))
}

func isLinkWord(w string) bool {
	switch w {
	case "de", "du", "des", "la", "le", "l", "d", "les":
		return true
	}
	return false
}

// keepsStop tells that the dot of the abbreviation ends the sentence too.
func keepsStop(a abbreviation, after string) bool {
	next := strings.TrimLeft(after, " ")
	if next == "" {
		return true
	}
	switch a.need {
	case aName, aNumber, aPlace:
		return false
	default:
		return after != next && unicode.IsUpper(firstRune(next)) && endsSentence(a.written)
	}
}

// endsSentence tells the abbreviations that can stand last in a sentence, as "etc." can and "cf." cannot.
func endsSentence(written string) bool {
	switch strings.ToLower(written) {
	case "cf.", "p. ex.", "p.ex.", "par ex.", "ex.", "env.", "c.-à-d.", "i.e.", "e.g.", "tél.", "chap.",
		"fig.", "réf.", "éd.",
		"resp.", "qq.", "vs.", "bât.", "apr.", "nb.":
		return false
	}
	return true
}
