package tesseract

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lowerArticles undoes the commonest mistake of the French model, which takes the l of "le" and "l'eau" for a capital
// in the middle of a sentence. A capital stays at the beginning of a line, after anything but a letter in lower case, and
// before a name: "le Bon", "Jean Le Bon".
func (r *reading) lowerArticles() {
	articles := []string{"Le", "La", "Les", "Là", "Leur", "Leurs", "Lui"}
	for i := 1; i < len(r.words); i++ {
		w, before := &r.words[i], r.words[i-1]
		last, _ := utf8.DecodeLastRuneInString(before.text)
		if before.line != w.line || !unicode.IsLower(last) {
			continue
		}
		after := ""
		switch rest, elided := elided(w.text); {
		case elided:
			after = rest
		case !slices.Contains(articles, strings.TrimRight(w.text, ".,;:!?")):
			continue
		case i+1 < len(r.words):
			after = r.words[i+1].text
		}
		if first, _ := utf8.DecodeRuneInString(after); !unicode.IsUpper(first) {
			w.text = "l" + w.text[1:]
		}
	}
}

// elided returns what follows in "L'eau".
func elided(word string) (rest string, ok bool) {
	for _, article := range []string{"L'", "L’"} {
		if rest, ok := strings.CutPrefix(word, article); ok {
			return rest, true
		}
	}
	return "", false
}
