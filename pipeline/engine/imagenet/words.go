package imagenet

import (
	"context"
	_ "embed"
	"strings"
)

// French words and the English nouns that WordNet knows them by.
//
//go:embed words.tsv
var wordsTSV string

// Translator turns a word of French into English.
type Translator interface {
	Translate(ctx context.Context, text, from, to string) (string, error)
}

// Lexicon is what labels mean in English. A French word for something that the classifier cannot see is in it too, so
// that it is not taken for an English word that is spelt alike: "main" is not "main".
type Lexicon struct {
	nouns   map[string][]string // that the classifier knows; none for the others
	english map[string]string
}

// NewLexicon returns the table of common words.
func NewLexicon() *Lexicon {
	l := &Lexicon{nouns: map[string][]string{}, english: map[string]string{}}
	for line := range strings.Lines(wordsTSV) {
		french, english, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok && french == "" || strings.HasPrefix(french, "#") {
			continue
		}
		if unknown, ok := strings.CutPrefix(english, "!"); ok {
			l.nouns[french], l.english[french] = nil, unknown
			continue
		}
		l.nouns[french] = strings.Split(english, "|")
		l.english[french] = l.nouns[french][0]
	}
	return l
}

// English returns the English of a French label that is in the table.
func (l *Lexicon) English(label string) (string, bool) {
	for _, form := range forms(label) {
		if english, ok := l.english[form]; ok {
			return english, true
		}
	}
	return "", false
}

// find returns the English nouns of a label, and whether it is in the table at all.
func (l *Lexicon) find(label string) ([]string, bool) {
	for _, form := range forms(label) {
		if nouns, ok := l.nouns[form]; ok {
			return nouns, true
		}
	}
	return nil, false
}

// forms returns a label in lower case without its article, and the singulars that it may be the plural of.
func forms(label string) []string {
	label = strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(label, "’", "'")), " "))
	for _, prefix := range []string{"photo d'", "photo de ", "image d'", "image de "} {
		if rest, ok := strings.CutPrefix(strings.TrimPrefix(label, "une "), prefix); ok {
			label = rest
		}
	}
	for _, article := range []string{"un ", "une ", "le ", "la ", "les ", "l'", "des ", "du ", "de la ", "de l'"} {
		if rest, ok := strings.CutPrefix(label, article); ok {
			label = rest
			break
		}
	}
	out := []string{label}
	for _, rule := range [][2]string{{"aux", "al"}, {"s", ""}, {"x", ""}} {
		if stem, ok := strings.CutSuffix(label, rule[0]); ok && stem != "" {
			out = append(out, stem+rule[1])
		}
	}
	return out
}

// plain takes away what a translator adds around a noun.
func plain(english string) string {
	english = strings.ToLower(strings.Trim(strings.TrimSpace(english), ".!?*"))
	for _, article := range []string{"the ", "a ", "an ", "some "} {
		english = strings.TrimPrefix(english, article)
	}
	return english
}
