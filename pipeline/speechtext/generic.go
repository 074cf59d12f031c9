package speechtext

import (
	"strings"
	"unicode"
)

// readGeneric is one pass for languages without rules of their own: markup and emoji go, digits, units
// and currency signs stay for the voice to read.
func readGeneric(text string) string {
	var b strings.Builder
	space := false
	for _, c := range dropEmoticons(text) {
		switch {
		case unicode.IsSpace(c):
			space = true
			continue
		case unicode.Is(unicode.Cf, c), variation(c):
			continue
		case strings.ContainsRune("*_`~^\\|{}[]<>#", c), unicode.Is(unicode.So, c) && c != '°',
			unicode.Is(unicode.Sk, c),
			c == unicode.ReplacementChar, unicode.IsControl(c):
			space = true
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(c)
	}
	return b.String()
}
