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
func (r Recording) Clip(t testing.TB) Clip {
	t.Helper()
	pcm, err := audiotest.ReadFile(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	return Clip{PCM: pcm, Text: r.Text}
}

// SpeechDir returns the folder of the corpus of human speech: BRENDA_SPEECH_DIR, else "speech" beside
// the models. A test that finds none fails.
func SpeechDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BRENDA_SPEECH_DIR") //nolint:forbidigo // only tests come here
	if dir == "" {
		dir = filepath.Join(ModelsDir(t), "..", "speech")
	}
	if _, err := os.Stat(filepath.Join(dir, "index.tsv")); err != nil {
		t.Fatalf("no recorded speech in %s; make it with: deploy/test-speech.sh %s", dir, dir)
	}
	return dir
}

// Speech returns the recordings of a folder of the corpus ("fr", "en", "armelle"), in the order of their
// names.
func Speech(t testing.TB, folder string) []Recording {
	t.Helper()
	dir := SpeechDir(t)
	f, err := os.Open(filepath.Join(dir, "index.tsv"))
	if err != nil {
		t.Fatal(err)
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
			t.Fatalf("%s: %v", f.Name(), err)
		}
		all = append(all, Recording{Name: col[0], Path: filepath.Join(dir, col[0]), Seconds: sec, Text: col[2]})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("no recordings in %s/%s; remove %s and run: deploy/test-speech.sh %s", dir, folder, dir, dir)
	}
	return all
}

// NamedSpeech returns the recordings of these names, e.g. "fr/vm-nonumber.wav".
func NamedSpeech(t testing.TB, names ...string) []Clip {
	t.Helper()
	clips := make([]Clip, len(names))
	for i, name := range names {
		folder, _, _ := strings.Cut(name, "/")
		for _, r := range Speech(t, folder) {
			if r.Name == name {
				clips[i] = r.Clip(t)
			}
		}
		if clips[i].PCM == nil {
			t.Fatalf("no recording %s in the corpus; remove it and run deploy/test-speech.sh again", name)
		}
	}
	return clips
}
