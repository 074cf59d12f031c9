package enginetest

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"brenda/audio/audiotest"
)

// Recording is one file of the corpus of human speech.
type Recording struct {
	Name    string // "fr/vm-nonumber.wav"
	Path    string
	Seconds float64
	Text    string // empty when it is not known
}

// Clip reads the sound.
func (r Recording) Clip(tb testing.TB) Clip {
	tb.Helper()
	pcm, err := audiotest.ReadFile(r.Path)
	if err != nil {
		tb.Fatal(err)
	}
	return Clip{PCM: pcm, Text: r.Text}
}

// SpeechDir returns the folder of the corpus of human speech: BRENDA_SPEECH_DIR, else "speech" beside
// the models. A test that finds none fails.
func SpeechDir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("BRENDA_SPEECH_DIR")
	if dir == "" {
		dir = filepath.Join(ModelsDir(tb), "..", "speech")
	}
	if _, err := os.Stat(filepath.Join(dir, "index.tsv")); err != nil {
		tb.Fatalf("no recorded speech in %s; make it with: deploy/test-speech.sh %s", dir, dir)
	}
	return dir
}

// Speech returns the recordings of a folder of the corpus ("fr", "en", "armelle"), in the order of their
// names.
func Speech(tb testing.TB, folder string) []Recording {
	tb.Helper()
	dir := SpeechDir(tb)
	f, err := os.Open(filepath.Join(dir, "index.tsv"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var all []Recording
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		col := strings.Split(lines.Text(), "\t")
		if len(col) != 3 || !strings.HasPrefix(col[0], folder+"/") {
			continue
		}
		sec, err := strconv.ParseFloat(col[1], 64)
		if err != nil {
			tb.Fatalf("%s: %v", f.Name(), err)
		}
		all = append(all, Recording{Name: col[0], Path: filepath.Join(dir, col[0]), Seconds: sec, Text: col[2]})
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	if len(all) == 0 {
		tb.Fatalf("no recordings in %s/%s; remove %s and run: deploy/test-speech.sh %s", dir, folder, dir, dir)
	}
	return all
}

// NamedSpeech returns the recordings of these names, e.g. "fr/vm-nonumber.wav".
func NamedSpeech(tb testing.TB, names ...string) []Clip {
	tb.Helper()
	clips := make([]Clip, len(names))
	for i, name := range names {
		folder, _, _ := strings.Cut(name, "/")
		for _, r := range Speech(tb, folder) {
			if r.Name == name {
				clips[i] = r.Clip(tb)
			}
		}
		if clips[i].PCM == nil {
			tb.Fatalf("no recording %s in the corpus; remove it and run deploy/test-speech.sh again", name)
		}
	}
	return clips
}
