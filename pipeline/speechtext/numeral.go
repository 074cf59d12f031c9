package speechtext

import "strings"

// amount is a number as written.
type amount struct {
	negative bool
	whole    string // ASCII digits, grouping removed
	frac     string // digits after the decimal mark; may be empty
	n        int    // bytes it took
}

// scanAmount reads the number that s starts with.
func scanAmount(s string) amount {
	a := amount{n: digitRun(s)}
	a.whole = s[:a.n]
	if a.n <= 3 && a.n > 0 && s[0] != '0' {
		a = scanGroups(s, a)
	}
	if a.n < len(s) && (s[a.n] == ',' || s[a.n] == '.') {
		if d := digitRun(s[a.n+1:]); d > 0 && !continues(s[a.n+1+d:]) {
			a.frac = s[a.n+1 : a.n+1+d]
			a.n += 1 + d
		}
	}
	return a
}

// continues tells that after the digits a further mark and digit follow: no decimal then, but a list or a
// code.
func continues(s string) bool {
	return len(s) > 1 && (s[0] == ',' || s[0] == '.') && isDigit(rune(s[1]))
}

// scanGroups reads groups of three digits behind the first one to three.
func scanGroups(s string, a amount) amount {
	if a.n+4 > len(s) {
		return a
	}
	mark, i, groups := s[a.n], a.n, 0
	if mark != ' ' && mark != '.' && mark != ',' && mark != '\'' {
		return a
	}
	for i+4 <= len(s) && s[i] == mark && digitRun(s[i+1:]) == 3 {
		groups++
		i += 4
	}
	pointed := len(s) > i+1 && s[i] == '.' && isDigit(rune(s[i+1]))
	decimal := mark == ',' && groups == 1 && !pointed // 1,234 is a French decimal
	if groups == 0 || decimal || mark == '.' && continues(s[i:]) && s[i] == '.' {
		return a
	}
	return amount{whole: strings.ReplaceAll(s[:i], string(mark), ""), n: i}
}

// words says the number; fem asks for the form before a feminine noun.
func (a amount) words(fem bool) string {
	s := code(a.whole)
	switch {
	case a.frac != "":
		s += " virgule " + decimals(a.frac)
	case fem:
		s = feminine(s)
	}
	if a.negative {
		return "moins " + s
	}
	return s
}

// plural tells whether a noun counted by it takes its plural: from two up, as French has it.
func (a amount) plural() bool {
	w := strings.TrimLeft(a.whole, "0")
	return len(w) > 1 || len(w) == 1 && w[0] >= '2'
}

// number reads whatever starts with the digit at this place.
func (r *reader) number() (string, int) {
	if isLetter(r.before()) {
		return r.glued()
	}
	if spoken, n := r.hourSpan(); n > 0 {
		return spoken, n
	}
	for _, rule := range [...]func(string) (string, int){
		readPhone, readDate, readClock, readVersion, readOrdinal,
	} {
		if spoken, n := rule(r.rest()); n > 0 {
			return spoken, n
		}
	}
	if spoken, n := r.shortDate(); n > 0 {
		return spoken, n
	}
	if spoken, n := r.listMark(); n > 0 {
		return spoken, n
	}
	return r.quantity()
}

// asLabel takes the plural s off a number that names a thing instead of counting: "les années
// quatre-vingt".
func (r *reader) asLabel(words string, a amount) string {
	if a.frac == "" && numberedNouns[r.wordBefore()] {
		for _, end := range [...]string{"vingts", "cents"} {
			if strings.HasSuffix(words, end) {
				return strings.TrimSuffix(words, "s")
			}
		}
	}
	return words
}

// numberedNouns stand before a number that is a name.
//
//nolint:gochecknoglobals,misspell // read-only French
var numberedNouns = set(`
 année années page pages chapitre article numéro an tome ligne route chambre salle porte bus
 paragraphe section verset exercice question version thermostat`)

// glued reads digits that belong to the letters before them: MP3, A4, Qwen2.5.
func (r *reader) glued() (string, int) {
	s := r.rest()
	n := digitRun(s)
	parts := []string{code(s[:n])}
	for n+1 < len(s) && s[n] == '.' && isDigit(rune(s[n+1])) {
		d := digitRun(s[n+1:])
		parts = append(parts, code(s[n+1:n+1+d]))
		n += 1 + d
	}
	return strings.Join(parts, " point "), n
}

// times reads the x of "3 x 4", "10x" and the v of "v2".
func (r *reader) times() (string, int) {
	s := r.rest()
	if letterRun(s) != 1 {
		return "", 0
	}
	before := strings.TrimRight(r.src[:r.pos], " ")
	after := firstRune(strings.TrimLeft(s[1:], " "))
	switch {
	case s[0] == 'x' && before != "" && isDigit(lastRune(before)) &&
		(isDigit(after) || len(before) == r.pos && !r.formula() && after != '+'):
		return "fois", 1
	case s[0] == 'v' && len(s) > 1 && isDigit(rune(s[1])) && !isWord(r.before()):
		if r.wordBefore() == "version" {
			return " ", 1
		}
		return "version", 1
	}
	return "", 0
}

// listMark reads the number of a list entry at the start of the text: "2. Mélangez".
func (r *reader) listMark() (string, int) {
	s := r.rest()
	n := digitRun(s)
	if strings.TrimSpace(r.src[:r.pos]) != "" || n > 2 || len(s) < n+2 {
		return "", 0
	}
	if s[n] != '.' && s[n] != ')' || s[n+1] != ' ' {
		return "", 0
	}
	return code(s[:n]) + ".", n + 1
}

// readVersion reads digits with two dots or more: 1.2.3, an address, a paragraph number.
func readVersion(s string) (string, int) {
	n := digitRun(s)
	parts := []string{code(s[:n])}
	for n+1 < len(s) && s[n] == '.' && isDigit(rune(s[n+1])) {
		d := digitRun(s[n+1:])
		if len(parts) == 1 && d == 3 && n <= 3 && !groupsEnd(s[n:]) { // thousands
			return "", 0
		}
		parts = append(parts, code(s[n+1:n+1+d]))
		n += 1 + d
	}
	if len(parts) < 3 {
		return "", 0
	}
	return strings.Join(parts, " point "), n
}

// groupsEnd tells that the dotted groups at s are not all of three digits: no thousands.
func groupsEnd(s string) bool {
	for len(s) > 1 && s[0] == '.' && isDigit(rune(s[1])) {
		d := digitRun(s[1:])
		if d != 3 {
			return true
		}
		s = s[1+d:]
	}
	return false
}
