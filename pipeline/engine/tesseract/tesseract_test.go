package tesseract

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/math/f64"

	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
	"brenda/pipeline/picture/picturetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	black = color.Gray{Y: 0}
	white = color.Gray{Y: 255}
	brown = color.RGBA{60, 55, 50, 255}
	cream = color.RGBA{225, 220, 205, 255}
)

// plain draws a page in black on white.
func plain(t *testing.T, size float64, text string) image.Image {
	t.Helper()
	return picturetest.Draw(t, picturetest.Ink{TTF: goregular.TTF, Size: size, Ink: black, Page: white}, text)
}

// TestAccuracy: the character error rate over all pages of a kind, with what the issue asks for.
func TestAccuracy(t *testing.T) {
	e := New(Config{})
	pages := func(size float64, ink, paper color.Color, ttfs ...[]byte) (imgs []image.Image, texts []string) {
		for _, ttf := range ttfs {
			for _, text := range []string{picturetest.Pangram, picturetest.Letter} {
				imgs, texts = append(imgs, picturetest.Draw(t, picturetest.Ink{TTF: ttf, Size: size, Ink: ink, Page: paper}, text)), append(texts, text)
			}
		}
		return imgs, texts
	}
	for name, c := range map[string]struct {
		size    float64
		hard    func(image.Image) image.Image
		most    float64
		ttfs    [][]byte
		ink     color.Color
		on      color.Color
		degrees float64
	}{
		"clean 28":  {size: 28, most: 0.015, ttfs: [][]byte{goregular.TTF, gobold.TTF}, ink: black, on: white},
		"small 13":  {size: 13, most: 0.015, ttfs: [][]byte{goregular.TTF}, ink: black, on: white},
		"mono 20":   {size: 20, most: 0.015, ttfs: [][]byte{gomono.TTF}, ink: black, on: white},
		"inverted":  {size: 24, most: 0.015, ttfs: [][]byte{goregular.TTF}, ink: white, on: black},
		"rotated":   {size: 18, most: 0.03, ttfs: [][]byte{goregular.TTF}, ink: brown, on: cream, degrees: 2},
		"other way": {size: 22, most: 0.03, ttfs: [][]byte{goregular.TTF}, ink: brown, on: cream, degrees: -2},
		"level":     {size: 18, most: 0.03, ttfs: [][]byte{gomono.TTF}, ink: brown, on: cream, degrees: 1e-9},
	} {
		t.Run(name, func(t *testing.T) {
			imgs, texts := pages(c.size, c.ink, c.on, c.ttfs...)
			var wrong, all float64
			for i, img := range imgs {
				if c.degrees != 0 {
					img = picturetest.Spoil(t, img, c.degrees, 18, 70)
				}
				p, err := e.Read(t.Context(), img, []string{"fra"})
				if err != nil {
					t.Fatal(err)
				}
				n := float64(len([]rune(texts[i])))
				rate := picturetest.CER(texts[i], p.Text)
				wrong, all = wrong+rate*n, all+n
				t.Logf("%s %d: CER %.2f %%, confidence %.2f", name, i, 100*rate, p.Confidence)
				if rate > 0 {
					t.Log(p.Text)
				}
				for _, w := range p.Words {
					if !w.Box.In(img.Bounds()) || w.Box.Empty() {
						t.Errorf("%q is at %v", w.Text, w.Box)
					}
				}
			}
			if wrong/all > c.most {
				t.Errorf("%s: CER %.2f %%, at most %.1f %% is asked for", name, 100*wrong/all, 100*c.most)
			}
		})
	}
}

// TestBoxes: words lie where they were drawn, also on a page that leans.
func TestBoxes(t *testing.T) {
	e := New(Config{})
	img := plain(t, 30, "Bonjour monde\n\n\n\n\nAu revoir")
	for name, page := range map[string]image.Image{"level": img, "leaning": picturetest.Spoil(t, img, 3, 0, 95)} {
		p, err := e.Read(t.Context(), page, []string{"fra"})
		if err != nil || strings.Join(strings.Fields(p.Text), " ") != "Bonjour monde Au revoir" {
			t.Fatalf("%s: read %q, %v", name, p.Text, err)
		}
		gray := picture.Gray(page)
		for _, w := range p.Words {
			ink := 0
			for y := w.Box.Min.Y; y < w.Box.Max.Y; y++ {
				for x := w.Box.Min.X; x < w.Box.Max.X; x++ {
					if gray.GrayAt(x, y).Y < 128 {
						ink++
					}
				}
			}
			if share := float64(ink) / float64(w.Box.Dx()*w.Box.Dy()); share < 0.08 || w.Box.Dy() > 60 {
				t.Errorf("%s: %q in %v has %.2f ink", name, w.Text, w.Box, share)
			}
		}
	}
}

func TestNothingToRead(t *testing.T) {
	e := New(Config{})
	for _, size := range []image.Point{{1, 1}, {3, 500}, {400, 300}} {
		blank := image.NewRGBA(image.Rectangle{Max: size}) // transparent: white paper
		p, err := e.Read(t.Context(), blank, []string{"fra"})
		if err != nil || p.Text != "" || len(p.Words) != 0 || p.Confidence != 0 {
			t.Errorf("%v: %+v, %v", size, p, err)
		}
	}
}

func TestLanguages(t *testing.T) {
	e := New(Config{})
	langs, err := e.Languages(t.Context(), false)
	if err != nil || !strings.Contains(strings.Join(langs, " "), "eng fra") {
		t.Errorf("%v, %v", langs, err)
	}
}

func TestMissingProgram(t *testing.T) {
	e := New(Config{Program: "no-such-program-here"})
	_, err := e.Read(t.Context(), image.NewGray(image.Rect(0, 0, 9, 9)), []string{"fra"})
	if f := fault.As(err); f.Kind != fault.Unavailable || !strings.Contains(f.Msg, Install) {
		t.Errorf("got %v", err)
	}
	if _, err := e.Languages(t.Context(), false); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

// TestCancel ends readings at different moments; goleak sees what would be left of them.
func TestCancel(t *testing.T) {
	e := New(Config{})
	img := plain(t, 28, picturetest.Letter)
	var group sync.WaitGroup
	for i := range 3 {
		ctx, cancel := context.WithCancelCause(t.Context())
		group.Go(func() {
			if _, err := e.Read(ctx, img, []string{"fra"}); !errors.Is(err, fault.ErrStopped) {
				t.Errorf("got %v", err)
			}
		})
		if i == 0 {
			cancel(fault.ErrStopped)
			continue
		}
		group.Go(func() { // while the child works
			_, _ = e.Languages(context.WithoutCancel(ctx), true)
			cancel(fault.ErrStopped)
		})
	}
	group.Wait()
}

// TestSideBySide: readings at the same time do not mix.
func TestSideBySide(t *testing.T) {
	e := New(Config{})
	var group sync.WaitGroup
	for _, text := range []string{"Premier texte", "Deuxième texte", "Troisième texte"} {
		img := plain(t, 40, text)
		group.Go(func() {
			if p, err := e.Read(t.Context(), img, []string{"fra"}); err != nil || p.Text != text {
				t.Errorf("%q was read as %q, %v", text, p.Text, err)
			}
		})
	}
	group.Wait()
}

// TestDouble: what is even stays even, edges stay sharp, and places are found again.
func TestDouble(t *testing.T) {
	g := image.NewGray(image.Rect(0, 0, 5, 3))
	for i := range g.Pix {
		g.Pix[i] = 200
		if i%5 >= 3 {
			g.Pix[i] = 20
		}
	}
	s := sheet{gray: g, back: f64.Aff3{1, 0, 0, 0, 1, 0}, frame: g.Rect}.double()
	for y := range 6 {
		if row := s.gray.Pix[10*y:][:10]; row[0] != 200 || row[5] < 160 || row[6] > 60 || row[9] != 20 {
			t.Errorf("line %d is %v", y, row)
		}
	}
	if box := s.original(image.Rect(2, 2, 6, 4)); box != image.Rect(1, 1, 3, 2) {
		t.Errorf("found at %v", box)
	}
}

func TestSkew(t *testing.T) {
	img := plain(t, 28, picturetest.Letter)
	for _, lean := range []float64{-5, -2, -0.5, 0, 0.3, 2, 4} {
		if got := skew(picture.Gray(picturetest.Turn(img, lean))); math.Abs(got-lean) > 0.1 {
			t.Errorf("%v degrees are taken for %.2f", lean, got)
		}
	}
}

// TestLowerArticles: only what is surely wrong is changed.
func TestLowerArticles(t *testing.T) {
	for in, want := range map[string]string{
		"Le chat et Le chien": "Le chat et le chien", "sous L'eau": "sous l'eau", "çà et Là.": "çà et là.",
		"Jean Le Bon": "Jean Le Bon", "de La Rochelle": "de La Rochelle", "à L'Haÿ": "à L'Haÿ", "Fin. Le jour": "Fin. Le jour",
		"un Lion": "un Lion", "« Le jour »": "« Le jour »", "l'an 5 Le jour": "l'an 5 Le jour", "avec Les": "avec les",
	} {
		var r reading
		for w := range strings.FieldsSeq(in) {
			r.words = append(r.words, word{text: w})
		}
		if r.lowerArticles(); r.page(sheet{}).Text != want {
			t.Errorf("%q became %q", in, r.page(sheet{}).Text)
		}
	}
	lines := reading{words: []word{{text: "Menu"}, {text: "Le plat", line: [4]int{1}}}}
	if lines.lowerArticles(); lines.words[1].text != "Le plat" {
		t.Error("a new line lost its capital")
	}
}

// stored is a PNG whose EXIF says how it is to be turned (1…8).
func stored(t *testing.T, img image.Image, turn byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	chunk := append([]byte("eXIf"), 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, turn, 0, 0, 0, 0, 0, 0, 0)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk))
	const head = 8 + 25 // the signature and IHDR
	return slices.Concat(b.Bytes()[:head], []byte{0, 0, 0, byte(len(chunk) - 8)}, chunk, b.Bytes()[head:])
}

// TestTurnedPhoto: a page that a camera stored on its side reads the same.
func TestTurnedPhoto(t *testing.T) {
	e := New(Config{})
	page := plain(t, 30, "Le café est prêt\net le thé aussi")
	back := map[byte]int{1: 1, 3: 3, 5: 5, 6: 8, 8: 6}
	want, err := e.Read(t.Context(), page, []string{"fra"})
	if err != nil || want.Text != "Le café est prêt\net le thé aussi" {
		t.Fatalf("%q, %v", want.Text, err)
	}
	for turn, other := range back {
		img, _, err := picture.Decode(t.Context(), stored(t, picture.Upright(page, other), turn))
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Read(t.Context(), img, []string{"fra"})
		if err != nil || got.Text != want.Text || !slices.Equal(got.Words, want.Words) {
			t.Errorf("turned by %d it reads %q, %v", turn, got.Text, err)
		}
	}
}

// FuzzParse: no table makes it panic.
func FuzzParse(f *testing.F) {
	f.Add([]byte("level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n" +
		"5\t1\t1\t1\t1\t1\t20\t24\t60\t23\t96.5\tLe\n5\t1\t1\t1\t2\t1\t20\t64\t60\t23\t-1\t \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			return
		}
		for _, w := range r.page(sheet{frame: image.Rect(0, 0, 100, 100)}).Words {
			if w.Confidence < 0 || w.Confidence > 1 || w.Text == "" {
				t.Errorf("%+v", w)
			}
		}
	})
}
