package tesseract

import (
	"image"
	"math"

	"golang.org/x/image/draw"
)

const (
	skewSide = 1000 // pixels of the copy's longer side in which the lean is measured
	maxSkew  = 6.0  // degrees; more is a picture that was turned on purpose
	clearer  = 1.04 // how much sharper the lines must get for the lean to be believed
)

// skew returns by how many degrees the lines of a page lean; positive when they sink to the right, 0 when that cannot
// be told. At the right angle the ink, summed along the lines, changes most from row to row (Postl 1986).
func skew(g *image.Gray) float64 {
	pts := edges(shrink(g))
	if len(pts) < 200 {
		return 0
	}
	straight := sharpness(pts, 0)
	best, most := 0.0, straight
	for _, step := range []float64{0.5, 0.1, 0.02} {
		from, to := best-4*step, best+4*step
		if step == 0.5 {
			from, to = -maxSkew, maxSkew
		}
		for a := from; a <= to+step/2; a += step {
			if s := sharpness(pts, a); s > most {
				best, most = a, s
			}
		}
	}
	if most < clearer*straight || math.Abs(best) > maxSkew-0.25 {
		return 0
	}
	return best
}

func shrink(g *image.Gray) *image.Gray {
	side := max(g.Rect.Dx(), g.Rect.Dy())
	if side <= skewSide {
		return g
	}
	out := image.NewGray(image.Rect(0, 0, max(1, g.Rect.Dx()*skewSide/side), max(1, g.Rect.Dy()*skewSide/side)))
	draw.ApproxBiLinear.Scale(out, out.Rect, g, g.Rect, draw.Src, nil)
	return out
}

// edges returns the points where it gets much darker or lighter downwards: the upper and lower ends of letters.
func edges(g *image.Gray) []image.Point {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	lo, hi := uint8(255), uint8(0)
	for y := range h {
		for _, v := range g.Pix[y*g.Stride:][:w] {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	least := int(hi-lo) / 3
	if least < 16 {
		return nil // nothing is written there
	}
	var out []image.Point
	for y := 1; y < h; y++ {
		above, line := g.Pix[(y-1)*g.Stride:], g.Pix[y*g.Stride:]
		for x := range w {
			if d := int(above[x]) - int(line[x]); d > least { // into the ink
				out = append(out, image.Pt(x, y))
			}
		}
	}
	return out
}

// sharpness is the sum of the squared numbers of points in each line, for lines that lean by an angle.
func sharpness(pts []image.Point, degrees float64) float64 {
	slope := math.Tan(degrees * math.Pi / 180)
	const off = 4 * skewSide // leaning lines may begin above the picture
	rows := make([]int32, 10*skewSide)
	for _, p := range pts {
		rows[off+int(math.Round(float64(p.Y)-slope*float64(p.X)))]++
	}
	var sum float64
	for _, n := range rows {
		sum += float64(n) * float64(n)
	}
	return sum
}
