package imagenet

import (
	"context"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
)

const wordnet = "/usr/share/wordnet" // where Debian's wordnet-base puts it

func TestMain(m *testing.M) { enginetest.MainWithChild(m, ChildMain) }

func config(tb testing.TB) Config {
	tb.Helper()
	c := Config{
		ORTLib: enginetest.ORTLib(tb), Model: enginetest.Model(tb, "imagenet", "efficientnet-lite0.onnx"),
		Classes: enginetest.Model(tb, "imagenet", "classes.json"), WordNet: wordnet,
	}
	c.Exec, c.Env = enginetest.AsChild()
	return c
}

func engine(tb testing.TB, c Config) *Engine {
	tb.Helper()
	return enginetest.Closed(tb, New(tb.Context(), c))
}

func photo(tb testing.TB, name string) image.Image {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(enginetest.ModelsDir(tb), "..", "photos", name))
	if err != nil {
		tb.Fatalf("%v; run: deploy/test-photos.sh", err)
	}
	img, _, err := picture.Decode(tb.Context(), b)
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// best returns the label with the highest score, and checks that the scores are shares.
func best(t *testing.T, scores []picture.Score) picture.Score {
	t.Helper()
	var top picture.Score
	sum := 0.0
	for _, s := range scores {
		if !s.Supported && s.Score != 0 {
			t.Errorf("%+v", s)
		}
		sum += s.Score
		if s.Score > top.Score {
			top = s
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the scores sum to %v", sum)
	}
	return top
}

func TestPublicPhotos(t *testing.T) {
	e := engine(t, config(t))
	labels := []string{
		"chat", "chien", "fusée", "café", "voiture", "oiseau", "horloge", "moto", "cheval", "bateau", "pizza", "église",
		"astronaute", "une personne",
	}
	for file, want := range map[string]string{
		"chelsea.png": "chat", "coffee.png": "café", "rocket.jpg": "fusée", "motorcycle_left.png": "moto",
		"clock_motion.png": "horloge",
	} {
		scores, err := e.Judge(t.Context(), photo(t, file), labels)
		if err != nil {
			t.Fatal(err)
		}
		top := best(t, scores)
		t.Logf("%s: %+v", file, top)
		if top.Label != want {
			t.Errorf("%s is taken for %+v", file, top)
		}
		for i, s := range scores {
			if s.Label != labels[i] || s.Supported == slices.Contains(labels[12:], s.Label) {
				t.Errorf("%+v", s)
			}
		}
	}
}

func TestNothingSupported(t *testing.T) {
	e := engine(t, config(t))
	scores, err := e.Judge(t.Context(), photo(t, "chelsea.png"), []string{"liberté", "pain quotidien", "chair"})
	if err != nil || len(scores) != 3 || slices.ContainsFunc(scores, func(s picture.Score) bool { return s.Supported }) {
		t.Errorf("got %+v, %v", scores, err)
	}
}

// TestTable: each French word of the table has classes for each of its English nouns, or is there to have none.
func TestTable(t *testing.T) {
	tree, err := engine(t, config(t)).taxonomy()
	if err != nil {
		t.Fatal(err)
	}
	words := NewLexicon()
	for french, nouns := range words.nouns {
		if english, ok := words.English(french); !ok || english == "" || strings.ContainsAny(english, "!|") {
			t.Errorf("%s is %q in English", french, english)
		}
		for _, noun := range nouns {
			if len(tree.classes(noun)) == 0 {
				t.Errorf("%s: nothing is a kind of %q", french, noun)
			}
		}
		if french != forms(french)[0] {
			t.Errorf("%q is never found", french)
		}
	}
}

type translator func(text string) (string, error)

func (f translator) Translate(_ context.Context, text, _, _ string) (string, error) { return f(text) }

func TestMeanings(t *testing.T) {
	c := config(t)
	c.Translator = translator(func(text string) (string, error) {
		if text == "toupet" {
			return "The wig.", nil
		}
		return "", errors.New("no such word")
	})
	e := engine(t, c)
	tree, err := e.taxonomy()
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]bool{
		"chat": true, "Chats": true, "les chevaux": true, "une photo d'un chat": true, "l’église": true, "animaux": true,
		"espresso": true, "tabby cat": true, "butterflies": true, "toupet": true,
		"main": false, "personne": false, "person": false, "pain d'épice": false, "": false, "\x00": false,
	} {
		classes, err := e.meaning(t.Context(), tree, label)
		if err != nil || (len(classes) > 0) != want {
			t.Errorf("%q has %d classes, %v", label, len(classes), err)
		}
	}
}

func TestMissing(t *testing.T) {
	for part, spoil := range map[string]func(*Config){
		"models pull":  func(c *Config) { c.Model += ".gone" },
		"wordnet-base": func(c *Config) { c.WordNet = t.TempDir() },
	} {
		c := config(t)
		spoil(&c)
		_, err := engine(t, c).Judge(t.Context(), image.Black, []string{"chat"})
		if f := fault.As(err); f.Kind != fault.Unavailable || !strings.Contains(f.Msg, part) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// TestSideBySide: pictures at the same time do not mix, and what ends early says why.
func TestSideBySide(t *testing.T) {
	e := engine(t, config(t))
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrStopped)
	if _, err := e.Judge(gone, photo(t, "coffee.png"), []string{"chat"}); !errors.Is(err, fault.ErrStopped) {
		t.Errorf("got %v", err)
	}
	var group sync.WaitGroup
	for file, want := range map[string]string{"chelsea.png": "chat", "coffee.png": "café"} {
		img := photo(t, file)
		for range 4 {
			group.Go(func() {
				scores, err := e.Judge(t.Context(), img, []string{"café", "chat"})
				if err != nil || best(t, scores).Label != want {
					t.Errorf("%s: %+v, %v", file, scores, err)
				}
			})
		}
	}
	group.Wait()
}

// TestOddShapes: a line, a dot and bounds that begin elsewhere are pictures too.
func TestOddShapes(t *testing.T) {
	for _, r := range []image.Rectangle{image.Rect(0, 0, 1, 1), image.Rect(5, 7, 3000, 8), image.Rect(-3, -3, 4, 900)} {
		for _, v := range pixels(image.NewRGBA(r)) {
			if v != 1 {
				t.Fatalf("%v: what is transparent is %v", r, v)
			}
		}
	}
}
