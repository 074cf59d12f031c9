package speechtext

import (
	"strings"
	"unicode"
)

// punctuate gives the words their final form: single spaces, one mark where several met, "mot, mot." and
// "mot ?" as French sets them, and nothing but words and pauses.
func punctuate(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	mark, space := rune(0), false
	var prev rune
	for i, c := range s {
		switch {
		case isMark(c):
			if c == '.' && mark == '.' && i > 0 && s[i-1] == '.' {
				c = '…'
			}
			if weight(c) > weight(mark) {
				mark = c
			}
			continue
		case c == ' ' || unicode.IsSpace(c):
			space = true
			continue
		}
		if b.Len() > 0 {
			writeGap(&b, mark, space)
		}
		mark, space = 0, false
		if isWord(c) || (c == '-' || c == '\'') && isLetter(prev) {
			b.WriteRune(c)
		}
		prev = c
	}
	if b.Len() > 0 && mark != 0 {
		writeMark(&b, mark)
	}
	return b.String()
}

func writeGap(b *strings.Builder, mark rune, space bool) {
	if mark != 0 {
		writeMark(b, mark)
		space = true
	}
	if space {
		b.WriteByte(' ')
	}
}

func writeMark(b *strings.Builder, mark rune) {
	if strings.ContainsRune("?!;:", mark) {
		b.WriteByte(' ')
	}
	b.WriteRune(mark)
}

func isMark(c rune) bool { return strings.ContainsRune(".,;:!?…", c) }

// weight ranks marks: of several that meet, the heaviest is kept.
func weight(c rune) int {
	switch c {
	case ',':
		return 1
	case ';':
		return 2
	case ':':
		return 3
	case '.':
		return 4
	case '…':
		return 5
	case '!':
		return 6
	case '?':
		return 7
	}
	return 0
}
