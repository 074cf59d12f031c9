package speechtext

import (
	"regexp"
	"strings"
)

var (
	isoDate = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)` +
		`(?:[T ](\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?`)
	fullDate  = regexp.MustCompile(`^(\d{1,2})([/.-])(\d{1,2})([/.-])(\d{4}|\d\d)`)
	monthDate = regexp.MustCompile(`^(\d{1,2})/(\d\d)`)
)

// readDate reads numeric dates, day first: 12/03/2024, 12.03.24, and ISO 8601.
func readDate(s string) (string, int) {
	m := isoDate.FindStringSubmatch(s)
	if m != nil && validDay(m[3], m[2]) && !isWord(firstRune(s[len(m[0]):])) {
		words := dateWords(m[3], m[2], m[1])
		if m[4] != "" {
			words += " à " + hourWords(m[4], m[5], "")
		}
		return words, len(m[0])
	}
	m = fullDate.FindStringSubmatch(s)
	if m == nil || m[2] != m[4] || !validDay(m[1], m[3]) {
		return "", 0
	}
	after := s[len(m[0]):]
	if isWord(firstRune(after)) || len(after) > 1 && after[0] == m[2][0] && isWord(rune(after[1])) {
		return "", 0
	}
	if m[2] != "/" && (len(m[1]) < 2 || len(m[3]) < 2) { // 1.2.34 is a version
		return "", 0
	}
	return dateWords(m[1], m[3], m[5]), len(m[0])
}

// shortDate reads a day and month without year: "le 14/07", "05/12"; 3/4 stays a fraction.
func (r *reader) shortDate() (string, int) {
	m := monthDate.FindStringSubmatch(r.rest())
	if m == nil || !validDay(m[1], m[2]) {
		return "", 0
	}
	if after := r.rest()[len(m[0]):]; after != "" && (isWord(firstRune(after)) || after[0] == '/') {
		return "", 0
	}
	switch w := r.wordBefore(); {
	case len(m[1]) == 2 && (m[1][0] == '0' || m[2][0] == '0'):
	case w == "le" || w == "du" || w == "au" || isDayName(w):
	default:
		return "", 0
	}
	return dateWords(m[1], m[2], ""), len(m[0])
}

func dateWords(day, month, year string) string {
	words := cardinal(day)
	if words == "un" {
		words = "premier"
	}
	words += " " + monthName(atoi(month))
	if year != "" {
		words += " " + code(year)
	}
	return words
}

func validDay(day, month string) bool {
	d, m := atoi(day), atoi(month)
	return d >= 1 && d <= 31 && m >= 1 && m <= 12
}

func monthName(m int) string {
	return [...]string{
		1: "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
		"novembre", "décembre",
	}[m]
}

func isDayName(w string) bool {
	return strings.HasSuffix(w, "di") && len(w) > 4 || w == "dimanche"
}
