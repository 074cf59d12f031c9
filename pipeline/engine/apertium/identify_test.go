package apertium

import (
	"os"
	"strings"
	"testing"

	"brenda/pipeline/langid"
	"brenda/pipeline/translation"
)

// TestIdentify tells the language of short phrases by the dictionaries of the installed pairs, and of short sentences,
// also in German, of which there is none.
func TestIdentify(t *testing.T) {
	id := langid.New(open(t, Config{}))
	identify(t, id, "testdata/phrases.tsv", []string{"fr", "en", "es", "it", "pt", "ca"}, 4)
	identify(t, id, "testdata/sentences.tsv", []string{"fr", "en", "es", "de", "it"}, 4)
}

func identify(t *testing.T, id *langid.Identifier, file string, among []string, most int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	wrong := 0
	for _, line := range lines {
		want, phrase, _ := strings.Cut(line, "\t")
		got, err := id.Identify(t.Context(), phrase, among)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			wrong++
			t.Logf("%q is taken for %q", phrase, got)
		}
	}
	t.Logf("%s: %d of %d are wrong", file, wrong, len(lines))
	if wrong > most {
		t.Errorf("%s: %d of %d are wrong", file, wrong, len(lines))
	}
}

// TestPivot translates what has a language between, with what is not language in it, on the installed pairs.
func TestPivot(t *testing.T) {
	e := open(t, Config{})
	tr := translation.New(translation.Config{
		Sources: []translation.Source{{Name: "apertium", Engine: e}}, Rules: []translation.Rule{{From: "*", To: "*", Engine: "apertium"}},
		Identifier: langid.New(e),
	})
	text := "Le <b>chat</b> dort.\r\n\r\nVoir https://exemple.fr/a_b?c=d le 12/03/2024 à {lieu}, 25 personnes [max] !\n\t`code été` ^y $ @z\n"
	got, err := tr.Translate(t.Context(), translation.Request{Text: text, From: "auto", To: "en"})
	if err != nil {
		t.Fatal(err)
	}
	if got.From != "fr" || len(got.Pivot) != 1 {
		t.Errorf("from %q by way of %q", got.From, got.Pivot)
	}
	for _, part := range []string{
		"<b>", "</b>", "cat", "sleeps", ".\r\n\r\n", "https://exemple.fr/a_b?c=d", "12/03/2024", "{lieu}", "25", "[", "]", "!\n\t", "`code été`", "^", "$", "@",
	} {
		if strings.Count(got.Text, part) != 1 {
			t.Errorf("%q is there %d times in %q", part, strings.Count(got.Text, part), got.Text)
		}
	}
	if strings.Contains(got.Text, strange) || leakedTag.MatchString(strings.NewReplacer("<b>", "", "</b>", "").Replace(got.Text)) {
		t.Errorf("something leaked: %q", got.Text)
	}
}
