package apertium

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
)

func TestStream(t *testing.T) {
	word, gap := translation.Mark(translation.Word, 25), translation.Mark(translation.Gap, 3)
	for sentence, stream := range map[string]string{
		"Bonjour":              "Bonjour.[][\n]",
		`5 $ [a] {b} ^c/d @<>`: `5 \$ \[a\] \{b\} \^c\/d \@\<\>.[][` + "\n]",
		"voir " + word + " et": "voir zkvfd et.[][\n]",
		"un" + gap + "deux":    "un[3]deux.[][\n]",
		"nul\x00 et\nsaut":     "nul  et saut.[][\n]",
	} {
		got, err := encode(sentence)
		if err != nil || got != stream {
			t.Errorf("%q becomes %q (%v), want %q", sentence, got, err, stream)
		}
		if back := decode(strings.TrimSuffix(got, lastGap)); back != strings.NewReplacer("\x00", " ", "\n", " ").Replace(sentence) {
			t.Errorf("%q comes back as %q", sentence, back)
		}
	}
	for _, sentence := range []string{"un zkvbb", translation.Mark(translation.Word, 144)} {
		if _, err := encode(sentence); err == nil {
			t.Errorf("%q is taken", sentence)
		}
	}
	for stream, want := range map[string]string{
		"y<prn> <det><def> fin.": "y  fin", `\<b\>gras\<\/b\>.`: "<b>gras</b>", "Zkvbd est.": translation.Mark(translation.Word, 1) + " est",
		"sans fin": "sans fin", "a [": "a ", `a\`: `a\`,
	} {
		if got := decode(stream); got != want {
			t.Errorf("%q is read as %q, want %q", stream, got, want)
		}
	}
}

func TestPolish(t *testing.T) {
	for text, want := range map[string]string{
		"Quelle heure?":            "Quelle heure\u00a0?",
		"Le chat dort en le sofa":  "Le chat dort dans le sofa",
		"En les années vingt":      "Dans les années vingt",
		"en le voyant":             "en le voyant",
		"en les lui donnant":       "en les lui donnant",
		"Si il vient":              "S'il vient",
		"¿Que  faire? ¡Rien!":      "Que faire\u00a0? Rien\u00a0!",
		"de l'île . Fin":           "de l'île. Fin",
		"Voilà\u00a0! Déjà\u202f?": "Voilà\u00a0! Déjà\u202f?",
		"http?a=b":                 "http?a=b",
	} {
		if got := polish("fr", text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := polish("en", "What time ? Now ! Well : yes"); got != "What time? Now! Well: yes" {
		t.Errorf("English: %q", got)
	}
	if got := polish("es", "¿Qué hora es ?"); got != "¿Qué hora es?" {
		t.Errorf("Spanish: %q", got)
	}
}

// modes makes a folder with modes of these names.
func modesDir(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		text := "cat '" + dir + "/" + names[0] + ".mode' | cat -n $2 | sort $1 '/'\n"
		if err := os.WriteFile(filepath.Join(dir, n+".mode"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestModes(t *testing.T) {
	dir := modesDir(t, "fra-cat", "fr-es", "spa-eng", "eng-spa", "cat-eng_US", "eo-en-bytecode", "README")
	bad := map[string]string{
		"fr-xx": "no-such-program-here 'a'", "fr-yy": "cat $(id)", "fr-zz": "cat 'open", "fr-uu": "cat |", "fr-vv": "cat '/no/such/file'",
	}
	for name, text := range bad {
		if err := os.WriteFile(filepath.Join(dir, name+".mode"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	modes, err := readModes(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range modes {
		names = append(names, m.name+" "+m.from+" "+m.to)
	}
	if want := []string{"eng-spa en es", "fr-es fr es", "fra-cat fr ca", "spa-eng es en"}; !slices.Equal(names, want) {
		t.Errorf("modes %q, want %q", names, want)
	}
	last := modes[0].stages[2]
	if want := []string{"-z", "-n", "/"}; filepath.Base(last.path) != "sort" || !slices.Equal(last.args, want) {
		t.Errorf("last program: %v", last)
	}
	if got := modes[0].stages[1].args; !slices.Equal(got, []string{"-z", "-n"}) {
		t.Errorf("second program: %v", got)
	}
}

func TestWays(t *testing.T) {
	e := New(Config{Modes: modesDir(t, "fra-cat", "fr-es", "cat-eng", "spa-eng", "eng-cat", "cat-fra", "es-fr", "eng-spa", "spa-ita")})
	got, err := e.Ways(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"fr-en": "es", "en-fr": "ca", "fr-es": "", "es-fr": "", "fr-ca": "", "ca-fr": "", "fr-it": "es", "ca-it": "en es", "en-it": "es",
		"en-es": "", "es-en": "", "en-ca": "", "ca-en": "", "es-it": "", "es-ca": "en", "ca-es": "en",
	}
	for _, w := range got {
		pair := w.From + "-" + w.To
		pivot, ok := want[pair]
		if p := strings.Join(w.Pivot, " "); !ok || p != pivot && pair != "es-ca" && pair != "ca-es" && pair != "ca-it" {
			t.Errorf("%s by way of %q, want %q", pair, p, pivot)
		}
		delete(want, pair)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if got[0].From != "fr" || got[0].To != "en" {
		t.Errorf("first comes %v", got[0])
	}
}

func TestNothingInstalled(t *testing.T) {
	e := New(Config{Modes: t.TempDir() + "/none"})
	_, err := e.Ways(t.Context())
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || !strings.Contains(f.Msg, "apt-get install apertium") {
		t.Errorf("it says %v", err)
	}
	if _, err := e.Translate(t.Context(), translation.Way{From: "fr", To: "es"}, "Bonjour"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("it says %v", err)
	}
}
