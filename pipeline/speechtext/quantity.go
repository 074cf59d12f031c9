package speechtext

import "strings"

// quantity reads a number, or a range of numbers, with the money, percentage or unit that it counts. It
// always takes at least the digits.
func (r *reader) quantity() (string, int) {
	s := r.rest()
	a := scanAmount(s)
	if p := r.src[:r.pos]; len(p) > 1 && p[len(p)-1] == ',' && isDigit(rune(p[len(p)-2])) { // 1,2,3
		a = amount{n: digitRun(s)}
		a.whole = s[:a.n]
	}
	if spoken, n := readFraction(s, a); n > 0 {
		return spoken, n
	}
	if spoken, n := r.shortNumber(a); n > 0 {
		return spoken, n
	}
	if spoken, n := r.chain(a); n > 0 {
		return spoken, n
	}
	if b, gap := r.rangeEnd(a); gap > 0 {
		n := a.n + gap + b.n
		to := " à "
		known := r.src[r.pos : r.pos+n]
		if (known == "14-18" || known == "39-45") && strings.Contains(r.src[:r.pos], "uerre") {
			to = " "
		}
		if r.wordBefore() == "entre" {
			to = " et "
		}
		if spoken, m := r.counted(b, s[n:], a.words(false)+to); m > 0 {
			return spoken, n + m
		}
		fem := takesFeminine(s[n:])
		return a.words(fem) + to + b.words(fem), n
	}
	if spoken, m := r.counted(a, s[a.n:], ""); m > 0 {
		return spoken, a.n + m
	}
	words := r.asLabel(a.words(takesFeminine(s[a.n:])), a)
	if strings.Contains(s[:a.n], ".") && a.frac != "" && r.namesVersion() {
		words = code(a.whole) + " point " + code(a.frac)
	}
	return words, a.n
}

// namesVersion tells that the number behind a capitalized name is a version: "Python 3.12".
func (r *reader) namesVersion() bool {
	w := r.writtenBefore()
	named := strings.ToLower(w) != w && len(w) > 1 && !bindingWords[strings.ToLower(w)]
	return (named || w == "version") && strings.HasSuffix(r.src[:r.pos], w+" ")
}

// counted reads the symbol behind an amount: money, per cent, a unit. before is said first ("dix à ").
func (r *reader) counted(a amount, after, before string) (string, int) {
	sym, n := scanSymbol(after)
	if sym == "" {
		return "", 0
	}
	if c, ok := currencies[sym]; ok {
		if cents := digitRun(after[n:]); a.frac == "" && cents == 2 && sym != "CHF" { // 5€50
			a.frac, n = after[n:n+2], n+2
		}
		per, m := readPer(after[n:])
		return before + c.words(a) + per, n + m
	}
	if rate := percentName(sym); rate != "" {
		return before + a.words(false) + " " + rate, n
	}
	u, ok := units[sym]
	if !ok || after[0] != ' ' && len(sym) == 1 && strings.Contains("KNAF", sym) { // 4K is no temperature
		return "", 0
	}
	if sym == "m" && len(a.frac) == 2 && a.frac[0] != '0' && a.whole != "0" { // 1,80 m
		whole := amount{whole: a.whole}
		return before + whole.words(false) + " " + u.name(whole.plural()) + " " + decimals(a.frac), n
	}
	if cm := digitRun(after[n:]); sym == "m" && cm == 2 && a.frac == "" { // 1m80
		return before + a.words(false) + " " + u.name(a.plural()) + " " + decimals(after[n:n+2]), n + 2
	}
	if rest, ok := strings.CutPrefix(after[n:], "/100 km"); ok { // consumption of fuel
		name := u.name(a.plural()) + " aux cent kilomètres"
		return before + a.words(u.feminine) + " " + name, len(after) - len(rest)
	}
	per, m := readPer(after[n:])
	if m == 0 && strings.HasPrefix(after[n:], ". ") && startsLower(after[n+2:]) { // "5 min. de repos"
		m = 1
	}
	return before + a.words(u.feminine) + " " + u.name(a.plural()) + per, n + m
}

// readPer reads what comes after a slash behind a unit or price: "/kg", "/mois".
func readPer(s string) (string, int) {
	t := strings.TrimPrefix(s, " ")
	t, ok := strings.CutPrefix(t, "/")
	if !ok {
		return "", 0
	}
	t = strings.TrimPrefix(t, " ")
	n := symbolRun(t)
	if n == 0 || !unitEnds(t[n:]) {
		return "", 0
	}
	sym, taken := t[:n], len(s)-len(t)+n
	if u, ok := units[sym]; ok {
		return " par " + u.name(false), taken
	}
	switch sym {
	case "pers":
		return " par personne", taken
	case "an", "mois", "jour", "nuit", "semaine", "heure", "personne", "kilo", "litre", "minute", "seconde",
		"tour":
		return " par " + sym, taken
	}
	return "", 0
}

// rangeEnd finds the second value of "10-15", "10 – 15" or "2010–2015" and the bytes between the two.
func (r *reader) rangeEnd(a amount) (amount, int) {
	s := r.rest()[a.n:]
	gap := dashGap(s)
	if gap == 0 || lawArticle(r.src[:r.pos]) || r.formula() {
		return amount{}, 0
	}
	b := scanAmount(s[gap:])
	if len(b.whole) > 1 && b.whole[0] == '0' { // part of a number with dashes
		return amount{}, 0
	}
	return b, gap
}

// chain reads three or more hyphenated numbers, an ISBN for one, part by part.
func (r *reader) chain(a amount) (string, int) {
	s := r.rest()
	n, parts := a.n, []string{code(a.whole)}
	if a.frac != "" {
		return "", 0
	}
	for n+1 < len(s) && s[n] == '-' && isDigit(rune(s[n+1])) {
		d := digitRun(s[n+1:])
		parts = append(parts, code(s[n+1:n+1+d]))
		n += 1 + d
	}
	if len(parts) < 3 {
		return "", 0
	}
	return strings.Join(parts, ", "), n
}

// shortNumber reads a four-digit service number in pairs after a word such as "appelez": 3949.
func (r *reader) shortNumber(a amount) (string, int) {
	if len(a.whole) != 4 || a.whole[0] != '3' || a.frac != "" || a.n > 5 {
		return "", 0
	}
	words := strings.Fields(strings.ToLower(strings.TrimRight(r.src[:r.pos], " :.")))
	for i := len(words) - 1; i >= 0 && i >= len(words)-3; i-- {
		if isCallVerb(strings.Trim(words[i], ".,:")) {
			return pairs(a.whole), a.n
		}
	}
	return "", 0
}

// readFraction reads 1/2, 3/4, 2/3; other quotients as "n sur m". "2 1/2" is "deux et demi".
func readFraction(s string, a amount) (string, int) {
	if strings.HasPrefix(s[a.n:], " 1/2") && len(a.whole) < 3 && a.frac == "" && !isWord(firstRune(s[a.n+4:])) {
		return a.words(false) + " et demi", a.n + 4
	}
	if a.n+1 >= len(s) || s[a.n] != '/' || !isDigit(rune(s[a.n+1])) {
		return "", 0
	}
	b := scanAmount(s[a.n+1:])
	n := a.n + 1 + b.n
	if len(a.whole) == 4 && len(b.whole) == 4 && a.frac == "" { // a school year: 2024/2025
		return a.words(false) + ", " + b.words(false), n
	}
	simple := a.frac == "" && b.frac == "" && len(a.whole) < 3 && len(b.whole) < 3
	if !simple || b.whole[0] == '0' || a.whole[0] == '0' {
		return a.words(false) + " sur " + b.words(false), n
	}
	top, bottom := atoi(a.whole), atoi(b.whole)
	if top >= bottom || bottom > 10 && top > 1 {
		return a.words(false) + " sur " + b.words(false), n
	}
	switch spoken, m := partOf(s[n:], bottom); {
	case m > 0 && bottom == 2:
		return spoken, n + m
	case m > 0:
		return a.words(false) + plural(" quart", top > 1) + spoken, n + m
	}
	switch bottom {
	case 2:
		return "un demi", n
	case 3:
		return plural(a.words(false)+" tiers", false), n
	case 4:
		return a.words(false) + plural(" quart", top > 1), n
	}
	return a.words(false) + " " + plural(ordinal(b.whole, false), top > 1), n
}

// partOf reads what half or a quarter is taken of: "1/2 tasse" → "une demi-tasse", "1/4 h" → " d'heure".
func partOf(after string, bottom int) (string, int) {
	sym, n := scanSymbol(after)
	u, measured := units[sym]
	w := wordAt(after)
	switch {
	case bottom != 2 && bottom != 4:
		return "", 0
	case measured && bottom == 4:
		if strings.ContainsRune("aehiou", firstRune(u.one)) && u.one != "hectare" {
			return " d'" + u.one, n
		}
		return " de " + u.one, n
	case measured && u.feminine:
		return "une demi-" + u.one, n
	case measured:
		return "un demi-" + u.one, n
	case bottom == 4 || len(w) < 4 || bindingWords[w] || !strings.HasPrefix(after, " "):
		return "", 0
	case isFeminine(w):
		return "une demi-" + w, 1 + letterRun(after[1:])
	}
	return "un demi-" + w, 1 + letterRun(after[1:])
}

func percentName(sym string) string {
	switch sym {
	case "%":
		return "pour cent"
	case "‰":
		return "pour mille"
	}
	return ""
}
