package clip

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
	"brenda/pipeline/weights/onnxgraph"
)

func TestMain(m *testing.M) { enginetest.MainWithChild(m, ChildMain) }

// merges joins three words of the toy vocabulary, and "an" where it is not a word of its own.
const merges = "#version: 0.2\nr e\nre d</w>\nb l\nbl u\nblu e</w>\na n\n\ng re\ngre e\ngree n</w>\n"

func toy(tb testing.TB) *tokenizer {
	tb.Helper()
	t, err := newTokenizer(strings.NewReader(merges))
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestTokens(t *testing.T) {
	tok := toy(t)
	const first = 512 // of the merges
	if tok.begin != first+9 || tok.end != first+10 {
		t.Errorf("begin and end are %d and %d", tok.begin, tok.end)
	}
	for text, want := range map[string][]int64{
		"":             {},
		"  RED\tblue ": {first + 1, first + 4},
		"green&amp;":   {first + 8, 256 + 5},
		"redan":        {tok.ids["re"], tok.ids["d"], tok.ids["a"], tok.ids["n</w>"]},
		"é":            {tok.ids["Ã"], tok.ids["©</w>"]},
		"r2":           {tok.ids["r</w>"], tok.ids["2</w>"]},
	} {
		got := tok.encode(text)
		if len(got) != contextLength {
			t.Fatalf("%d tokens", len(got))
		}
		want = append(append([]int64{tok.begin}, want...), tok.end)
		if !slices.Equal(got[:len(want)], want) || slices.Max(got[len(want):]) != 0 {
			t.Errorf("%q is %v, not %v", text, got[:len(want)+2], want)
		}
		if m := mask(got); m[len(want)-1] != 1 || m[len(want)] != 0 {
			t.Errorf("%q is masked %v", text, m)
		}
	}
	if got := tok.encode(strings.Repeat("red ", 500)); got[contextLength-1] != tok.end {
		t.Errorf("what is too long ends with %v", got[contextLength-2:])
	}
	for _, bad := range []string{"", "#version\n", "#version\na b c\n"} {
		if _, err := newTokenizer(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is a tokenizer", bad)
		}
	}
}

// layout is how an export names and shapes what goes in and out.
type layout struct {
	image, imageOut string
	side            int64 // −1: left open
	text, textOut   string
	batch           int64
	mask            string // name of the mask; empty for none
	short           bool   // 32-bit token numbers
	more            bool   // other outputs, before the right one
}

// layouts are those of the exports that are published.
func layouts() map[string]layout {
	return map[string]layout{
		"optimum":      {"pixel_values", "image_embeds", -1, "input_ids", "text_embeds", -1, "attention_mask", false, true},
		"transformers": {"pixel_values", "image_embeds", 224, "input_ids", "text_embeds", 1, "", false, false},
		"open_clip":    {"image", "embedding", 336, "text", "embedding", 1, "", true, false},
		"open_clip 2":  {"image_input", "image_features", 64, "text_input", "text_features", -1, "", false, true},
		"openai":       {"IMAGE", "IMAGE_EMBEDDING", 224, "TEXT", "TEXT_EMBEDDING", -1, "", true, true},
		"plain":        {"input", "output", 224, "input", "output", -1, "", true, false},
	}
}

// config makes two encoders that understand colours: a picture's point is its mean colour, a text's the sum of the
// colours that its words name.
func config(tb testing.TB, l layout) Config {
	tb.Helper()
	dir, tok := tb.TempDir(), toy(tb)
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			tb.Fatal(err)
		}
		return path
	}
	var img onnxgraph.Graph
	x := img.Input(l.image, l.batch, 3, l.side, l.side)
	x = img.Node("GlobalAveragePool", []string{x}, "last_hidden_state")
	if l.more {
		img.Output(x, l.batch, 3, 1, 1)
	}
	img.Output(img.Node("Flatten", []string{x}, l.imageOut), l.batch, 3)

	var text onnxgraph.Graph
	table := make([]float32, 3*(tok.end+1))
	for i, word := range []string{"red", "green", "blue"} {
		table[3*tok.ids[word+endOfWord]+int64(i)] = 1
	}
	for i := range 3 {
		table[3*tok.end+int64(i)] = 1e-3
	}
	ids := l.text
	if l.short {
		ids = text.Numbers32(ids, l.batch, contextLength)
	} else {
		ids = text.Numbers(ids, l.batch, contextLength)
	}
	y := text.Node("Gather", []string{text.Floats("table", []int64{tok.end + 1, 3}, table...), ids}, "hidden")
	if l.more {
		text.Output(y, l.batch, contextLength, 3)
	}
	if l.mask == "" {
		y = text.Node("ReduceMean", []string{y}, l.textOut, onnxgraph.Ints("axes", 1), onnxgraph.Int("keepdims", 0))
	} else {
		mask := text.Node("Cast", []string{text.Numbers(l.mask, l.batch, contextLength)}, "weights", onnxgraph.Int("to", 1))
		y = text.Node("Flatten", []string{text.Node("MatMul", []string{mask, y}, "sum")}, l.textOut)
	}
	text.Output(y, l.batch, 3)
	exec, env := enginetest.AsChild()
	return Config{
		ORTLib: enginetest.ORTLib(tb), Translator: french{"rouge": "red", "vert": "green", "bleu": "blue"},
		Image: write("image.onnx", img.Model("image")), Text: write("text.onnx", text.Model("text")),
		Merges: write("merges.txt", []byte(merges)), Exec: exec, Env: env,
	}
}

type french map[string]string

func (f french) Translate(_ context.Context, text, _, _ string) (string, error) {
	if english, ok := f[text]; ok {
		return english, nil
	}
	return "", errors.New("no such word")
}

func engine(tb testing.TB, c Config) *Engine {
	tb.Helper()
	e, err := New(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return enginetest.Closed(tb, e)
}

func paint(c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(-5, 3, 95, 63))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

// TestColours goes all the way, for each layout: pixels, tokens, both networks in the child, and the shares.
func TestColours(t *testing.T) {
	for name, l := range layouts() {
		t.Run(name, func(t *testing.T) { colours(t, engine(t, config(t, l))) })
	}
}

func colours(t *testing.T, e *Engine) {
	t.Helper()
	labels := []string{"vert", "rouge", "blue"}
	var group sync.WaitGroup
	for want, c := range map[string]color.Color{
		"rouge": color.RGBA{255, 0, 0, 255}, "vert": color.RGBA{0, 255, 0, 255}, "blue": color.RGBA{0, 0, 255, 255},
	} {
		group.Go(func() {
			scores, err := e.Judge(t.Context(), paint(c), labels)
			if err != nil {
				t.Error(err)
				return
			}
			sum, best := 0.0, scores[0]
			for i, s := range scores {
				if sum += s.Score; s.Score > best.Score {
					best = s
				}
				if !s.Supported || s.Label != labels[i] {
					t.Errorf("%+v", s)
				}
			}
			if best.Label != want || best.Score < 0.9 || math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s: %+v", want, scores)
			}
		})
	}
	group.Wait()
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrStopped)
	if _, err := e.Judge(gone, paint(color.Black), labels); !errors.Is(err, fault.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

// TestNoEncoder: what cannot be a pair of encoders is refused when it is loaded.
func TestNoEncoder(t *testing.T) {
	two := layouts()["plain"]
	two.imageOut, two.more = "logits", true
	wide := layouts()["plain"]
	wide.side = 4096
	if err := ort.Load(enginetest.ORTLib(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := openEncoder(&ort.Models{}, config(t, two).Image); err == nil || !strings.Contains(err.Error(), "embedding") {
		t.Errorf("a network with other results: %v", err)
	}
	e, err := openEncoder(&ort.Models{}, config(t, wide).Image)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.side(); err == nil {
		t.Error("pictures of 4096 pixels are taken")
	}
}

func TestMissing(t *testing.T) {
	c := config(t, layouts()["plain"])
	c.Text += ".gone"
	_, err := engine(t, c).Judge(t.Context(), paint(color.Black), []string{"red"})
	if f := fault.As(err); f.Kind != fault.Unavailable || !strings.Contains(f.Msg, "models pull clip") {
		t.Errorf("got %v", err)
	}
}

// FuzzEncode: any text becomes 77 numbers of the vocabulary.
func FuzzEncode(f *testing.F) {
	tok := toy(f)
	f.Add("une photo d'un chat\x00\xff don't &#x1F600; red")
	f.Fuzz(func(t *testing.T, text string) {
		got := tok.encode(text)
		if len(got) != contextLength || got[0] != tok.begin || slices.Max(got) != tok.end || slices.Min(got) < 0 {
			t.Errorf("%q is %v", text, got)
		}
	})
}
