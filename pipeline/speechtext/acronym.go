package speechtext

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// wordAcronyms are said as words; the value is the spelling that a French voice says right.
var wordAcronyms = map[string]string{ //nolint:gochecknoglobals // read-only
	"OTAN": "otan", "ONU": "onu", "NASA": "nassa", "SIDA": "sida", "SMIC": "smic", "SAMU": "samu",
	"PACS": "pacs",
	"OVNI": "ovni", "FIFA": "fifa", "UEFA": "uéfa", "CROUS": "crousse", "CAF": "caf", "BAFA": "bafa",
	"CAPES": "capesse",
	"CNIL":  "cnil", "INRIA": "inria", "INSEE": "inssé", "OPEP": "opep", "URSSAF": "urssaf", "SIREN": "sirène",
	"SIRET": "siret", "JSON": "jizone", "RAM": "ram", "ROM": "rom", "SIM": "sim", "PIN": "pine", "LAN": "lane",
	"WIFI": "wi-fi", "GIF": "gif", "UNICEF": "unicef", "UNESCO": "unesco", "COVID": "covid", "LASER": "laser",
	"RADAR": "radar", "MEDEF": "médef", "ADEME": "adème", "CEDEX": "cédex", "ZAC": "zac", "ZUP": "zup",
	"DOM": "dom",
	"TOM": "tom", "FNAC": "fnac", "IKEA": "ikéa", "HEC": "H E C", "ENA": "éna", "INRA": "inra",
	"CERN": "cerne", "ESA": "éza",
	"FLE": "fle", "TIC": "tic", "SCOP": "scop", "EHPAD": "épade", "CHU": "C H U", "BIC": "bic", "DALF": "dalf",
	"DELF": "delf",
	"DRAC": "drac", "DROM": "drom", "ESAT": "ésat", "FAQ": "F A Q", "GAFAM": "gafam", "IBAN": "iban",
	"INPI": "inpi",
	"LED":  "lède", "NFC": "N F C", "OMS": "O M S", "OGM": "O G M", "PUMA": "puma", "RIB": "rib",
	"SEO": "S E O", "VIP": "V I P",
	"ASCII": "aski", "BIOS": "bios", "CAPTCHA": "captcha", "REST": "reste", "SOAP": "soap", "YAML": "yamelle",
	"WEB": "web",
}

// shoutedWords are short French words that are words even in capitals.
//
//nolint:gochecknoglobals // read-only
var shoutedWords = set(`
 oui non pas très trop plus ne ni et ou où or mais donc car le la les un une de des du au aux en y à
 je tu il on nous vous ils elle ce cet ces se sa son ses ma mon mes ta ton tes leur qui que quoi
 dont par pour sur sous avec sans dans chez vers dès tout tous rien bien mal bon mieux moins peu fin
 stop mi midi dix six cinq sept huit neuf deux cent mille ans an jour mois jeu vie mer eau feu air
 art sud nord est ouest si ici là va vas vont fait été être avoir ont ai as a est es sont soit vu lu
 dit mot nom roi loi lit vin pain sel riz thé ami amie rue ville pays chat chien main pied tête cœur
 corps père mère fils vite même déjà hier demain soir matin nuit juin mai mars août info note gare
 menu prix zéro sans sauf hors lire voir dire aller sol ré do fa ut via bis vrai faux ouf aïe ah oh
 eh hé bah zut merci salut bravo allô code aide page joie paix rêve rire peur amour jamais toujours
 attention urgent important danger`)

var dottedInitials = regexp.MustCompile(`^\p{Lu}\.(?:[ -]?\p{Lu}\.)+|^\p{Lu}(?:\.\p{Lu})+\b`)

// initials reads A.D.N., U.S.A., J.-P. and the initial of a name (J. Dupont).
func (r *reader) initials() (string, int) {
	s := r.rest()
	first, size := utf8.DecodeRuneInString(s)
	if !unicode.IsUpper(first) || len(s) < size+1 || s[size] != '.' || isWord(r.before()) {
		return "", 0
	}
	if m := dottedInitials.FindString(s); m != "" {
		var letters []string
		for _, c := range m {
			if unicode.IsLetter(c) {
				letters = append(letters, string(c))
			}
		}
		after := strings.TrimLeft(s[len(m):], " ")
		spoken := strings.Join(letters, " ")
		name := strings.Contains(m, "-") || strings.Contains(m, " ") || len(letters) == 1
		closes := after == "" || !name && unicode.IsUpper(firstRune(after)) && s[len(m)] == ' '
		if closes && strings.HasSuffix(m, ".") {
			spoken += "."
		}
		return spoken, len(m)
	}
	after := strings.TrimPrefix(s[size+1:], " ")
	if strings.ContainsRune("LRD", first) && isDigit(firstRune(after)) { // art. L. 121-1
		return string(first), size + 1
	}
	if after == "" || !unicode.IsUpper(firstRune(after)) || labelNouns[r.wordBefore()] {
		return "", 0
	}
	return string(first), size + 1
}

// labelNouns stand before a letter that is a label, not an initial: "l'option B. Ensuite".
//
//nolint:gochecknoglobals,misspell // read-only French
var labelNouns = set(`
 option vitamine vitamines plan point type groupe classe lettre catégorie choix réponse partie
 section bloc étape ligne variable note annexe niveau série hépatite porte bâtiment hall quai
 terminal solution sur et ou à de la le un une cas formule modèle version indice rang touche format
 taille figure graphique zone salle question`)

// capitals reads a word written in capitals: spelled out if it is an acronym that cannot be said, else as
// a word.
func (r *reader) capitals() (string, int) {
	s := r.rest()
	n := upperRun(s)
	word := s[:n]
	letters := utf8.RuneCountInString(word)
	if letters < 2 || isLetter(r.before()) {
		return "", 0
	}
	after := firstRune(s[n:])
	if after == 's' && letterRun(s) == n+1 { // APIs, PDFs
		return spell(word), n + 1
	}
	if rest := s[n:]; after == 'v' && len(rest) > 1 && isDigit(rune(rest[1])) { // IPv6
		return spell(word) + " V", n + 1
	}
	if isLetter(after) {
		return "", 0
	}
	if w, ok := wordAcronyms[word]; ok {
		return w, n
	}
	lower := strings.ToLower(word)
	if !hasVowel(lower) {
		return spell(word), n
	}
	joined := after == '\'' || r.before() == '\'' && r.shouted
	if shoutedWords[lower] || joined || hasAccent(lower) || (letters > 4 || r.shouted) && sayable(lower) {
		return lower, n
	}
	return spell(word), n
}

// isSpelled tells that s ends with a word of capitals that is said letter by letter.
func isSpelled(s string) bool {
	w := s[len(s)-lastLetterRun(s):]
	sub := reader{src: w + " "}
	spoken, n := sub.capitals()
	return n == len(w) && strings.Contains(spoken, " ")
}

// spell sets letters apart, which a voice then says by their names.
func spell(word string) string {
	letters := make([]string, 0, len(word))
	for _, c := range word {
		letters = append(letters, string(c))
	}
	return strings.Join(letters, " ")
}

func upperRun(s string) int {
	for i, c := range s {
		if !unicode.IsUpper(c) {
			return i
		}
	}
	return len(s)
}

func hasVowel(w string) bool { return strings.ContainsAny(w, "aeiouyéèêëàâäîïôöùûüœæ") }

func hasAccent(w string) bool { return strings.ContainsAny(w, "éèêëàâäîïôöùûüœæç") }

// sayable guesses whether French lips can say a word: no start and no run of consonants that French lacks.
func sayable(w string) bool {
	run, runs := 0, []string{}
	start := -1
	for i, c := range w + "a" {
		if strings.ContainsRune("aeiouyéèêëàâäîïôöùûüœæ", c) {
			if run > 0 {
				runs = append(runs, w[start:min(i, len(w))])
			}
			run, start = 0, -1
			continue
		}
		if run++; start < 0 {
			start = i
		}
		if run > 3 {
			return false
		}
	}
	if len(runs) == 0 || !strings.HasPrefix(w, runs[0]) || len(runs[0]) < 2 {
		return true
	}
	return legalStart(runs[0])
}

func legalStart(cluster string) bool {
	if len(cluster) > 2 {
		switch cluster {
		case "str", "spl", "scr", "spr", "chr", "chl", "phr", "thr", "sch", "spi":
			return true
		}
		return false
	}
	switch cluster[1] {
	case 'r':
		return strings.Contains("bcdfgptv", cluster[:1])
	case 'l':
		return strings.Contains("bcfgps", cluster[:1])
	case 'h':
		return strings.Contains("cpstr", cluster[:1])
	}
	return strings.Contains("st sp sc sm sn qu gn ps pn", cluster)
}

// isShouted tells that a text is written in capitals throughout: several long words and hardly a small
// letter.
func isShouted(s string) bool {
	upper, lower := 0, 0
	for _, c := range s {
		switch {
		case unicode.IsUpper(c):
			upper++
		case unicode.IsLower(c):
			lower++
		}
	}
	return upper >= 8 && upper > 4*lower && strings.Contains(s, " ")
}
