package translation

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzProtect cuts texts and puts them together again.
func FuzzProtect(f *testing.F) {
	for _, text := range []string{
		"", "Bonjour.", "Voir https://exemple.fr/a?b=c&d=1, puis écrire à jean.dupont@exemple.fr !",
		"- {nom} a %d points, %1$s\r\n\r\n```go\nfmt.Println(1)\n```\nFin.", "<p>Le <b>chat</b>&nbsp;dort.</p>\t| a | b |",
		"M. Dupont est là. Il a 3,5 kg et/ou 12/03/2024.", "\ue000\uf000x\uffff", "x{a}y`b`c<d>e", strings.Repeat("a, ", 400),
	} {
		f.Add(text, 0)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		if !utf8.ValidString(text) {
			return // JSON has none
		}
		var b strings.Builder
		for _, p := range segment(text, size%2000) {
			if p.keep != "" {
				b.WriteString(p.keep)
				continue
			}
			whole := p.restore(p.text)
			b.WriteString(whole)
			if strings.ContainsAny(p.text, "\n\r") {
				t.Errorf("a piece has a line break: %q", p.text)
			}
			if parts := p.shatter(); strings.Join(parts, "") != whole {
				t.Errorf("%q falls into %q", whole, parts)
			}
			if !faithful(p.text, p.text) {
				t.Errorf("%q is not faithful to itself", p.text)
			}
		}
		if b.String() != text {
			t.Errorf("%q\nbecame\n%q", text, b.String())
		}
	})
}
