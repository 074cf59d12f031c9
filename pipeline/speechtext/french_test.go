package speechtext

import (
	"os"
	"strings"
	"testing"
)

// TestFrench says every line of testdata/french.txt ("input => spoken").
func TestFrench(t *testing.T) {
	data, err := os.ReadFile("testdata/french.txt")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ spoken string }{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# ") || line == "" {
			continue
		}
		written, spoken, ok := strings.Cut(line, " => ")
		if !ok {
			t.Fatalf("no case: %q", line)
		}
		tests[written] = struct{ spoken string }{spoken}
	}
	if len(tests) < 600 {
		t.Errorf("only %d cases", len(tests))
	}
	for written, tt := range tests {
		t.Run(written, func(t *testing.T) {
			if got := Verbalize(written, French); got != tt.spoken {
				t.Errorf("\n got %q\nwant %q", got, tt.spoken)
			}
			checkSpoken(t, tt.spoken)
		})
	}
}

func TestOtherLanguages(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"digits stay": {"It costs $5.50, 20% off!", "It costs $5.50, 20% off!"},
		"markup goes": {"**Bold** and `code` 😀 here", "Bold and code here"},
		"emoticon":    {"Fine :-) thanks", "Fine thanks"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Verbalize(tt.text, "en"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCardinal(t *testing.T) {
	tests := map[string]struct{ digits, want string }{
		"80":              {"80", "quatre-vingts"},
		"80 thousand":     {"80000", "quatre-vingt mille"},
		"80 million":      {"80000000", "quatre-vingts millions"},
		"280":             {"280", "deux cent quatre-vingts"},
		"a thousand one":  {"1001", "mille un"},
		"billiard":        {"1000000000000000", "un billiard"},
		"18 digits":       {"999000000000000000", "neuf cent quatre-vingt-dix-neuf billiards"},
		"an identifier":   {"1234567890123456789", "un deux trois quatre cinq six sept huit neuf zéro un deux trois quatre cinq six sept huit neuf"},
		"zeros in front":  {"0012", "douze"},
		"nothing":         {"000", "zéro"},
		"seventy-one":     {"71", "soixante et onze"},
		"ninety-one":      {"91", "quatre-vingt-onze"},
		"million hundred": {"1000100", "un million cent"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := cardinal(tt.digits); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

const benchText = "Le 12 mars 2024 à 14h30, M. Dupont a payé 1 234,50 € à la SNCF pour 3 billets vers St-Étienne. "

func BenchmarkVerbalize(b *testing.B) {
	b.SetBytes(int64(len(benchText)))
	for b.Loop() {
		Verbalize(benchText, French)
	}
}

func BenchmarkSplitter(b *testing.B) {
	text := strings.Repeat(benchText+"Il faisait très beau ce jour-là, et la ville dormait encore. ", 10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s := New(Options{})
		for rest := text; rest != ""; {
			n := min(4, len(rest))
			s.Push(rest[:n])
			rest = rest[n:]
		}
		s.Flush()
	}
}
