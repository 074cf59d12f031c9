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

// abbreviations are grouped by the letters that they start with, in lower case; longer forms first.
var abbreviations = byLetters([]abbreviation{ //nolint:gochecknoglobals // a table that nobody writes to
	{"MM.", "messieurs", aName}, {"M.", "monsieur", aName}, {"Mr.", "monsieur", aName}, {"Mr", "monsieur", aName},
	{"Mmes.", "mesdames", anything}, {"Mmes", "mesdames", anything}, {"Mme.", "madame", aName},
	{"Mme", "madame", anything}, {"Mlles", "mesdemoiselles", anything}, {"Mlle.", "mademoiselle", aName},
	{"Mlle", "mademoiselle", anything}, {"Drs", "docteurs", aName}, {"Dr.", "docteur", aName},
	{"Dre", "docteure", aName}, {"Dr", "docteur", anything}, {"Prs", "professeurs", aName},
	{"Pr.", "professeur", aName}, {"Pr", "professeur", aName}, {"Prof.", "professeur", aName}, {"Me", "maître", aName},
	{"Mgr.", "monseigneur", aName}, {"Mgr", "monseigneur", anything},
	{"Ste.", "sainte", aName}, {"St.", "saint", aName}, {"Ste", "sainte", aName}, {"St", "saint", aName},
	{"Stes", "saintes", aName}, {"Sts", "saints", aName}, {"Gal.", "général", aName}, {"Cdt", "commandant", aName},

	{"p. ex.", "par exemple", anything}, {"p.ex.", "par exemple", anything}, {"par ex.", "par exemple", anything},
	{"pp.", "pages", aNumber}, {"pp", "pages", aNumber}, {"p.", "page", aNumber}, {"p", "page", aNumber},
	{"art.", "article", aNumber}, {"al.", "alinéa", aNumber}, {"chap.", "chapitre", anything},
	{"vol.", "volume", aNumber}, {"th.", "thermostat", aNumber}, {"fig.", "figure", anything}, {"tabl.", "tableau", aNumber},
	{"éd.", "édition", anything}, {"cf.", "voir", anything}, {"cf", "voir", anything}, {"ibid.", "au même endroit", anything},
	{"réf.", "référence", anything}, {"ann.", "annexe", aNumber}, {"t.", "tome", aNumber}, {"ch.", "chapitre", aNumber},
	{"n°s", "numéros", anything}, {"n°", "numéro", anything}, {"no.", "numéro", aNumber}, {"No", "numéro", aNumber},
	{"nos", "numéros", aNumber},

	{"av. J.-C.", "avant Jésus-Christ", anything}, {"av. J.C.", "avant Jésus-Christ", anything},
	{"av. JC", "avant Jésus-Christ", anything}, {"apr. J.-C.", "après Jésus-Christ", anything},
	{"ap. J.-C.", "après Jésus-Christ", anything}, {"ap. JC", "après Jésus-Christ", anything},
	{"ap. J.C.", "après Jésus-Christ", anything}, {"J.-C.", "Jésus-Christ", anything}, {"apr.", "après", anything},
	{"av.", "avenue", aPlace}, {"ave.", "avenue", aPlace}, {"bd.", "boulevard", aPlace}, {"bd", "boulevard", aPlace},
	{"bld", "boulevard", aPlace}, {"bvd", "boulevard", aPlace}, {"blvd", "boulevard", aPlace},
	{"boul.", "boulevard", aPlace}, {"pl.", "place", aPlace}, {"fg", "faubourg", aPlace}, {"fbg", "faubourg", aPlace},
	{"imp.", "impasse", aPlace}, {"rte", "route", aPlace}, {"all.", "allée", aPlace}, {"bât.", "bâtiment", anything},
	{"appt.", "appartement", anything}, {"appt", "appartement", anything}, {"apt.", "appartement", aNumber},
	{"ét.", "étage", aNumber}, {"dép.", "département", anything}, {"arr.", "arrondissement", anything},

	{"tél.", "téléphone", anything}, {"tél", "téléphone", anything}, {"c.-à-d.", "c'est-à-dire", anything},
	{"c.-à.-d.", "c'est-à-dire", anything}, {"c-à-d.", "c'est-à-dire", anything}, {"c-à-d", "c'est-à-dire", anything},
	{"càd", "c'est-à-dire", anything}, {"i.e.", "c'est-à-dire", anything}, {"e.g.", "par exemple", anything},
	{"ex.", "exemple", anything}, {"env.", "environ", anything}, {"max.", "maximum", anything},
	{"min.", "minimum", anything}, {"moy.", "moyenne", anything}, {"etc.", "et cétéra", anything},
	{"etc…", "et cétéra", anything}, {"etc", "et cétéra", anything}, {"s.v.p.", "s'il vous plaît", anything},
	{"svp", "s'il vous plaît", anything}, {"SVP", "s'il vous plaît", anything}, {"s.t.p.", "s'il te plaît", anything},
	{"stp", "s'il te plaît", anything}, {"STP", "s'il te plaît", anything}, {"RDV", "rendez-vous", anything},
	{"rdv", "rendez-vous", anything}, {"qqch.", "quelque chose", anything}, {"qqch", "quelque chose", anything},
	{"qqn", "quelqu'un", anything}, {"qqs", "quelques", anything}, {"qq.", "quelques", anything}, {"vs.", "contre", anything},
	{"vs", "contre", anything}, {"Cie.", "compagnie", anything}, {"Cie", "compagnie", anything},
	{"Sté", "société", anything}, {"Éts", "établissements", anything}, {"Ets", "établissements", anything},
	{"NB", "nota bene", anything}, {"N.B.", "nota bene", anything}, {"P.-S.", "post-scriptum", anything},
	{"resp.", "respectivement", anything}, {"hab.", "habitants", anything}, {"dept", "département", anything},
	{"qté", "quantité", anything}, {"pers.", "personnes", anything}, {"cad", "c'est-à-dire", anything},
	{"bcp", "beaucoup", anything}, {"tjs", "toujours", anything}, {"pcq", "parce que", anything},
	{"enr.", "enregistré", anything}, {"nb.", "nombre", anything}, {"tlj", "tous les jours", anything},
	{"ok", "okay", anything}, {"OK", "okay", anything}, {"km", "kilomètres", anything}, {"kg", "kilogrammes", anything},

	{"janv.", "janvier", afterDay}, {"févr.", "février", afterDay}, {"fév.", "février", afterDay},
	{"avr.", "avril", afterDay}, {"juil.", "juillet", afterDay}, {"sept.", "septembre", afterDay},
	{"oct.", "octobre", afterDay}, {"nov.", "novembre", afterDay}, {"déc.", "décembre", afterDay},
})

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
		if strings.HasSuffix(a.written, ".") && keepsStop(a, s[n:]) {
			return a.spoken + ".", n
		}
		return a.spoken, n
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
	if isLetter(lastRune(a.written)) && (isWord(firstRune(after)) && a.need != aNumber || strings.HasPrefix(after, "'")) {
		return false
	}
	if isLetter(lastRune(a.written)) && strings.HasPrefix(after, "-") && a.need != aName {
		return false
	}
	next := strings.TrimLeft(after, " ")
	switch a.need {
	case aName:
		joined := strings.TrimPrefix(next, "-")
		return unicode.IsUpper(firstRune(joined)) && (after != next || joined != next || strings.HasSuffix(a.written, "."))
	case aNumber:
		return next != "" && isDigit(rune(next[0])) && (after != next || strings.HasSuffix(a.written, "."))
	case aPlace:
		return after != next && (unicode.IsUpper(firstRune(next)) || isLinkWord(wordAt(next)))
	case afterDay:
		p := strings.TrimRight(r.src[:r.pos], " ")
		return p != "" && (isDigit(rune(p[len(p)-1])) || strings.HasSuffix(p, "1er") || isDayName(wordAt(p)))
	default:
		return true
	}
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
	case "cf.", "p. ex.", "p.ex.", "par ex.", "ex.", "env.", "c.-à-d.", "i.e.", "e.g.", "tél.", "chap.", "fig.", "réf.", "éd.",
		"resp.", "qq.", "vs.", "bât.", "apr.", "nb.":
		return false
	}
	return true
}
