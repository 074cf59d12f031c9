package picture

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"golang.org/x/image/draw"
)

// Color is one of the colours that a picture is made of.
type Color struct {
	Hex   string  // "#rrggbb"
	Share float64 // of the picture's visible area, 0…1
}

const (
	sampleSide = 96   // colours are counted in a copy that is at most so large
	closeBy    = 48.0 // colours nearer than that, as distances in RGB, are one
	leastShare = 0.01 // colours with less are not told of
)

// shade is a group of pixels of nearly one colour.
type shade struct {
	r, g, b float64 // sums
	n       float64
}

func (s shade) distance(o shade) float64 {
	dr, dg, db := s.r/s.n-o.r/o.n, s.g/s.n-o.g/o.n, s.b/s.n-o.b/o.n
	return math.Sqrt(dr*dr + dg*dg + db*db)
}

// Colors returns the dominant colours of a picture, at most n, the largest share first. Pixels are counted in cells
// of 16 levels a channel; then each cell joins the largest colour that looks like it.
func Colors(img image.Image, n int) []Color {
	cells := map[[3]uint8]shade{}
	total := 0.0
	for _, p := range samples(img) {
		key := [3]uint8{p.R >> 4, p.G >> 4, p.B >> 4}
		c := cells[key]
		c.r, c.g, c.b, c.n = c.r+float64(p.R), c.g+float64(p.G), c.b+float64(p.B), c.n+1
		cells[key] = c
		total++
	}
	sorted := make([]shade, 0, len(cells))
	for _, c := range cells {
		sorted = append(sorted, c)
	}
	slices.SortFunc(sorted, func(a, b shade) int { // a full order: the same picture always gives the same answer
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.r/a.n, b.r/b.n), cmp.Compare(a.g/a.n, b.g/b.n),
			cmp.Compare(a.b/a.n, b.b/b.n))
	})
	out := []Color{}
	for _, g := range merge(sorted) {
		if share := g.n / total; share >= leastShare && len(out) < n {
			hex := fmt.Sprintf("#%02x%02x%02x", round(g.r/g.n), round(g.g/g.n), round(g.b/g.n))
			out = append(out, Color{Hex: hex, Share: math.Round(share*1000) / 1000})
		}
	}
	return out
}

func round(v float64) uint8 { return uint8(math.Round(v)) }

// merge joins each shade to the first group that looks like it, and returns the groups, the largest first.
func merge(sorted []shade) []shade {
	var groups, seeds []shade
	for _, c := range sorted {
		i := slices.IndexFunc(seeds, func(s shade) bool { return s.distance(c) < closeBy })
		if i < 0 {
			groups, seeds = append(groups, c), append(seeds, c)
			continue
		}
		g := &groups[i]
		g.r, g.g, g.b, g.n = g.r+c.r, g.g+c.g, g.b+c.b, g.n+c.n
	}
	slices.SortStableFunc(groups, func(a, b shade) int { return cmp.Compare(b.n, a.n) })
	return groups
}

// samples returns the visible pixels of a small copy.
func samples(img image.Image) []color.NRGBA {
	b := img.Bounds()
	scale := min(1, float64(sampleSide)/float64(max(b.Dx(), b.Dy())))
	small := image.NewNRGBA(image.Rect(0, 0, max(1, int(float64(b.Dx())*scale)), max(1, int(float64(b.Dy())*scale))))
	draw.ApproxBiLinear.Scale(small, small.Rect, img, b, draw.Src, nil)
	out := make([]color.NRGBA, 0, len(small.Pix)/4)
	for i := 0; i < len(small.Pix); i += 4 {
		if p := small.Pix[i:]; p[3] >= 128 {
			out = append(out, color.NRGBA{R: p[0], G: p[1], B: p[2], A: p[3]})
		}
	}
	return out
}
