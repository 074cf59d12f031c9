package audiotest_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
)

func TestWordsKeepsOnlyRealDifferences(t *testing.T) {
	for text, want := range map[string][]string{
		"":                            {},
		" … « ? » ":                   {},
		"L'été, c’est FINI !":         {"l", "été", "c", "est", "fini"},
		"Peut-être un cœur ex æquo.":  {"peut", "être", "un", "coeur", "ex", "aequo"},
		"cafe\u0301":                  {"café"},
		"Il est 14h30 : 3,14 ou 3.14": {"il", "est", "14h30", "3,14", "ou", "3,14"},
		"1 234,50 €, 20%":             {"1", "234,50", "€", "20", "%"},
	} {
		if got := audiotest.Words(text); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCompareCountsEachKindOfError(t *testing.T) {
	for _, c := range []struct {
		ref, hyp string
		want     audiotest.Errors
		rate     float64
	}{
		{"Bonjour, Élise.", "bonjour élise", audiotest.Errors{Words: 2}, 0},
		{"le chat dort", "le chien dort", audiotest.Errors{Words: 3, Substitutions: 1}, 1. / 3},
		{"le chat dort", "le dort", audiotest.Errors{Words: 3, Deletions: 1}, 1. / 3},
		{"le chat dort", "le gros chat dort", audiotest.Errors{Words: 3, Insertions: 1}, 1. / 3},
		{"le chat dort", "", audiotest.Errors{Words: 3, Deletions: 3}, 1},
		{"", "merci d'avoir regardé", audiotest.Errors{Insertions: 4}, 4},
		{"", "", audiotest.Errors{}, 0},
		{"a b c d e f", "b c x e f g", audiotest.Errors{Words: 6, Substitutions: 1, Deletions: 1, Insertions: 1}, 0.5},
	} {
		got := audiotest.Compare(c.ref, c.hyp)
		if got != c.want || math.Abs(got.Rate()-c.rate) > 1e-9 || audiotest.WER(c.ref, c.hyp) != got.Rate() {
			t.Errorf("%q for %q: %+v, rate %g", c.hyp, c.ref, got, got.Rate())
		}
	}
	sum := audiotest.Errors{Words: 1, Insertions: 2}.Add(audiotest.Errors{Words: 3, Substitutions: 4, Deletions: 5})
	if sum != (audiotest.Errors{Words: 4, Substitutions: 4, Deletions: 5, Insertions: 2}) {
		t.Errorf("sum %+v", sum)
	}
}

func TestPeakAndNoise(t *testing.T) {
	pcm := audiotest.Mix(audiotest.Tone(1234.5, 0.25, 16000, 8192), audiotest.Tone(3000, 0.01, 16000, 8192))
	freq, amplitude := audiotest.Peak(pcm, 16000)
	if math.Abs(freq-1234.5) > 0.05 || math.Abs(amplitude-0.25) > 1e-3 {
		t.Errorf("peak of %g at %g Hz", amplitude, freq)
	}
	if got := audiotest.Noise(pcm, 16000, 1234.5); math.Abs(got-0.01/math.Sqrt2) > 1e-4 {
		t.Errorf("noise %g", got)
	}
	if freq, amplitude := audiotest.Peak(audiotest.Silence(1024), 16000); freq != 0 || amplitude != 0 {
		t.Errorf("silence has a peak of %g at %g Hz", amplitude, freq)
	}
	white := audiotest.White(0.5, 1<<15, 1)
	if got, want := audiotest.Noise(white, 16000, 0), audio.RMS(white); math.Abs(got/want-1) > 0.05 {
		t.Errorf("white noise of %g measures %g", want, got)
	}
}

// White noise has the same power in each octave's Hertz, pink noise the same in each octave.
func TestNoiseColours(t *testing.T) {
	power := func(pcm []float32, low, high int) (sum float64) {
		for _, a := range audiotest.Spectrum(pcm)[low:high] {
			sum += a * a
		}
		return sum
	}
	white, pink := audiotest.White(0.5, 1<<16, 2), audiotest.Pink(0.5, 1<<16, 2)
	if d := 10 * math.Log10(power(white, 4096, 8192)/power(white, 512, 1024)); math.Abs(d-9) > 1 {
		t.Errorf("white: %.1f dB more three octaves up, want 9", d)
	}
	if d := 10 * math.Log10(power(pink, 4096, 8192)/power(pink, 512, 1024)); math.Abs(d) > 1.5 {
		t.Errorf("pink: %.1f dB more three octaves up, want 0", d)
	}
	if !slices.Equal(white, audiotest.White(0.5, 1<<16, 2)) || slices.Equal(white, audiotest.White(0.5, 1<<16, 3)) {
		t.Error("the seed does not decide")
	}
	if m := slices.Max(pink); m > 1 {
		t.Errorf("pink noise reaches %g", m)
	}
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.wav")
	if err := os.WriteFile(path, wav.Encode(audiotest.Tone(440, 0.5, 48000, 48000), 48000), 0o600); err != nil {
		t.Fatal(err)
	}
	pcm, err := audiotest.ReadFile(path)
	if err != nil || len(pcm) != audiotest.InputRate {
		t.Errorf("%d samples, %v", len(pcm), err)
	}
	if _, err := audiotest.ReadFile(filepath.Join(t.TempDir(), "none.wav")); err == nil {
		t.Error("no error for a file that is not there")
	}
}
