package speechtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// unknown says that what follows has not come yet.
const unknown = -1

// endOf judges the marks text[from:to] (. ! ? …). It returns what kind of border stands behind them and
// where the next word starts; next is unknown while that word has not come.
func endOf(text string, from, to int, midLine bool) (r rank, next int) {
	after := skipClosers(text, to)
	if after == len(text) {
		return glue, unknown
	}
	c := firstRune(text[after:])
	if !unicode.IsSpace(c) {
		return glue, to
	}
	rest := strings.TrimLeftFunc(text[after:], unicode.IsSpace)
	next = len(text) - len(rest)
	opened := strings.TrimLeft(rest, "*_~\"'«“‘([¿¡–—- \u00a0\u202f>#\n")
	if opened == "" {
		return glue, unknown
	}
	follow := firstRune(opened)
	marks := text[from:to]
	if unicode.IsLower(follow) && !strings.Contains(text[after:next], "\n") {
		return lowerFollows(text[to:after], marks), next
	}
	if marks == "." && strings.HasSuffix(text[:from], "art") && len(opened) < 2 { // "art. L" of "art. L. 5"
		return glue, unknown
	}
	if marks == "." && bindsDot(text, from, opened, midLine) {
		return glue, to
	}
	return sentence, next
}

// lowerFollows ranks a mark that a small letter follows: "Ah ! mais non" may pause, "« Vraiment ? »
// demanda" may not, and a dot there belongs to an abbreviation.
func lowerFollows(closers, marks string) rank {
	if marks == "." || strings.Trim(closers, "*_~") != "" {
		return glue
	}
	return clause
}

// skipClosers moves past quotes, brackets and emphasis that close what the marks end; French quotes stand
// behind a space.
func skipClosers(text string, at int) int {
	for at < len(text) {
		rest := text[at:]
		c, size := utf8.DecodeRuneInString(rest)
		switch {
		case strings.ContainsRune("\"'’”»)]*_~`", c):
			at += size
		case c == ' ' || c == '\u00a0' || c == '\u202f':
			inner := strings.TrimLeft(rest, " \u00a0\u202f")
			if inner == "" || !strings.HasPrefix(inner, "»") {
				return at
			}
			at += len(rest) - len(inner)
		default:
			return at
		}
	}
	return at
}

// bindsDot tells that the dot at i belongs to the word before it and ends no sentence.
func bindsDot(text string, i int, follow string, midLine bool) bool {
	head := text[:i]
	if n := trailingDigits(head); n > 0 {
		return n <= 2 && listNumber(head[:len(head)-n], midLine)
	}
	w := head[len(head)-lastLetterRun(head):]
	lead := head[:len(head)-len(w)]
	if utf8.RuneCountInString(w) == 1 {
		return bindsInitial(lead, w, follow)
	}
	if isWord(lastRune(lead)) {
		return false
	}
	for _, a := range abbreviations[strings.ToLower(w)] {
		if !strings.HasSuffix(a.written, ".") || !hasWritten(w+". ", a.written) {
			continue
		}
		switch a.need {
		case aName:
			return true
		case aNumber, afterDay:
			return isDigit(firstRune(follow)) || a.spoken == "article" && isLawLetter(follow)
		case aPlace:
			return unicode.IsUpper(firstRune(follow)) || isLinkWord(wordAt(follow))
		default:
			return !endsSentence(a.written) || isDigit(firstRune(follow))
		}
	}
	return false
}

// bindsInitial judges a single letter before a dot: "J. Dupont", "J.-P. Martin", "p. 12" bind; "A.D.N.",
// "J.-C." and "l'option B." may end a sentence.
func bindsInitial(lead, w, follow string) bool {
	switch {
	case strings.HasSuffix(lead, "J.-") && w == "C":
		return false
	case strings.HasSuffix(lead, ".-"), strings.HasSuffix(lead, "à-"):
		return true
	case strings.HasSuffix(lead, "."):
		return false
	}
	trimmed := strings.TrimRight(lead, " \u00a0\u202f")
	if w == "p" && isDigit(firstRune(follow)) {
		return true
	}
	if w != "M" && isDigit(lastRune(trimmed)) { // a unit: "5 m."
		return false
	}
	if unicode.IsLower(firstRune(w)) {
		return !strings.HasSuffix(lead, "/") && (isDigit(firstRune(follow)) || strings.Contains("prtv", w))
	}
	before := strings.ToLower(trimmed[len(trimmed)-lastLetterRun(trimmed):])
	if w == "M" {
		return true
	}
	if c := lastRune(lead); c == '\'' || c == '’' {
		return false
	}
	return !labelNouns[before] || before == "de" || before == "et" || before == "à"
}

// listNumber tells that the digits behind head number a list entry: they start a line or follow a colon
// or a sentence.
func listNumber(head string, midLine bool) bool {
	trimmed := strings.TrimRight(head, " \t*_>\u00a0")
	if trimmed == "" {
		return !midLine
	}
	last := lastRune(trimmed)
	return last == '\n' || strings.ContainsRune(":;.!?", last) && len(trimmed) < len(head)
}

func trailingDigits(s string) int {
	n := 0
	for n < len(s) && isDigit(rune(s[len(s)-1-n])) {
		n++
	}
	return n
}
