package speechtext

import "strings"

// maxWordDigits is how long a whole number may be and still be read as one number: up to 999 billiards
// (10^18). Anything longer is an identifier and is read digit by digit.
const maxWordDigits = 18

// cardinal returns the French words for a whole number given as ASCII digits: "81" → "quatre-vingt-un".
// It follows the traditional spelling: hyphens below a hundred except around "et"; "vingt" and "cent"
// take their s only when they end the numeral or stand before million, milliard …, never before "mille".
func cardinal(digits string) string {
	digits = strings.TrimLeft(digits, "0")
	switch {
	case digits == "":
		return "zéro"
	case len(digits) > maxWordDigits:
		return spellDigits(digits)
	}
	var parts []string
	for len(digits) > 0 {
		cut := (len(digits) - 1) / 3 * 3
		head, rest := digits[:len(digits)-cut], digits[len(digits)-cut:]
		if n := atoi(head); n > 0 {
			parts = append(parts, scaled(n, cut/3))
		}
		digits = rest
	}
	return strings.Join(parts, " ")
}

// scaled names n (1…999) times a thousand to the given power.
func scaled(n, power int) string {
	switch {
	case power == 0:
		return below1000(n, true)
	case power == 1 && n == 1:
		return "mille"
	case power == 1:
		return below1000(n, false) + " mille"
	}
	name := scaleName(power)
	if n > 1 {
		name += "s"
	}
	return below1000(n, true) + " " + name
}

func scaleName(power int) string {
	return [...]string{"", "mille", "million", "milliard", "billion", "billiard"}[power]
}

// below1000 names 1…999. ends tells whether the numeral may carry the plural s of vingt and cent.
func below1000(n int, ends bool) string {
	hundreds, rest := n/100, n%100
	if hundreds == 0 {
		return below100(rest, ends)
	}
	s := "cent"
	if hundreds > 1 {
		s = below100(hundreds, false) + " cent"
		if rest == 0 && ends {
			s += "s"
		}
	}
	if rest > 0 {
		s += " " + below100(rest, ends)
	}
	return s
}

func below100(n int, ends bool) string {
	if n < 20 {
		return smallNumber(n)
	}
	tens, unit := n/10, n%10
	if tens == 7 || tens == 9 { // soixante-dix, quatre-vingt-dix count on
		tens, unit = tens-1, unit+10
	}
	name := [...]string{
		2: "vingt", 3: "trente",
		4: "quarante", //nolint:misspell // French
		5: "cinquante", 6: "soixante", 8: "quatre-vingt",
	}[tens]
	switch {
	case unit == 0 && tens == 8 && ends:
		return name + "s"
	case unit == 0:
		return name
	case (unit == 1 || unit == 11) && tens != 8:
		return name + " et " + smallNumber(unit)
	}
	return name + "-" + smallNumber(unit)
}

func smallNumber(n int) string {
	return [...]string{
		"zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze",
		"treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
	}[n]
}

// spellDigits reads digits one by one.
func spellDigits(digits string) string {
	words := make([]string, 0, len(digits))
	for _, d := range []byte(digits) {
		words = append(words, smallNumber(int(d-'0')))
	}
	return strings.Join(words, " ")
}

// feminine turns the words of a number into the form that a feminine noun takes: "vingt et un" → "vingt
// et une".
func feminine(words string) string {
	if words == "un" || strings.HasSuffix(words, " un") || strings.HasSuffix(words, "-un") {
		return words + "e"
	}
	return words
}

// ordinal returns "premier", "vingt et unième" … for ASCII digits.
func ordinal(digits string, fem bool) string {
	words := cardinal(digits)
	if words == "un" {
		if fem {
			return "première"
		}
		return "premier"
	}
	switch {
	case strings.HasSuffix(words, "cinq"):
		words += "u"
	case strings.HasSuffix(words, "neuf"):
		words = strings.TrimSuffix(words, "f") + "v"
	case strings.HasSuffix(words, "e"), strings.HasSuffix(words, "vingts"), strings.HasSuffix(words, "cents"),
		strings.HasSuffix(words, "ions"), strings.HasSuffix(words, "iards"):
		words = words[:len(words)-1]
	}
	return words + "ième"
}

// decimals reads what stands after the comma: leading zeros one by one, then up to three digits as a number
// ("3,14": quatorze), longer ones digit by digit.
func decimals(frac string) string {
	rest := strings.TrimLeft(frac, "0")
	zeros := strings.TrimSuffix(strings.Repeat("zéro ", len(frac)-len(rest)), " ")
	switch {
	case rest == "":
		return zeros
	case zeros != "":
		zeros += " "
	}
	if len(rest) > 3 {
		return zeros + spellDigits(rest)
	}
	return zeros + cardinal(rest)
}

// code reads digits whose zeros count: "05" → "zéro cinq", "007" → "zéro zéro sept". A five-digit number
// such as a postal code keeps its thousand: "06000" → "zéro six mille".
func code(digits string) string {
	rest := strings.TrimLeft(digits, "0")
	zeros := len(digits) - len(rest)
	switch {
	case zeros == 0 && len(digits) <= maxWordDigits:
		return cardinal(digits)
	case len(digits) > 5:
		return spellDigits(digits)
	case rest == "":
		return spellDigits(digits)
	}
	return strings.Repeat("zéro ", zeros) + cardinal(rest)
}

// atoi reads a short string of ASCII digits.
func atoi(digits string) int {
	n := 0
	for _, d := range []byte(digits) {
		n = n*10 + int(d-'0')
	}
	return n
}
