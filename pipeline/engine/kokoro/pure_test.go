package kokoro

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brenda/pipeline"
)

// letters stands in for espeak-ng: the words themselves, in lower case.
func letters(_ context.Context, text string) (string, error) { return strings.ToLower(text), nil }

func TestPunctuationStaysInPlace(t *testing.T) {
	for text, want := range map[string]string{
		"Bonjour, ça va ?":            "bonjour, ça va?",
		"«\u00a0Oui\u00a0», dit-il.":  "“oui”, ditil.",
		`Il dit "non" et part`:        "il dit “non” et part",
		"Attends... quoi ?!":          "attends… quoi?!",
		"Un (deux) trois":             "un (deux) trois",
		"Viens – vite ; là : oui !!!": "viens — vite; là: oui!",
		"— Bonjour.":                  "bonjour.",
		"3,14 et 1.5, voilà":          "3,14 et 1.5, voilà",
		"...":                         "",
		" \n ":                        "",
		"(":                           "(",
		"le t^ʃat d^ʒ a^ɪ":            "le ʧat ʤ I",
		"mot\nautre":                  "mot autre",
		strings.Repeat("a ", 3) + strings.Repeat(", ", 5): "a a a,",
	} {
		got, err := phonemize(t.Context(), text, letters)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

func alphabet() *assets {
	a := &assets{vocabulary: map[rune]int64{}}
	for i, r := range ";:,.!?—…\"()“” abcdefghijklmnopqrstuvwxyzéèàçêʧʤI" {
		a.vocabulary[r] = int64(i + 1)
	}
	return a
}

func TestLongTextIsCutWhereItMay(t *testing.T) {
	a := alphabet()
	text := strings.Repeat("une phrase qui dit quelque chose, et puis encore. ", 20)
	pieces := a.pieces(strings.TrimSpace(text))
	total := 0
	for i, p := range pieces {
		total += len(p.tokens)
		if len(p.tokens) > comfort || p.end != '.' {
			t.Errorf("piece %d: %d tokens, ends with %q", i, len(p.tokens), p.end)
		}
	}
	if want := len([]rune(strings.TrimSpace(text))) - (len(pieces) - 1); total != want { // a space at each border
		t.Errorf("%d tokens, want %d", total, want)
	}
	for _, text := range []string{strings.Repeat("a", 2000), strings.Repeat("ab ", 700), strings.Repeat("a, ", 700)} {
		total = 0
		for _, p := range a.pieces(text) {
			if len(p.tokens) == 0 || len(p.tokens) > maxTokens {
				t.Errorf("%.6q…: piece of %d tokens", text, len(p.tokens))
			}
			for _, id := range p.tokens {
				if id == a.vocabulary['a'] {
					total++
				}
			}
		}
		if want := strings.Count(text, "a"); total != want {
			t.Errorf("%.6q…: %d letters of %d", text, total, want)
		}
	}
}

func FuzzPhonemize(f *testing.F) {
	for _, s := range []string{"", "…", "Bonjour, « toi ».", `"`, "((((", "1,2.3:4", "\xff—\x00", "a,,,b!?…", "— (“a”) —"} {
		f.Add(s)
	}
	a := alphabet()
	f.Fuzz(func(t *testing.T, text string) {
		got, err := phonemize(t.Context(), text, letters)
		if err != nil || strings.Contains(got, "  ") || strings.HasPrefix(got, " ") || strings.HasSuffix(got, " ") {
			t.Fatalf("%q: %q, %v", text, got, err)
		}
		for _, p := range a.pieces(got) {
			if len(p.tokens) == 0 || len(p.tokens) > maxTokens {
				t.Fatalf("%q: piece of %d tokens", text, len(p.tokens))
			}
		}
	})
}

func TestShape(t *testing.T) {
	at := func(ms int) int { return ms * pipeline.OutputRate / 1000 }
	raw := make([]float32, at(1800)) // 400 ms silence, 1 s of tone, 400 ms silence
	for i := at(400); i < at(1400); i++ {
		raw[i] = float32(1.3 * math.Sin(float64(i)/20))
	}
	out := shape(raw, 100*time.Millisecond, 1)
	first, last, peak := speech(out)
	if d := first - at(30); d < -at(6) || d > at(6) {
		t.Errorf("the speech begins at sample %d", first)
	}
	if d := len(out) - last - at(100); d < -at(6) || d > at(6) {
		t.Errorf("%d samples after the speech", len(out)-last)
	}
	if peak > 0.951 {
		t.Errorf("peak %.2f", peak)
	}
	if n, half := len(out), len(shape(raw, 100*time.Millisecond, 2)); n-half != at(50) {
		t.Errorf("at double speed the pause is %d samples shorter", n-half)
	}
	if n := len(shape(raw, time.Second, 1)); n != at(30)+at(1000)+at(1000) { // longer than what the model gave
		t.Errorf("%d samples with a pause of a second", n)
	}
	for _, silent := range [][]float32{nil, make([]float32, 5000)} {
		if out := shape(silent, time.Second, 1); out != nil {
			t.Errorf("silence gives %d samples", len(out))
		}
	}
}

func TestGraphFitsTheProcessor(t *testing.T) {
	dir := t.TempDir()
	if got := filepath.Base(graph(dir, true)); got != modelFile {
		t.Errorf("without a second file: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, vnniFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := filepath.Base(graph(dir, true)); got != vnniFile {
		t.Errorf("with VNNI: %s", got)
	}
	if got := filepath.Base(graph(dir, false)); got != modelFile {
		t.Errorf("without VNNI: %s", got)
	}
}
