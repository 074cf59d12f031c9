package speechtext

import (
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain returns the words of a stretch of Markdown that holds no code block. midLine says that it starts
// inside a line. Lines end as they are heard: a heading, entry or paragraph with a full stop, a line of
// verse with a pause.
func plain(src string, midLine bool) string {
	var b strings.Builder
	lines := strings.SplitAfter(src, "\n")
	for i, line := range lines {
		text, full := plainLine(line, midLine && i == 0)
		if text == "" {
			continue
		}
		b.WriteString(text)
		next := ""
		for j := i + 1; j < len(lines) && next == ""; j++ {
			next = strings.TrimSpace(lines[j])
		}
		if strings.HasSuffix(line, "\n") {
			b.WriteString(lineEnd(text, full || i+1 < len(lines)-1 && strings.TrimSpace(lines[i+1]) == "", next))
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// lineEnd returns the mark to add behind a line that has none.
func lineEnd(text string, full bool, next string) string {
	last := lastRune(strings.TrimRight(text, "\"'»”) "))
	if !isWord(last) && last != '%' && last != '€' && last != '°' {
		return ""
	}
	switch {
	case full || next == "":
		return "."
	case !unicode.IsLower(firstRune(next)):
		return ","
	}
	return ""
}

// plainLine returns the words of one line, and whether it is a heading, list entry or table row.
func plainLine(line string, midLine bool) (text string, full bool) {
	line = strings.TrimRight(line, " \t\r\n")
	if midLine {
		return strings.TrimSpace(inline(line)), false
	}
	k := lineKind(line)
	switch trimmed := strings.TrimSpace(line); {
	case !k.whole:
		text = inline(line[k.marker:])
		if k.number != "" {
			text = strings.TrimRight(k.number, ".)") + ". " + text
		}
		text = strings.TrimRight(text, "# ")
		return text, k.ends
	case strings.HasPrefix(trimmed, "|") && !ruleForm.MatchString(line):
		return tableRow(trimmed), true
	}
	return "", false
}

// tableRow reads the cells of a row: the first names it, the others follow with pauses.
func tableRow(row string) string {
	var cells []string
	for cell := range strings.SplitSeq(strings.Trim(row, "| "), "|") {
		if cell = strings.TrimSpace(inline(cell)); cell != "" {
			cells = append(cells, cell)
		}
	}
	return strings.Join(cells, ", ")
}

// inline removes the markup inside a line and keeps its words.
func inline(s string) string {
	var b strings.Builder
	prev := ' '
	for len(s) > 0 {
		if n, _ := span(s, true); n > 0 {
			b.WriteString(spanText(s[:n]))
			s, prev = s[n:], 'x'
			continue
		}
		c, size := utf8.DecodeRuneInString(s)
		next := firstRune(s[size:])
		switch {
		case c == '\\' && next < utf8.RuneSelf && unicode.IsPunct(next) && next != '\\':
			b.WriteRune(next)
			size++
		case c == '*', c == '~' && next == '~', c == '~' && prev == '~':
			if c == '*' && isSpaceOrDigit(prev) && isSpaceOrDigit(next) {
				b.WriteRune(c)
			}
		case c == '_' && (!isWord(prev) || !isWord(next)):
		case c == '`':
		default:
			b.WriteString(s[:size])
		}
		s, prev = s[size:], c
	}
	return html.UnescapeString(b.String())
}

func isSpaceOrDigit(c rune) bool { return c == ' ' || isDigit(c) }

// spanText returns what is said of a span.
func spanText(s string) string {
	switch s[0] {
	case '`':
		return codeText(strings.Trim(s, "` "))
	case '!':
		return ""
	case '[':
		if strings.HasPrefix(s, "[^") {
			return ""
		}
		text := s[1 : closing(s, '[', ']')-1]
		return inline(text)
	case '<':
		if urlSpan.MatchString(s) && !tagForm.MatchString(s) {
			return strings.TrimPrefix(s[1:len(s)-1], "mailto:")
		}
		if strings.HasPrefix(strings.ToLower(s), "<br") {
			return ", "
		}
		return ""
	}
	return mathText(s)
}

// codeText makes inline code sayable: names as words, dots as "point", a call without its parentheses.
func codeText(code string) string {
	if i := strings.IndexByte(code, '('); i > 0 {
		code = code[:i]
	}
	code = strings.NewReplacer("_", " ", "--", " ").Replace(code)
	return dotName.ReplaceAllString(code, "$1 point $2")
}

var (
	dotName  = regexp.MustCompile(`(\p{L})\.(\p{L})`)
	fraction = regexp.MustCompile(`\\d?frac\{([^{}]*)\}\{([^{}]*)\}`)
	macro    = regexp.MustCompile(`\\[A-Za-z]+`)
)

// mathText makes a LaTeX formula sayable as far as signs go.
func mathText(s string) string {
	s = strings.NewReplacer("{,}", ",", `\(`, "", `\)`, "", `\[`, "", `\]`, "", "$", "").Replace(s)
	s = fraction.ReplaceAllString(s, "$1 sur $2")
	s = strings.NewReplacer(
		`\times`, "×", `\cdot`, "×", `\div`, "÷", `\leq`, "≤", `\geq`, "≥", `\le`, "≤", `\ge`, "≥", `\neq`, "≠",
		`\approx`, "≈", `\pm`, "±", `\sqrt`, "√", `\infty`, "∞", `\pi`, "pi", `\alpha`, "alpha", `\beta`, "bêta",
		`\Delta`, "delta", `\lambda`, "lambda",
	).Replace(s)
	s = macro.ReplaceAllString(s, "")
	return strings.NewReplacer("{", " ", "}", " ", `\`, "").Replace(s)
}
