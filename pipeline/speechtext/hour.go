package speechtext

import (
	"regexp"
	"strings"
)

var (
	hourForm  = regexp.MustCompile(`^(\d{1,3}) ?[hH](?: ?([0-5]\d)(?: ?(?:min|mn)\b)?(?: ?([0-5]\d) ?s\b)?)?`)
	clockForm = regexp.MustCompile(`^([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?`)
	everyForm = regexp.MustCompile(`^(\d{1,3}) ?([hj]) ?/ ?(\d{1,3})`)
	evenForm  = regexp.MustCompile(`^(?:50/50|4x4|16[:/]9)`)
	roundForm = regexp.MustCompile(`^24/7`)
	chronForm = regexp.MustCompile(`^(\d{1,3}) ?(?:min|mn) ?([0-5]?\d)(?: ?s)?`)
)

// readClock reads times of day and durations in hours: 14h30, 14 h 30, 8 h, 21:45, 24h/24.
func readClock(s string) (string, int) {
	if m := roundForm.FindString(s); m != "" && !isWord(firstRune(s[len(m):])) {
		return "vingt-quatre heures sur vingt-quatre, sept jours sur sept", len(m)
	}
	if m := evenForm.FindString(s); m != "" && !isWord(firstRune(s[len(m):])) {
		switch m {
		case "4x4":
			return "quatre-quatre", len(m)
		case "50/50":
			return "cinquante-cinquante", len(m)
		}
		return "seize neuvièmes", len(m)
	}
	if m := everyForm.FindStringSubmatch(s); m != nil {
		noun, fem := " jour", false
		if m[2] == "h" {
			noun, fem = " heure", true
		}
		a := amount{whole: m[1]}
		return a.words(fem) + plural(noun, a.plural()) + " sur " + code(m[3]), len(m[0])
	}
	if m := hourForm.FindStringSubmatch(s); m != nil && unitEnds(s[len(m[0]):]) {
		return hourWords(m[1], m[2], m[3]), len(m[0])
	}
	if m := clockForm.FindStringSubmatch(s); m != nil && !continuesClock(s[len(m[0]):]) {
		return hourWords(m[1], m[2], m[3]), len(m[0])
	}
	if m := chronForm.FindStringSubmatch(s); m != nil && unitEnds(s[len(m[0]):]) {
		a, sec := amount{whole: m[1]}, amount{whole: m[2]}
		return a.words(true) + plural(" minute", a.plural()) + " " + feminine(code(sec.whole)), len(m[0])
	}
	return "", 0
}

func continuesClock(after string) bool {
	return after != "" && (isWord(firstRune(after)) || after[0] == ':')
}

// hourWords says hours and, where given, minutes and seconds; all three are feminine nouns.
func hourWords(h, m, s string) string {
	hours := amount{whole: strings.TrimPrefix(h, "0")}
	if hours.whole == "" {
		hours.whole = "0"
	}
	words := hours.words(true) + plural(" heure", hours.plural())
	if m != "" && (m != "00" || s != "" && s != "00") {
		words += " " + feminine(cardinal(m))
	}
	if s != "" && s != "00" {
		sec := amount{whole: s}
		minutes := amount{whole: m}
		words += plural(" minute", minutes.plural()) + " et "
		words += feminine(cardinal(s)) + plural(" seconde", sec.plural())
	}
	return words
}

func plural(noun string, many bool) string {
	if many && !strings.HasSuffix(noun, "s") && !strings.HasSuffix(noun, "z") && !strings.HasSuffix(noun, "x") {
		return noun + "s"
	}
	return noun
}

// hourSpan reads 10h–12h as a stretch of time: "de dix heures à douze heures".
func (r *reader) hourSpan() (string, int) {
	first := hourForm.FindString(r.rest())
	if first == "" {
		first = clockForm.FindString(r.rest())
	}
	if first == "" {
		return "", 0
	}
	after := r.rest()[len(first):]
	gap := dashGap(after)
	if gap == 0 {
		return "", 0
	}
	to, n := readClock(after[gap:])
	if n == 0 || !strings.Contains(to, "heure") {
		return "", 0
	}
	from, _ := readClock(first)
	if from == "" {
		return "", 0
	}
	switch r.wordBefore() {
	case "de", "entre", "dès", "depuis":
	default:
		from = "de " + from
	}
	return from + " à " + to, len(first) + gap + n
}

// dashGap returns the bytes of a dash between two values, with its spaces; 0 if there is none.
func dashGap(s string) int {
	t := strings.TrimLeft(s, " ")
	for _, dash := range [...]string{"-", "–"} {
		if rest, ok := strings.CutPrefix(t, dash); ok {
			rest = strings.TrimLeft(rest, " ")
			if rest != "" && isDigit(rune(rest[0])) {
				return len(s) - len(rest)
			}
		}
	}
	return 0
}
