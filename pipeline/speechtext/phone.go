package speechtext

import (
	"regexp"
	"strings"
)

var (
	nationalPhone = regexp.MustCompile(`^0[1-9](?:[ .-]?\d\d){4}`)
	foreignPhone  = regexp.MustCompile(`^\+\d{1,3}(?:[ .-]?\(0\))?(?:[ .-]?\d{1,4}){3,6}`)
	freePhone     = regexp.MustCompile(`^0 ?8\d\d ?\d{3} ?\d{3}`)
)

// readPhone reads French telephone numbers in pairs, as they are told: 01 23 45 67 89, 0 800 123 456.
func readPhone(s string) (string, int) {
	if s[0] != '0' {
		return "", 0
	}
	if m := freePhone.FindString(s); m != "" && strings.Contains(m, " ") && phoneEnds(s[len(m):]) {
		d := onlyDigits(m)
		return "zéro " + code(d[1:4]) + ", " + code(d[4:7]) + ", " + code(d[7:]), len(m)
	}
	m := nationalPhone.FindString(s)
	if m == "" || !phoneEnds(s[len(m):]) {
		return "", 0
	}
	return pairs(onlyDigits(m)), len(m)
}

// readForeignPhone reads +33 6 12 34 56 78: the country, the single digit, pairs; other countries in
// their groups.
func readForeignPhone(s string) (string, int) {
	m := foreignPhone.FindString(s)
	if m == "" || !phoneEnds(s[len(m):]) {
		return "", 0
	}
	written := strings.Replace(m, "(0)", "", 1)
	if d := onlyDigits(written); strings.HasPrefix(d, "33") && len(d) == 11 {
		return "plus trente-trois, " + code(d[2:3]) + ", " + pairs(d[3:]), len(m)
	}
	groups := strings.FieldsFunc(written[1:], func(c rune) bool { return !isDigit(c) })
	if len(groups) < 3 {
		return "", 0
	}
	for i, g := range groups {
		groups[i] = code(g)
	}
	return "plus " + strings.Join(groups, ", "), len(m)
}

func phoneEnds(after string) bool { return after == "" || !isWord(firstRune(after)) }

// pairs reads digits two by two.
func pairs(digits string) string {
	var words []string
	for len(digits) > 1 {
		words = append(words, code(digits[:2]))
		digits = digits[2:]
	}
	if digits != "" {
		words = append(words, code(digits))
	}
	return strings.Join(words, ", ")
}

func onlyDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if isDigit(c) {
			return c
		}
		return -1
	}, s)
}

// isCallVerb tells the words before a short number such as 3949 that is told in pairs.
func isCallVerb(w string) bool {
	switch w {
	case "appelez", "appeler", "appelle", "composez", "composer", "compose", "téléphone", "tél", "joindre":
		return true
	}
	return false
}
