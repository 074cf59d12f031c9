package espeak

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func phonemizer(tb testing.TB) *Phonemizer {
	tb.Helper()
	p := New(Config{})
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

func ipa(tb testing.TB, p *Phonemizer, voice, text string) string {
	tb.Helper()
	s, err := p.IPA(tb.Context(), voice, text)
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return s
}

func TestPhonemes(t *testing.T) {
	p := phonemizer(t)
	for _, c := range []struct{ voice, text, want string }{
		{"fr", "Bonjour", "bɔ̃ʒˈuʁ"},
		{"fr", "l’ami", "lamˈi"},
		{"fr", "week-end", "wˈiːkˈɛnd"}, // English inside French: the flags of the change are gone
		{"en-us", "hello", "həlˈo^ʊ"},
		{"fr", "", ""},
		{"fr", " \n\t\x01\x00 ", ""},
		{"fr", "…!?", ""},
		{"fr", "un\ndeux", "œ̃ dˈø"},
	} {
		if got := ipa(t, p, c.voice, c.text); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.voice, c.text, got, c.want)
		}
	}
}

func TestNothingIsLostInLongText(t *testing.T) {
	p := phonemizer(t)
	one := ipa(t, p, "fr", "table")
	got := ipa(t, p, "fr", strings.Repeat("table. ", 3000))
	if n := len(strings.Fields(got)); n != 3000 || !strings.HasPrefix(got, one) {
		t.Errorf("%d words of 3000", n)
	}
	if got := ipa(t, p, "fr", strings.Repeat("é", 20000)); got == "" {
		t.Error("a word without end has no phonemes")
	}
	if got := ipa(t, p, "fr", "table"); got != one {
		t.Errorf("afterwards: %q", got)
	}
}

func TestAnswersAreNeverMixedUp(t *testing.T) {
	p := phonemizer(t)
	words := []string{"pomme", "la maison, rouge. et verte", "chien", "vélo ! rapide ?", "zéro", "oui; non: peut-être"}
	want := map[string]string{}
	for _, w := range words {
		want[w] = ipa(t, p, "fr", w)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 60 {
				w := words[(g+i)%len(words)]
				ctx, cancel := context.WithCancel(t.Context())
				if i%9 == g {
					go cancel() // at any moment: before, within or after
				}
				got, err := p.IPA(ctx, "fr", w)
				switch {
				case err != nil && !errors.Is(err, context.Canceled):
					t.Errorf("%q: %v", w, err)
				case err == nil && got != want[w]:
					t.Errorf("%q: %q, want %q", w, got, want[w])
				}
				cancel()
			}
		})
	}
	wg.Wait()
}

func TestDeadAndHungChildrenAreReplaced(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(sig.String(), func(t *testing.T) {
			p := New(Config{Timeout: 500 * time.Millisecond})
			defer func() { _ = p.Close() }()
			want := ipa(t, p, "fr", "bonjour")
			if err := p.voices["fr"].child.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if got := ipa(t, p, "fr", "bonjour"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestCancelledWhileItHangs(t *testing.T) {
	p := New(Config{Timeout: time.Hour})
	defer func() { _ = p.Close() }()
	ipa(t, p, "fr", "bonjour")
	if err := p.voices["fr"].child.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("over")
	stop := time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
	defer stop.Stop()
	if _, err := p.IPA(ctx, "fr", "bonjour"); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	ipa(t, p, "fr", "bonjour")
}

// script writes a program that stands in for espeak-ng.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "espeak-ng")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFailures(t *testing.T) {
	missing := New(Config{Program: filepath.Join(t.TempDir(), "espeak-ng")})
	_, err := missing.IPA(t.Context(), "fr", "bonjour")
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.As(err).Msg, "apt-get install espeak-ng") {
		t.Errorf("missing program: %v", err)
	}
	for name, body := range map[string]string{
		"ends at once": "exit 3",
		"mute":         "cat >/dev/null",
		"random":       "while read -r l; do cat /proc/sys/kernel/random/uuid; done",
		"forgets":      "read -r l; echo $l; read -r l; echo $l; exit 0",
	} {
		t.Run(name, func(t *testing.T) {
			p := New(Config{Program: script(t, body), Timeout: 300 * time.Millisecond})
			defer func() { _ = p.Close() }()
			if _, err := p.IPA(t.Context(), "fr", "bonjour"); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("got %v", err)
			}
		})
	}
	p := phonemizer(t)
	if _, err := p.IPA(t.Context(), "xx", "bonjour"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("unknown voice: %v", err)
	}
	if _, err := p.IPA(t.Context(), "--help", "bonjour"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("voice that is an option: %v", err)
	}
	_ = p.Close()
	if _, err := p.IPA(t.Context(), "fr", "bonjour"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

func FuzzIPA(f *testing.F) {
	p := New(Config{})
	f.Cleanup(func() { _ = p.Close() })
	const probe = "la table, puis le chat."
	want := ipa(f, p, "fr", probe)
	for _, s := range []string{"", "...", "\x01\x0250P\x1b", "a\nb\r\nc", "[[həlO]]", "<speak><voice name='en'>hi", "ا日本語мир", "(en)x", "A.B.C", "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := ipa(t, p, "fr", text); strings.ContainsAny(got, "\n()") {
			t.Errorf("%q gives %q", text, got)
		}
		if got := ipa(t, p, "fr", probe); got != want {
			t.Errorf("after %q the probe gives %q, want %q", text, got, want)
		}
	})
}

func BenchmarkKeptChild(b *testing.B) {
	p := phonemizer(b)
	for b.Loop() {
		ipa(b, p, "fr", "Bonjour, comment allez-vous ce matin")
	}
}

func BenchmarkChildPerCall(b *testing.B) {
	for b.Loop() {
		p := New(Config{})
		ipa(b, p, "fr", "Bonjour, comment allez-vous ce matin")
		_ = p.Close()
	}
}
