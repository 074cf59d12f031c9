package speechtext

import "strings"

// symbolName returns the word for a symbol, or nothing.
func (r *reader) symbolName(c rune, after string) string {
	next := firstRune(strings.TrimLeft(after, " "))
	prev := lastRune(strings.TrimRight(r.src[:r.pos], " "))
	between := isWord(prev) || prev == ')'
	switch c {
	case '*', '×':
		if between && (isDigit(next) && isDigit(prev) || c == '×') {
			return "fois"
		}
	case '+':
		if between || isDigit(next) {
			return "plus"
		}
		if prev == '+' && isWord(lastRune(strings.TrimRight(r.src[:r.pos], "+"))) { // C++
			return "plus"
		}
	case '<', '>':
		return compareName(c, between, next)
	case '#':
		return hashName(isLetter(r.before()), after)
	case '~', '≈':
		if c == '≈' && between && r.formula() {
			return "environ égal à"
		}
		if isDigit(next) {
			return "environ"
		}
	case '→', '⇒':
		return ","
	case '−':
		if isWord(next) {
			return "moins"
		}
	case '€', '$', '£', '¥':
		return r.moneyName(string(c))
	case '\\', '{', '}', '_', '`':
		return ""
	}
	return plainSymbol(c)
}

// compareName reads "a < b", and "> 18 ans" as "plus de dix-huit ans".
func compareName(c rune, between bool, next rune) string {
	switch {
	case between && isWord(next) && c == '<':
		return "inférieur à"
	case between && isWord(next):
		return "supérieur à"
	case isDigit(next) && c == '<':
		return "moins de"
	case isDigit(next):
		return "plus de"
	}
	return ""
}

func hashName(letterBefore bool, after string) string {
	switch {
	case letterBefore:
		return "dièse"
	case after != "" && isDigit(rune(after[0])):
		return "numéro"
	case startsWithLetter(after):
		return "dièse"
	}
	return ""
}

// moneyName reads a currency sign behind a word: "15 millions €".
func (r *reader) moneyName(sym string) string {
	c := currencies[sym]
	switch w := r.wordBefore(); {
	case strings.HasPrefix(w, "million"), strings.HasPrefix(w, "milliard"):
		return strings.TrimSpace(c.of())
	}
	return c.many
}

func plainSymbol(c rune) string {
	switch c {
	case '&':
		return "et"
	case '@':
		return "arobase"
	case '%':
		return "pour cent"
	case '‰':
		return "pour mille"
	case '°':
		return "degrés"
	case '§':
		return "paragraphe"
	case '=':
		return "égale"
	case '÷':
		return "divisé par"
	case '±':
		return "plus ou moins"
	case '≠':
		return "différent de"
	case '≤':
		return "inférieur ou égal à"
	case '≥':
		return "supérieur ou égal à"
	case '√':
		return "racine de"
	case '∞':
		return "l'infini"
	case 'µ':
		return "micro"
	}
	return ""
}
