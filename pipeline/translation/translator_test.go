package translation

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/schedule"
)

// engine is a scripted one: it translates into capitals, unless say says otherwise.
type engine struct {
	pairs string // "fr-en fr-es:ca"
	err   error  // of Ways
	say   func(string) (string, error)

	mu    sync.Mutex
	asked []string
}

func (e *engine) Ways(context.Context) ([]Way, error) {
	var ways []Way
	for p := range strings.FieldsSeq(e.pairs) {
		pair, pivot, _ := strings.Cut(p, ":")
		from, to, _ := strings.Cut(pair, "-")
		w := Way{From: from, To: to}
		if pivot != "" {
			w.Pivot = []string{pivot}
		}
		ways = append(ways, w)
	}
	return ways, e.err
}

func (e *engine) Translate(_ context.Context, _ Way, piece string) (string, error) {
	e.mu.Lock()
	e.asked = append(e.asked, piece)
	e.mu.Unlock()
	if e.say != nil {
		return e.say(piece)
	}
	return strings.ToUpper(piece), nil
}

// says is an identifier that always answers the same.
type says string

func (s says) Identify(context.Context, string, []string) (string, error) { return string(s), nil }

func translator(e *engine) *Translator {
	return New(Config{Sources: []Source{{Name: "caps", Engine: e}}, Rules: []Rule{{"*", "*", "caps"}}, Identifier: says("fr")})
}

func TestKeeps(t *testing.T) {
	for text, want := range map[string]string{
		"Bonjour. Ça va ?\r\n\r\n\tOui  non\n":        "BONJOUR. ÇA VA ?\r\n\r\n\tOUI  NON\n",
		"Voir https://a.fr/b_c?d=é&e=1, merci.":       "VOIR https://a.fr/b_c?d=é&e=1, MERCI.",
		"(voir http://a.fr/x_(y))":                    "(VOIR http://a.fr/x_(y))",
		"Écrire à jean.dupont+x@exemple.fr !":         "ÉCRIRE À jean.dupont+x@exemple.fr !",
		"Bonjour {nom}, %d sur %1$s et ${x} {{ y }}":  "BONJOUR {nom}, %d SUR %1$s ET ${x} {{ y }}",
		"100 % du prix, 50% de rabais":                "100 % DU PRIX, 50% DE RABAIS",
		"le `code là` et ``du `code` là``":            "LE `code là` ET ``du `code` là``",
		"a\n```go\nvar été int\n```\nb":               "A\n```go\nvar été int\n```\nB",
		"<p class=\"a\">un <b>mot</b>&nbsp;là</p>":    "<p class=\"a\">UN <b>MOT</b>&nbsp;LÀ</p>",
		"- un\n  * deux\n# trois\n1. quatre\n> cinq":  "- UN\n  * DEUX\n# TROIS\n1. QUATRE\n> CINQ",
		"| un | deux |\n|---|---|":                    "| UN | DEUX |\n|---|---|",
		"le 12/03/2024 à 18:30, 3,5 kg, 1\u202f200 €": "LE 12/03/2024 À 18:30, 3,5 KG, 1\u202f200 €",
		"et/ou dans /etc/passwd ou main.go":           "ET/OU DANS /etc/passwd OU main.go",
		"super😀 bien 😀 fin":                           "SUPER😀 BIEN 😀 FIN",
		"\ue000 privé \uf123":                         "\ue000 PRIVÉ \uf123",
		"@jean et #sujet et mon_nom et --option":      "@jean ET #sujet ET mon_nom ET --option",
		"12 + 3 = 15":                                 "12 + 3 = 15",
		"M. Dupont et J. Martin. Fin.":                "M. DUPONT ET J. MARTIN. FIN.",
	} {
		e := &engine{pairs: "fr-en"}
		got, err := translator(e).Translate(t.Context(), Request{Text: text, From: "fr", To: "en"})
		if err != nil || got.Text != want {
			t.Errorf("%q\nbecame %q (%v)\nwant   %q", text, got.Text, err, want)
		}
		for _, piece := range e.asked {
			if strings.TrimSpace(piece) != piece || strings.ContainsAny(piece, "\r\n\t") {
				t.Errorf("the engine was asked for %q", piece)
			}
		}
	}
}

func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"Bonjour. Ça va ? Oui !":               {"Bonjour. ", "Ça va ? ", "Oui !"},
		"M. Dupont est là. Mme. Martin aussi.": {"M. Dupont est là. ", "Mme. Martin aussi."},
		"Voir J. Martin, p. 12. Fin.":          {"Voir J. Martin, p. 12. ", "Fin."},
		"":                                     nil,
	} {
		if got := sentences(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	long := strings.Repeat("un mot, ", 300)
	for _, s := range sentences(long) {
		if len([]rune(s)) > maxSentence || !strings.HasSuffix(s, ",") && !strings.HasSuffix(s, ", ") {
			t.Errorf("a part of %d characters that ends in %q", len([]rune(s)), s[len(s)-5:])
		}
	}
	if got := sentences(strings.Repeat("é", 1200)); len(got) != 3 {
		t.Errorf("a word without an end makes %d parts", len(got))
	}
}

// TestUnfaithful has an engine lose and invent things.
func TestUnfaithful(t *testing.T) {
	whole := "Il y a 12 chats sur https://a.fr [ici] et {x}."
	for name, say := range map[string]func(string) (string, error){
		"loses marks":    func(s string) (string, error) { return strings.ToUpper(strings.Map(dropMark, s)), nil },
		"doubles marks":  func(s string) (string, error) { return strings.ToUpper(s + strings.Map(onlyMark, s)), nil },
		"knows no marks": func(s string) (string, error) { return strings.ToUpper(s), errIf(strings.ContainsFunc(s, markRune)) },
		"loses numbers":  func(s string) (string, error) { return strings.ToUpper(digits.ReplaceAllString(s, "")), nil },
		"invents signs":  func(s string) (string, error) { return strings.ToUpper(s) + "#", errIf(strings.ContainsAny(s, "12[")) },
	} {
		got, err := translator(&engine{pairs: "fr-en", say: say}).Translate(t.Context(), Request{Text: whole, From: "fr", To: "en"})
		if want := "IL Y A 12 CHATS SUR https://a.fr [ICI] ET {x}."; err != nil || !strings.EqualFold(got.Text, want) ||
			name != "invents signs" && got.Text != want {
			t.Errorf("%s: %q, %v", name, got.Text, err)
		}
	}
	down := errors.New("down")
	broken := &engine{pairs: "fr-en", say: func(string) (string, error) { return "", down }}
	if _, err := translator(broken).Translate(t.Context(), Request{Text: "a. b. c", From: "fr", To: "en"}); !errors.Is(err, down) {
		t.Errorf("an engine that fails: %v", err)
	}
}

func errIf(bad bool) error {
	if bad {
		return ErrMarks
	}
	return nil
}

func dropMark(r rune) rune {
	if markRune(r) {
		return -1
	}
	return r
}

func onlyMark(r rune) rune {
	if markRune(r) {
		return r
	}
	return -1
}

// TestChoice asks several engines by rule.
func TestChoice(t *testing.T) {
	one := &engine{pairs: "fr-en fr-es:ca en-fr"}
	two := &engine{pairs: "fr-en fr-de de-fr"}
	gone := &engine{err: fault.New(fault.Unavailable, "engine_missing", "run: apt-get install it")}
	sources := []Source{{"one", one, 0}, {"two", two, 0}, {"gone", gone, 0}}
	tr := New(Config{Sources: sources, Rules: []Rule{{"fr", "en", "two"}, {"*", "*", "one"}, {"de", "*", "two"}}, Identifier: says("fr")})
	var pairs []string
	for _, w := range tr.Ways(t.Context()) {
		pairs = append(pairs, w.From+"-"+w.To)
	}
	if want := []string{"fr-en", "fr-es", "en-fr", "de-fr"}; !slices.Equal(pairs, want) {
		t.Errorf("pairs %q, want %q", pairs, want)
	}
	ask := func(from, to string) (Answer, error) {
		return tr.Translate(t.Context(), Request{Text: "mot", From: from, To: to})
	}
	if a, err := ask("fra", "en-GB"); err != nil || a.Engine != "two" || a.From != "fr" || a.To != "en" || a.Pivot != nil {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := ask("auto", "es"); err != nil || a.Engine != "one" || !slices.Equal(a.Pivot, []string{"ca"}) || a.From != "fr" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := ask("auto", "fr"); err != nil || a.Engine != "none" || a.Text != "mot" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, c := range [][3]string{
		{"fr", "de", "to_lang"},
		{"nl", "fr", "from_lang"},
		{"fr", "fr", "to_lang"},
		{"xyzzy", "fr", "from_lang"},
		{"fr", "auto", "to_lang"},
		{"fr", "123", "to_lang"},
		{"auto", "nl", "to_lang"},
	} {
		_, err := ask(c[0], c[1])
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Param != c[2] {
			t.Errorf("%v: %v", c, err)
		}
	}
	_, err := ask("fr", "de")
	if f := fault.As(err); f == nil || !strings.Contains(f.Msg, "fr-en, fr-es, en-fr, de-fr") {
		t.Errorf("the possible pairs are not listed: %v", err)
	}
	tr = New(Config{Sources: sources, Rules: []Rule{{"*", "*", "gone"}}, Identifier: says("fr")})
	for _, from := range []string{"fr", "auto"} {
		if _, err := ask(from, "en"); fault.As(err).Code != "engine_missing" || !strings.Contains(fault.As(err).Msg, "apt-get") {
			t.Errorf("a missing engine: %v", err)
		}
	}
	if n := len(tr.Ways(t.Context())); n != 0 {
		t.Errorf("a missing engine has %d pairs", n)
	}
}

func TestLimits(t *testing.T) {
	tr := translator(&engine{pairs: "fr-en"})
	if _, err := tr.Translate(t.Context(), Request{Text: strings.Repeat("é", 100_001), From: "fr", To: "en"}); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too long a text: %v", err)
	}
	e := &engine{pairs: "fr-en"}
	text := strings.Repeat("Une phrase. ", 8000)
	got, err := translator(e).Translate(t.Context(), Request{Text: text, From: "fr", To: "en"})
	if err != nil || got.Text != strings.ToUpper(text) || len(e.asked) != 8000 {
		t.Errorf("%d pieces, %v", len(e.asked), err)
	}
	e = &engine{pairs: "fr-en"}
	tr = New(Config{Sources: []Source{{"caps", e, 100}}, Rules: []Rule{{"*", "*", "caps"}}})
	if got, err = tr.Translate(t.Context(), Request{Text: text[:1200], From: "fr", To: "en"}); err != nil || got.Text != strings.ToUpper(text[:1200]) {
		t.Errorf("%q, %v", got.Text, err)
	}
	if len(e.asked) != 13 {
		t.Errorf("%d joined pieces", len(e.asked))
	}
}

// TestHostile segments texts that make a search slow: minutes, if its time grew with the square.
func TestHostile(t *testing.T) {
	for _, unit := range []string{"a/", "é.1.1", "<!-- 1.1 ", "http://a)", "`1.1", "{1.1", "a.", "@a", "1.", "<a 1.1"} {
		text := strings.Repeat(unit, 20_000/len(unit))
		var b strings.Builder
		for _, p := range segment(text, 0) {
			b.WriteString(p.keep + p.restore(p.text))
		}
		if b.String() != text {
			t.Errorf("%q… is not whole", unit)
		}
	}
}

// TestSideBySide looks at how many pieces are in work at once, and at the end of a request in the middle.
func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{pairs: "fr-en"}
		free := make(chan struct{})
		e.say = func(s string) (string, error) { <-free; return strings.ToUpper(s), nil }
		q := schedule.NewMachine(0).Queue(schedule.Config{Name: "translate", Running: 1, MaxWait: time.Minute})
		tr := New(Config{Sources: []Source{{"caps", e, 0}}, Rules: []Rule{{"*", "*", "caps"}}, Parallel: 3, Queue: q})
		type result struct {
			Answer
			err error
		}
		results := make(chan result, 2)
		ctx, cancel := context.WithCancelCause(t.Context())
		for range 2 {
			go func() {
				a, err := tr.Translate(ctx, Request{Text: "Un. Deux. Trois. Quatre. Cinq.", From: "fr", To: "en"})
				results <- result{a, err}
			}()
		}
		synctest.Wait()
		if n := len(e.asked); n != 3 {
			t.Errorf("%d pieces in work", n)
		}
		for range 5 {
			free <- struct{}{}
		}
		if r := <-results; r.err != nil || r.Text != "UN. DEUX. TROIS. QUATRE. CINQ." {
			t.Errorf("%q, %v", r.Text, r.err)
		}
		synctest.Wait()
		cancel(fault.ErrStopped)
		close(free)
		if r := <-results; !errors.Is(r.err, fault.ErrStopped) {
			t.Errorf("a stopped request: %q, %v", r.Text, r.err)
		}
		if s := q.Stats(); s.Running != 0 || s.Finished != 2 {
			t.Errorf("%+v", s)
		}
	})
}
