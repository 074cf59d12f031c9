package tesseract

import (
	"image"
	"math"
	"slices"

	"golang.org/x/image/draw"
)

const (
	grainy    = 6.0 // noise of more than that many levels is smoothed
	cell      = 24  // pixels of the squares whose paper is looked for
	paperRank = 0.9 // the paper is as bright as the 90th of 100 pixels of a square
	darkPaper = 100 // a page whose paper is darker is not paper with shadows
)

// noise estimates the standard deviation of the noise in levels: the mean response to a mask that lines and slopes do
// not excite (Immerkaer 1996).
func noise(g *image.Gray) float64 {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if w < 3 || h < 3 {
		return 0
	}
	sum := 0
	for y := 1; y < h-1; y++ {
		a, b, c := g.Pix[(y-1)*g.Stride:], g.Pix[y*g.Stride:], g.Pix[(y+1)*g.Stride:]
		for x := 1; x < w-1; x++ {
			v := int(a[x-1]) - 2*int(a[x]) + int(a[x+1]) - 2*int(b[x-1]) + 4*int(b[x]) - 2*int(b[x+1]) +
				int(c[x-1]) - 2*int(c[x]) + int(c[x+1])
			sum += max(v, -v)
		}
	}
	return math.Sqrt(math.Pi/2) * float64(sum) / (6 * float64(w-2) * float64(h-2))
}

// smooth averages each pixel with its neighbours, by 1-2-1 both ways.
func smooth(g *image.Gray) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	out := image.NewGray(g.Rect)
	for y := range h {
		a, b, c := g.Pix[max(0, y-1)*g.Stride:], g.Pix[y*g.Stride:], g.Pix[min(h-1, y+1)*g.Stride:]
		column := func(x int) int { return int(a[x]) + 2*int(b[x]) + int(c[x]) }
		for x := range w {
			sum := column(max(0, x-1)) + 2*column(x) + column(min(w-1, x+1))
			out.Pix[y*out.Stride+x] = uint8((sum + 8) / 16)
		}
	}
	return out
}

// unshade makes paper evenly white: each pixel is compared with the paper around it. A page that is dark as a whole is
// left as it is.
func unshade(g *image.Gray) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	paper := image.NewGray(image.Rect(0, 0, (w+cell-1)/cell, (h+cell-1)/cell))
	for y := range paper.Rect.Dy() {
		for x := range paper.Rect.Dx() {
			paper.Pix[y*paper.Stride+x] = brightness(g, image.Rect(x*cell, y*cell, (x+1)*cell, (y+1)*cell).Intersect(g.Rect))
		}
	}
	if sorted := slices.Sorted(slices.Values(paper.Pix)); len(sorted) == 0 || sorted[len(sorted)/2] < darkPaper {
		return g
	}
	around := image.NewGray(g.Rect)
	draw.BiLinear.Scale(around, around.Rect, smooth(smooth(paper)), paper.Rect, draw.Src, nil)
	out := image.NewGray(g.Rect)
	for i, v := range g.Pix {
		out.Pix[i] = uint8(min(255, int(v)*255/max(1, int(around.Pix[i]))))
	}
	return out
}

// brightness returns how bright the paper in a square is.
func brightness(g *image.Gray, r image.Rectangle) uint8 {
	var count [256]int
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for _, v := range g.Pix[y*g.Stride+r.Min.X : y*g.Stride+r.Max.X] {
			count[v]++
		}
	}
	left := int(float64(r.Dx()*r.Dy()) * (1 - paperRank))
	for v := 255; v > 0; v-- {
		if left -= count[v]; left < 0 {
			return uint8(v)
		}
	}
	return 0
}
