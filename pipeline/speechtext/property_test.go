package speechtext

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// pieces are what texts are generated from: everything that a rule looks at, and what breaks rules.
const pieces = `1 0 12 1234 05 007 2024 3,14 1 234 1.234 -5 −5 +3 1/2 3/4 14h30 14 h 8:05 10h–12h 12/03/2024 2024-03-12 1er 2e 21ème
XXIe IV II I V X CD MIDI DIX Ier Ire € $ £ ¥ % ‰ k€ M€ km kg m² m³ m s h min °C ° L ml Go Hz / // - – — − + = * ** _ __ ~ ~~ ^ |
\ { } [ ] ( ) < > & @ # ' " « » “ ” … ... . , ; : ! ? ?! etc. M. Mme Mme. Dr St St- p. pp. art. av. J.-C. J.-P. J. A.D.N. U.S.A. cf.
n° No tél. env. c.-à-d. bd SNCF ONU OTAN IA API PDFs OUI TRÈS l'ONU d'1 jean@b.fr https://a.fr/x?y=1 www.a.fr a.fr main.go v1.2.3 1.2.3
192.168.0.1 06.12.34.56.78 0612345678 +33 6 12 34 56 78 3949 ½ ² ³ ¹ ⁻ ₂ № ℃ ™ é à œuvre chat le la de Louis chapitre fois heure
voitures 😀 1️⃣ :-) <3 xD → ≈ ± ≤ √ π ٣ Ⅳ 漢字 ﬁ ́ ` + "`" + ` ` + "```" + ` &nbsp; &lt; <b> </b> <br> ![a](b) [a](b) $x$ \frac{1}{2} # ## - 1. 2) c. à s. x 4x4 24/7 24h/24`

func generate(rng *rand.Rand, parts []string) string {
	var b strings.Builder
	for range 1 + rng.IntN(9) {
		b.WriteString(parts[rng.IntN(len(parts))])
		switch rng.IntN(6) {
		case 0:
		case 1:
			b.WriteString("\u202f")
		case 2:
			b.WriteString("\n")
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func TestVerbalizeGenerated(t *testing.T) {
	parts := append(strings.Fields(pieces), "1 234", "+33 6 12 34 56 78", "c. à s.", "\xff", "\n\n", "J.-C.", "\u2002", "\u0085", "\v")
	rng := rand.New(rand.NewPCG(1, 2))
	bad := 0
	for range rounds(t, 3000) {
		text := generate(rng, parts)
		spoken := Verbalize(text, French)
		checkSpoken(t, spoken)
		if again := Verbalize(spoken, French); again != spoken {
			t.Errorf("not idempotent: %q\n → %q\n → %q", text, spoken, again)
			if bad++; bad > 5 {
				t.FailNow()
			}
		}
	}
}

func rounds(t *testing.T, n int) int {
	t.Helper()
	if testing.Short() {
		return n / 10
	}
	return n
}

func TestSplitterGenerated(t *testing.T) {
	parts := append(strings.Fields(pieces), "\n\n", "\n- ", "\n1. ", "\n| a | b |\n", "\n```\n", "une phrase", "et puis", "\xc3", "\u2002", "\u2028", "\u0085", "\v")
	if extra, err := os.ReadFile("testdata/recipe.md"); err == nil {
		parts = append(parts, strings.Fields(string(extra))...)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range rounds(t, 800) {
		text := generate(rng, parts) + generate(rng, parts) + generate(rng, parts)
		checkSplit(t, text, rng)
	}
}

// TestNothingLost speaks generated prose in chunks and as a whole: the words must be the same, each once and in order.
func TestNothingLost(t *testing.T) {
	parts := strings.Fields(`le chat noir dort, puis mange ; il court : vite. Elle chante ! Vraiment ? Oui… (enfin)
 SNCF **gras** alors donc maison jardin, soleil. Nous partons pour demain avec toi qui reste ici`)
	parts = append(parts, "M. Dupont", "douze fois 12 km", "vers 14h30", "p. 12", "chez J.-P. Martin")
	rng := rand.New(rand.NewPCG(5, 6))
	for range rounds(t, 500) {
		var b strings.Builder
		for range 5 + rng.IntN(60) {
			b.WriteString(parts[rng.IntN(len(parts))] + " ")
		}
		var spoken []string
		for _, c := range split(b.String()) {
			spoken = append(spoken, bareWords(c.Spoken)...)
		}
		want := bareWords(Verbalize(plain(b.String(), false), French))
		if strings.Join(spoken, " ") != strings.Join(want, " ") {
			t.Fatalf("of %q\n said %q\n want %q", b.String(), spoken, want)
		}
	}
}

func bareWords(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return !isWord(c) })
}
