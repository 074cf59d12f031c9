// Package picturetest draws pages of French for the tests of what reads pictures, and counts the mistakes.
package picturetest

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/math/fixed"

	"brenda/pipeline/picture"
)

// Pangram has what French has and English has not.
const Pangram = `Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva
de crapaüter en canoë au delà des îles, près du
mälström où brûlent les novæ.
Facture n° 2024-118 : 1 234,56 € TTC — échéance le 15 août.
Élève, çà et là : « Où est-il né ? » dit-elle, gênée.`

// Letter is an everyday text.
const Letter = `Madame, Monsieur,
Nous avons bien reçu votre commande du 3 février et nous
vous en remercions. Le délai de livraison est de huit jours
ouvrés ; les frais de port s'élèvent à 12,90 €.
Le bœuf, les œufs et le pâté seront gardés au frais : « à
consommer sous 48 heures », précise l'étiquette.
Où que vous soyez, notre équipe répond à vos questions de
9 h à 18 h, sauf le dimanche. Près de 85 % des clients ont
jugé l'accueil très agréable cet été.
Veuillez agréer, Madame, Monsieur, nos salutations
distinguées. Benoît Lefèvre, gérant à Saint-Étienne`

// Ink is how a page is printed.
type Ink struct {
	TTF       []byte
	Size      float64 // pixels
	Ink, Page color.Color
}

// Draw draws lines of text as a page.
func Draw(tb testing.TB, k Ink, text string) *image.RGBA {
	tb.Helper()
	f, err := opentype.Parse(k.TTF)
	if err != nil {
		tb.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: k.Size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		tb.Fatal(err)
	}
	defer face.Close()
	lines := strings.Split(text, "\n")
	width := 0
	for _, l := range lines {
		width = max(width, font.MeasureString(face, l).Ceil())
	}
	margin, step := int(k.Size*1.4), int(k.Size*1.7)
	img := image.NewRGBA(image.Rect(0, 0, width+2*margin, len(lines)*step+2*margin))
	draw.Draw(img, img.Rect, image.NewUniform(k.Page), image.Point{}, draw.Src)
	d := font.Drawer{Dst: img, Src: image.NewUniform(k.Ink), Face: face}
	for i, l := range lines {
		d.Dot = fixed.P(margin, margin+int(k.Size)+i*step)
		d.DrawString(l)
	}
	return img
}

// Turn turns a page by some degrees, clockwise, on paper of the colour of its corner.
func Turn(img image.Image, degrees float64) *image.RGBA {
	b := img.Bounds()
	w, h := float64(b.Dx()), float64(b.Dy())
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	nw, nh := math.Ceil(w*math.Abs(cos)+h*math.Abs(sin)), math.Ceil(h*math.Abs(cos)+w*math.Abs(sin))
	out := image.NewRGBA(image.Rect(0, 0, int(nw), int(nh)))
	draw.Draw(out, out.Rect, image.NewUniform(img.At(b.Min.X, b.Min.Y)), image.Point{}, draw.Src)
	xdraw.BiLinear.Transform(out, f64.Aff3{
		cos, -sin, nw/2 - cos*w/2 + sin*h/2, sin, cos, nh/2 - sin*w/2 - cos*h/2,
	}, img, b, draw.Over, nil)
	return out
}

// Spoil turns a page by some degrees, adds noise of some levels and stores it as a poor JPEG.
func Spoil(tb testing.TB, img image.Image, degrees, noise float64, quality int) image.Image {
	tb.Helper()
	page := picture.Gray(Turn(img, degrees))
	dice := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same noise each time
	for i, v := range page.Pix {
		page.Pix[i] = uint8(math.Max(0, math.Min(255, float64(v)+dice.NormFloat64()*noise)))
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, page, &jpeg.Options{Quality: quality}); err != nil {
		tb.Fatal(err)
	}
	out, _, err := picture.Decode(tb.Context(), b.Bytes())
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// CER is the character error rate: the share of characters of want that must be changed, added or removed, with white
// space evened out.
func CER(want, got string) float64 {
	a, b := even(want), even(got)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := diagonal
			if x != y {
				cost++
			}
			diagonal, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return float64(row[len(b)]) / float64(len(a))
}

func even(s string) []rune {
	var lines []string
	for l := range strings.Lines(s) {
		if l = strings.Join(strings.Fields(l), " "); l != "" {
			lines = append(lines, l)
		}
	}
	return []rune(strings.Join(lines, "\n"))
}
