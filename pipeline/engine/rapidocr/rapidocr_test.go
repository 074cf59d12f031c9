package rapidocr

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"strings"
	"sync"
	"testing"

	"golang.org/x/image/font/gofont/goregular"

	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
	"brenda/pipeline/picture/picturetest"
)

func TestMain(m *testing.M) { enginetest.MainWithChild(m, ChildMain) }

func config(tb testing.TB) Config {
	tb.Helper()
	c := Config{
		ORTLib: enginetest.ORTLib(tb), Threads: 2,
		Det: enginetest.Model(tb, "rapidocr", "PP-OCRv6_det_small.onnx"),
		Rec: enginetest.Model(tb, "rapidocr", "PP-OCRv6_rec_small.onnx"),
	}
	c.Exec, c.Env = enginetest.AsChild()
	return c
}

func engine(tb testing.TB, c Config) *Engine {
	tb.Helper()
	return enginetest.Closed(tb, New(tb.Context(), c))
}

func plain(tb testing.TB, size float64, text string) image.Image {
	tb.Helper()
	return picturetest.Draw(tb, picturetest.Ink{TTF: goregular.TTF, Size: size, Ink: color.Black, Page: color.White}, text)
}

// TestAccuracy: the character error rates that the issue asks for.
func TestAccuracy(t *testing.T) {
	e := engine(t, config(t))
	brown, cream := color.RGBA{60, 55, 50, 255}, color.RGBA{225, 220, 205, 255}
	old := picturetest.Ink{TTF: goregular.TTF, Size: 18, Ink: brown, Page: cream}
	for name, c := range map[string]struct {
		page image.Image
		text string
		most float64
	}{
		"clean":   {plain(t, 28, picturetest.Pangram), picturetest.Pangram, 0.015},
		"spoiled": {picturetest.Spoil(t, picturetest.Draw(t, old, picturetest.Letter), 2, 18, 70), picturetest.Letter, 0.03},
	} {
		p, err := e.Read(t.Context(), c.page, []string{"fra"})
		if err != nil {
			t.Fatal(err)
		}
		rate := picturetest.CER(c.text, p.Text)
		t.Logf("%s: CER %.2f %%, confidence %.2f", name, 100*rate, p.Confidence)
		if rate > c.most {
			t.Errorf("%s: CER %.2f %%, at most %.1f %% is asked for:\n%s", name, 100*rate, 100*c.most, p.Text)
		}
		if got := len(p.Words); got != len(strings.Fields(p.Text)) {
			t.Errorf("%s: %d words", name, got)
		}
		for _, w := range p.Words {
			if !w.Box.In(c.page.Bounds()) || w.Box.Empty() {
				t.Errorf("%q is at %v", w.Text, w.Box)
			}
		}
	}
}

// TestSideBySide: readings at the same time do not mix, nothing is found on a blank page, and what ends early says why.
func TestSideBySide(t *testing.T) {
	e := engine(t, config(t))
	var group sync.WaitGroup
	for _, text := range []string{"Premier texte", "Deuxième texte", ""} {
		img := plain(t, 40, text)
		group.Go(func() {
			p, err := e.Read(t.Context(), img, nil)
			if err != nil || p.Text != text {
				t.Errorf("%q was read as %q, %v", text, p.Text, err)
			}
		})
	}
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrStopped)
	if _, err := e.Read(gone, plain(t, 40, "Texte"), nil); !errors.Is(err, fault.ErrStopped) {
		t.Errorf("got %v", err)
	}
	group.Wait()
}

func TestMissing(t *testing.T) {
	c := config(t)
	c.Det += ".gone"
	_, err := engine(t, c).Read(t.Context(), plain(t, 20, "a"), nil)
	if f := fault.As(err); f.Kind != fault.Unavailable || !strings.Contains(f.Msg, "models pull rapidocr") {
		t.Errorf("got %v", err)
	}
}

// TestFindBoxes: a leaning bar is found with its lean, its place and its sides, grown as the paper says.
func TestFindBoxes(t *testing.T) {
	const w, h = 300, 200
	for _, want := range []box{
		{x: 150, y: 100, wide: 100, up: 10},
		{x: 150, y: 100, wide: 100, up: 10, angle: 0.2},
		{x: 140, y: 90, wide: 90, up: 12, angle: -0.3},
		{x: 150, y: 100, wide: 80, up: 8, angle: -math.Pi / 2},
	} {
		probs := make([]float32, w*h)
		sin, cos := math.Sincos(want.angle)
		for i := range probs {
			dx, dy := float64(i%w)+0.5-want.x, float64(i/w)+0.5-want.y
			if math.Abs(dx*cos+dy*sin) <= want.wide && math.Abs(-dx*sin+dy*cos) <= want.up {
				probs[i] = 0.9
			}
		}
		probs[0] = 0.9 // a speck
		got := findBoxes(probs, w, h)
		if len(got) != 1 {
			t.Fatalf("%+v: found %+v", want, got)
		}
		grow := want.wide * want.up * unclip / (want.wide + want.up)
		for name, d := range map[string]float64{
			"x": got[0].x - want.x, "y": got[0].y - want.y, "wide": got[0].wide - want.wide - grow,
			"up": got[0].up - want.up - grow, "angle": 50 * (got[0].angle - want.angle),
		} {
			if math.Abs(d) > 2 {
				t.Errorf("%+v: %s is off by %v in %+v", want, name, d, got[0])
			}
		}
	}
	if got := findBoxes(make([]float32, w*h), w, h); len(got) != 0 {
		t.Errorf("found %+v in nothing", got)
	}
}

func TestInOrder(t *testing.T) {
	got := inOrder([]box{{x: 300, y: 101, up: 10}, {x: 50, y: 200, up: 10}, {x: 100, y: 104, up: 10}})
	if got[0].x != 100 || got[1].x != 300 || got[2].x != 50 || !got[0].beside(got[1]) || got[1].beside(got[2]) {
		t.Errorf("got %+v", got)
	}
}

func TestDecode(t *testing.T) {
	alphabet := []string{"", "é", "t", " "}
	var probs []float32
	for _, best := range []int{0, 1, 1, 2, 0, 1, 0, 3, 2, 2} {
		row := []float32{0.1, 0.1, 0.1, 0.1}
		row[best] = 0.7
		probs = append(probs, row...)
	}
	d := decode(probs, alphabet)
	var text strings.Builder
	for _, l := range d.Letters {
		text.WriteString(l.Text)
	}
	if text.String() != "été t" || d.Steps != 10 || d.Letters[2].At != 5 || d.Letters[0].P != 0.7 {
		t.Errorf("got %+v", d)
	}
	l := line{box: box{x: 50, y: 10, wide: 50, up: 10}, used: 1, read: d}
	words := l.words(image.Rect(0, 0, 100, 20))
	if len(words) != 2 || words[0].Text != "été" || words[1].Text != "t" || words[1].Box.Min.X < words[0].Box.Max.X-1 {
		t.Errorf("got %+v", words)
	}
	if p := page(nil, image.Rect(0, 0, 1, 1)); p.Text != "" || p.Words == nil || p.Confidence != 0 {
		t.Errorf("nothing is %+v", p)
	}
}

// FuzzFindBoxes: no map of probabilities makes it panic, and boxes have finite numbers.
func FuzzFindBoxes(f *testing.F) {
	f.Add([]byte{0, 255, 255, 255, 0, 255, 255, 255, 0}, 3)
	f.Fuzz(func(t *testing.T, b []byte, w int) {
		if w <= 0 || w > 64 || len(b) < w || len(b) > 4096 {
			return
		}
		h := len(b) / w
		probs := make([]float32, w*h)
		for i := range probs {
			probs[i] = float32(b[i]) / 255
		}
		for _, found := range findBoxes(probs, w, h) {
			if !(found.wide > 0 && found.up > 0 && found.wide < 1000 && found.up < 1000) || math.IsNaN(found.angle) {
				t.Errorf("%+v", found)
			}
		}
	})
}
