package speechtext

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

var romanOrdinal = regexp.MustCompile(`^([IVXLCDM]+)(ers?|res?|ères?|e|ème|eme|nde?)`)

// romanNouns stand before a Roman number.
//
//nolint:gochecknoglobals // read-only
var romanNouns = set(`
 chapitre chapitres tome tomes livre volume acte actes scène partie titre section annexe article
 figure tableau planche étape phase niveau type catégorie classe groupe leçon épisode saison canto
 chant psaume pape roi reine empereur henri louis charles françois philippe napoléon jean-paul paul
 benoît pie léon grégoire clément innocent urbain boniface alexandre nicolas guillaume élisabeth
 elizabeth édouard george georges richard jacques frédéric léopold albert baudouin hassan mohammed
 ramsès ptolémée catherine sixte jules adrien célestin martin ferdinand alphonse carlos isabelle
 gustave christian joseph pierre jean robert hugues clovis dagobert childéric childebert thierry
 constantin théodose mehmed mourad soliman amenhotep thoutmosis séthi cléopâtre vatican apollo
 république empire guerre dynastie`)

// roman reads Roman numbers where they must be numbers: with an ordinal ending (XXIe, Ier), behind a
// ruler's name or a word such as "chapitre", and I, V, X compounds such as "XIV" that spell no word.
// "DIX", "MIDI", "CD", "I" stay words.
func (r *reader) roman() (string, int) {
	s := r.rest()
	if c := firstRune(s); !strings.ContainsRune("IVXLCDM", c) || isWord(r.before()) {
		return "", 0
	}
	if spoken, n := r.romanOrdinal(); n > 0 {
		return spoken, n
	}
	n := letterRun(s)
	value := romanValue(s[:n])
	if value == 0 || isDigit(firstRune(s[n:])) || strings.HasPrefix(s[n:], "'") {
		return "", 0
	}
	last := r.before()
	behind := r.writtenBefore()
	named := last == ' ' && (n > 1 || strings.Contains("IVX", s[:n])) && romanNouns[strings.ToLower(behind)]
	switch {
	case n == 1 && (!named || strings.HasPrefix(strings.TrimLeft(s[n:], " "), "=")):
		return "", 0
	case named:
	case strings.Trim(s[:n], "IVX") != "":
		if n < 5 || s[0] != 'M' {
			return "", 0
		}
	case s[:n] == "XX", s[:n] == "XXX", s[:n] == "VI" && !capitalized(behind):
		return "", 0
	}
	return cardinal(strconv.Itoa(value)), n
}

func (r *reader) romanOrdinal() (string, int) {
	s := r.rest()
	m := romanOrdinal.FindStringSubmatch(s)
	if m == nil || letterRun(s) != len(m[0]) {
		return "", 0
	}
	value := romanValue(m[1])
	if value == 0 || len(m[1]) == 1 && strings.Contains("CDLM", m[1]) {
		return "", 0
	}
	if m[0] == "Ire" && !romanFollower(wordAt(s[3:])) {
		return "", 0
	}
	spoken := ordinalWord(strconv.Itoa(value), m[2])
	if spoken == "" {
		return "", 0
	}
	if rest := s[len(m[0]):]; strings.HasPrefix(rest, " s.") { // XIXe s.
		if strings.TrimSpace(rest[3:]) == "" {
			return spoken + " siècle.", len(m[0]) + 3
		}
		return spoken + " siècle", len(m[0]) + 3
	}
	return spoken, len(m[0])
}

func romanFollower(w string) bool {
	switch w {
	case "république", "dynastie", "guerre", "classe", "partie", "internationale":
		return true
	}
	return false
}

func capitalized(w string) bool { return unicode.IsUpper(firstRune(w)) && len(w) > 2 }

// romanValue returns the value of a well-formed Roman number below 4000, else 0.
func romanValue(s string) int {
	total, rest := 0, s
	for _, p := range [...]struct {
		s string
		v int
		n int
	}{
		{"M", 1000, 3},
		{"CM", 900, 1},
		{"D", 500, 1},
		{"CD", 400, 1},
		{"C", 100, 3},
		{"XC", 90, 1},
		{"L", 50, 1},
		{"XL", 40, 1},
		{"X", 10, 3},
		{"IX", 9, 1},
		{"V", 5, 1},
		{"IV", 4, 1},
		{"I", 1, 3},
	} {
		for n := 0; n < p.n && strings.HasPrefix(rest, p.s); n++ {
			rest, total = rest[len(p.s):], total+p.v
		}
	}
	if rest != "" || s == "" || toRoman(total) != s {
		return 0
	}
	return total
}

// toRoman writes a number, so that only the well-formed spelling of a value is taken.
func toRoman(n int) string {
	ones := [...]string{"", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"}
	tens := [...]string{"", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"}
	hundreds := [...]string{"", "C", "CC", "CCC", "CD", "D", "DC", "DCC", "DCCC", "CM"}
	return strings.Repeat("M", n/1000) + hundreds[n/100%10] + tens[n/10%10] + ones[n%10]
}
