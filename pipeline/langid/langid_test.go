package langid

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// words is a lexicon of a few words for each language.
type words map[string]string

func (w words) Known(_ context.Context, language, text string) (float64, bool, error) {
	list, ok := w[language]
	if list == "fail" {
		return 0, true, errors.New("it failed")
	}
	known, all := 0, 0
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		all++
		if strings.Contains(" "+list+" ", " "+word+" ") {
			known++
		}
	}
	return float64(known) / float64(max(all, 1)), ok, nil
}

func TestIdentify(t *testing.T) {
	id := New(words{"fr": "le chat dort la", "en": "the cat chat sleeps", "es": "la casa", "it": "la casa", "ca": "fail"})
	all := []string{"fr", "en", "es", "it", "ca", "de"}
	for text, want := range map[string]string{
		"le chat dort": "fr", "the cat": "en", "chat": "fr", "la casa": "es", "": "", "12 + 3 !": "",
		"Das ist eine kleine Geschichte über einen alten Mann und seine beiden Katzen im Garten": "de", // has no dictionary
	} {
		if got, err := id.Identify(t.Context(), text, all); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	if got, err := id.Identify(t.Context(), "chat", []string{"en", "fr"}); err != nil || got != "en" {
		t.Errorf("in doubt: %q, %v", got, err)
	}
	long := strings.Repeat("le chat dort ", 1000)
	if n := len(begin(long)); n > enough || n < enough-20 || strings.HasSuffix(begin(long), "dor") {
		t.Errorf("of a long text %d characters are read", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := id.Identify(ctx, "le chat", all); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled request: %v", err)
	}
}

func TestWithoutDictionaries(t *testing.T) {
	text := "Je voudrais réserver une table pour deux personnes demain soir à huit heures, s'il vous plaît."
	if got, err := New(words{}).Identify(t.Context(), text, []string{"en", "fr", "de"}); err != nil || got != "fr" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := New(words{}).Identify(t.Context(), text, []string{"xx"}); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}
