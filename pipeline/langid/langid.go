// Package langid tells the language of texts.
package langid

import (
	"strings"
	"sync"

	"github.com/pemistahl/lingua-go"
)

// Identifier tells the language of texts. Its methods may be called from any goroutine.
type Identifier struct {
	mu        sync.Mutex
	detectors map[string]lingua.LanguageDetector // by the languages that they know
}

// New returns an identifier. The language models are loaded when they are first needed.
func New() *Identifier { return &Identifier{detectors: map[string]lingua.LanguageDetector{}} }

// favour is how much likelier than the others the first language is before the text is looked at.
const favour = 1.5

// Identify returns the most likely language of text among those (ISO 639-1; the ones that the models do not know are left
// out). The first is favoured when the text is short. It returns "" for a text without words.
func (i *Identifier) Identify(text string, among []string) string {
	d := i.detector(among)
	if d == nil {
		return ""
	}
	best, most := "", 0.0
	for _, v := range d.ComputeLanguageConfidenceValues(text) {
		code, p := strings.ToLower(v.Language().IsoCode639_1().String()), v.Value()
		if code == among[0] {
			p *= favour
		}
		if p > most {
			best, most = code, p
		}
	}
	return best
}

// detector returns the detector for some languages, nil when fewer than two of them are known.
func (i *Identifier) detector(among []string) lingua.LanguageDetector {
	var known []lingua.Language
	for _, code := range among {
		if l := byCode(code); l != lingua.Unknown {
			known = append(known, l)
		}
	}
	if len(known) < 2 {
		return nil
	}
	key := strings.Join(among, " ")
	i.mu.Lock()
	defer i.mu.Unlock()
	d, ok := i.detectors[key]
	if !ok {
		d = lingua.NewLanguageDetectorBuilder().FromLanguages(known...).Build()
		i.detectors[key] = d
	}
	return d
}

// byCode returns lingua's name of a language.
func byCode(code string) lingua.Language {
	return lingua.GetLanguageFromIsoCode639_1(lingua.GetIsoCode639_1FromValue(strings.ToUpper(code)))
}
