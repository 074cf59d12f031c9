package speechtext

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
)

// FuzzSplitter cuts a text at random places: the source comes out whole, and the chunks never depend on
// the cuts.
func FuzzSplitter(f *testing.F) {
	f.Add("Bonjour M. Dupont, il est 14h30. « Vraiment ? » dit-il.\n\n- **un** [lien](http://a.fr)\n", uint64(1))
	f.Add("```go\nx := 1\n```\n| a | b |\n|---|---|\n1. Faites ceci : `code`, puis cela", uint64(2))
	f.Add("été à l'œuvre… 😀 \xff\xc3 (3,14 €) etc. Fin", uint64(3))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		checkSplit(t, text, rand.New(rand.NewPCG(seed, 7)))
	})
}

// FuzzVerbalize asserts that what is said holds words and pauses only, and that saying it again changes
// nothing.
func FuzzVerbalize(f *testing.F) {
	f.Add("Le 12/03/2024 à 14h30, 1 234,50 € (−5 °C), Louis XIV, SNCF, n° 5, J.-P. & A.D.N., 3/4, 06 12 34 56 78")
	f.Add("https://a.fr jean@b.fr v1.2.3 192.168.0.1 2^10 ½ 5€/mois #1 C++ ¹²³ 10-12 km/h XXIe av. J.-C. 😀 :-)")
	f.Fuzz(func(t *testing.T, text string) {
		spoken := Verbalize(text, French)
		checkSpoken(t, spoken)
		if again := Verbalize(spoken, French); again != spoken {
			t.Fatalf("not idempotent:\n in  %q\n out %q\n then %q", text, spoken, again)
		}
		english := Verbalize(text, "en")
		if again := Verbalize(english, "en"); again != english {
			t.Fatalf("english not idempotent: %q then %q", english, again)
		}
	})
}

func checkSplit(t *testing.T, text string, rng *rand.Rand) {
	t.Helper()
	whole := split(text)
	var source strings.Builder
	for _, c := range whole {
		if c.Source == "" {
			t.Fatal("a chunk without source")
		}
		source.WriteString(c.Source)
		checkSpoken(t, c.Spoken)
	}
	if source.String() != text {
		t.Fatalf("source lost:\n in %q\nout %q", text, source.String())
	}
	s := New(Options{})
	var parts []Chunk
	for rest := text; rest != ""; {
		n := 1 + rng.IntN(min(9, len(rest)))
		parts = append(parts, s.Push(rest[:n])...)
		rest = rest[n:]
	}
	parts = append(parts, s.Flush()...)
	if len(parts) != len(whole) {
		t.Fatalf("token borders changed the chunks:\n%q\n%q", whole, parts)
	}
	for i := range parts {
		if parts[i] != whole[i] {
			t.Fatalf("token borders changed chunk %d:\n%q\n%q", i, whole[i], parts[i])
		}
	}
}

// checkSpoken fails on anything that a French voice would stumble over.
func checkSpoken(t *testing.T, spoken string) {
	t.Helper()
	for _, c := range spoken {
		if !unicode.IsLetter(c) && !unicode.IsMark(c) && !strings.ContainsRune(" .,;:!?…'-", c) {
			t.Fatalf("%q in %q", c, spoken)
		}
	}
	if strings.Contains(spoken, "  ") || spoken != strings.TrimSpace(spoken) {
		t.Fatalf("loose spaces in %q", spoken)
	}
}

func split(text string) []Chunk {
	s := New(Options{})
	chunks := s.Push(text)
	return append(chunks, s.Flush()...)
}
