package speechtext

import (
	"html"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalize folds the many ways to type one thing: one kind of space, of apostrophe, of dash and of
// digit. Quotation marks, emoji, control and formatting characters disappear.
func normalize(text string) string {
	text = norm.NFC.String(strings.ToValidUTF8(text, " "))
	text = dropEmoticons(text)
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		if r < 0x80 && r >= ' ' && r != '"' {
			b.WriteByte(byte(r))
			continue
		}
		b.WriteString(foldRune(r))
	}
	return foldSpaces(foldLines(tidyPowers(stripTags(b.String()))))
}

func foldSpaces(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

// tidyPowers makes one exponent of superscripts that were typed one by one.
func tidyPowers(s string) string {
	if !strings.Contains(s, "^") {
		return s
	}
	s = strings.NewReplacer("^-²", "^-2", "^-³", "^-3", "^-^", "^-").Replace(s)
	return s
}

var (
	knownTag = regexp.MustCompile(`(?i)</?(?:b|i|em|strong|br|p|div|span|a|h[1-6]|ul|ol|li|table|tr|td|th|` +
		`tbody|thead|code|pre|img|hr|sub|sup|u|s|del|ins|mark|small|blockquote|center|font|` +
		`details|summary)(?:\s[^<>]*)?/?>`)
	entity = regexp.MustCompile(`&(?:#\d{1,6}|#x[0-9a-fA-F]{1,5}|[a-zA-Z]{2,8});`)
)

// stripTags removes HTML tags and resolves entities.
func stripTags(s string) string {
	if strings.Contains(s, "<") {
		s = knownTag.ReplaceAllString(s, " ")
	}
	if strings.Contains(s, "&") && entity.MatchString(s) {
		s = entity.ReplaceAllStringFunc(s, func(e string) string {
			var b strings.Builder
			for _, c := range html.UnescapeString(e) {
				b.WriteString(foldRune(c))
			}
			return b.String()
		})
	}
	return s
}

// foldRune returns what a character is replaced by.
func foldRune(r rune) string {
	switch r {
	case '\n', '\u2028', '\u2029':
		return "\n"
	case '’', 'ʼ', '‘', '′', '´':
		return "'"
	case '"', '«', '»', '“', '”', '„', '‟', '‹', '›', '″':
		return " "
	case '‐', '‑', '‒':
		return "-"
	case '–', '—', '―':
		return "–"
	case '²', '³', '°', '…', '€', '£', '¥', '‰', '§', '−', '×', '÷', '±', '≈',
		'≠', '≤', '≥', '→', '⇒', '√', '∞', 'µ':
		return string(r)
	case '⁻':
		return "^-"
	case '¹', '⁰', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹':
		return "^" + norm.NFKC.String(string(r))
	case 'π':
		return "pi"
	case '½':
		return " 1/2"
	case '¼':
		return " 1/4"
	case '¾':
		return " 3/4"
	case '⁄', '∕':
		return "/"
	case '•', '·', '●', '▪', '◦', '‣':
		return " "
	}
	return foldClass(r)
}

func foldClass(r rune) string {
	switch {
	case unicode.IsSpace(r):
		return " "
	case unicode.IsLetter(r) && r < 0x250, r >= 0x300 && r < 0x370:
		return string(r)
	}
	folded := norm.NFKC.String(string(r))
	var b strings.Builder
	for _, c := range folded {
		switch {
		case unicode.IsLetter(c), unicode.IsMark(c) && !variation(c), c >= ' ' && c < 0x7f:
			b.WriteRune(c)
		case unicode.Is(unicode.Nd, c):
			b.WriteByte('0' + digitValue(c))
		case unicode.IsSpace(c):
			b.WriteByte(' ')
		case unicode.Is(unicode.Pd, c):
			b.WriteByte('-')
		case unicode.Is(unicode.Cf, c), variation(c):
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// variation tells the marks that only ask for a coloured glyph.
func variation(r rune) bool {
	return r >= 0xfe00 && r <= 0xfe0f || r == 0x20e3 || r >= 0xe0100 && r <= 0xe01ef
}

// digitValue counts back to the zero of a script's digits.
func digitValue(r rune) byte {
	v := byte(0)
	for v < 9 && unicode.Is(unicode.Nd, r-rune(v)-1) {
		v++
	}
	return v
}

// foldLines makes a pause of each line end that stands after a word, and collapses spaces.
func foldLines(s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	lines := strings.Split(s, "\n")
	var b strings.Builder
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		b.WriteString(line)
		if i == len(lines)-1 {
			break
		}
		next := strings.TrimSpace(lines[i+1])
		switch last := lastRune(line); {
		case next == "" && (unicode.IsLetter(last) || isDigit(last)):
			b.WriteByte('.')
		case !unicode.IsLower(firstRune(next)) && (unicode.IsLetter(last) || isDigit(last)):
			b.WriteByte(',')
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// dropEmoticons removes :-) and its kin where they stand alone.
func dropEmoticons(s string) string {
	if !strings.ContainsAny(s, ":;<^=") {
		return s
	}
	fields := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\n' })
	for _, f := range fields {
		if isEmoticon(strings.TrimRight(f, ".,!?")) {
			s = replaceField(s, strings.TrimRight(f, ".,!?"))
		}
	}
	return s
}

// replaceField removes a word that stands between spaces.
func replaceField(s, word string) string {
	from := 0
	for {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return s
		}
		i += from
		before := i == 0 || s[i-1] == ' ' || s[i-1] == '\n'
		end := i + len(word)
		after := end == len(s) || strings.IndexByte(" \n.,!?", s[end]) >= 0
		if before && after {
			s = s[:i] + s[end:]
			from = i
			continue
		}
		from = end
	}
}

func isEmoticon(w string) bool {
	switch w {
	case "<3", "</3", "^^", "^_^", "xD", "XD", "=)", "=D", ":'(", ":'-(", ":'(((", "o_O", "-_-":
		return true
	}
	if len(w) < 2 || len(w) > 6 || w[0] != ':' && w[0] != ';' {
		return false
	}
	rest := strings.TrimPrefix(w[1:], "-")
	if len(rest) == 1 {
		return strings.Contains(")(DPpoO/|*", rest)
	}
	return rest != "" && (strings.Trim(rest, ")") == "" || strings.Trim(rest, "(") == "")
}
