package tesseract

import (
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"

	"brenda/pipeline/picture"
)

const (
	mostPixels = 16_000_000 // of a sheet: A4 at 400 dpi. More costs time and reads no better.
	leastLean  = 0.15       // degrees; what leans less is left alone
)

// sheet is a picture made ready for a pass.
type sheet struct {
	gray  *image.Gray
	back  f64.Aff3        // from the sheet to the picture
	frame image.Rectangle // of the picture
}

// prepare turns a picture into a sheet: grey, not too large, its lines level.
func prepare(img image.Image) sheet {
	b := img.Bounds()
	s := sheet{gray: picture.Gray(img), back: f64.Aff3{1, 0, 0, 0, 1, 0}, frame: image.Rect(0, 0, b.Dx(), b.Dy())}
	if n := float64(b.Dx()) * float64(b.Dy()); n > mostPixels {
		s = s.scale(math.Sqrt(mostPixels / n))
	}
	if lean := skew(s.gray); math.Abs(lean) >= leastLean {
		s = s.rotate(lean)
	}
	return s
}

// better returns the sheet for a second look: at twice its size, if that is not too large, without noise and shadows.
func (s sheet) better() sheet {
	if noise(s.gray) > grainy {
		s.gray = smooth(s.gray)
	}
	if 4*s.gray.Rect.Dx()*s.gray.Rect.Dy() <= mostPixels {
		s = s.double()
	}
	s.gray = unshade(s.gray)
	return s
}

// scale makes a sheet smaller. The filter is one that needs no memory of its own: large pictures come here.
func (s sheet) scale(by float64) sheet {
	size := func(n int) int { return max(1, int(math.Round(float64(n)*by))) }
	out := image.NewGray(image.Rect(0, 0, size(s.gray.Rect.Dx()), size(s.gray.Rect.Dy())))
	draw.ApproxBiLinear.Scale(out, out.Rect, s.gray, s.gray.Rect, draw.Src, nil)
	s.gray = out
	s.back = times(s.back, f64.Aff3{1 / by, 0, 0, 0, 1 / by, 0})
	return s
}

// double makes a sheet twice as large, with the filter of Catmull and Rom: halfway between two pixels its weights are
// whole 128ths.
func (s sheet) double() sheet {
	w, h := s.gray.Rect.Dx(), s.gray.Rect.Dy()
	wide := image.NewGray(image.Rect(0, 0, 2*w, h))
	for y := range h {
		doubled(w, func(x int) int { return int(s.gray.Pix[y*s.gray.Stride+x]) },
			func(x int, v uint8) { wide.Pix[y*wide.Stride+x] = v })
	}
	out := image.NewGray(image.Rect(0, 0, 2*w, 2*h))
	for x := range 2 * w {
		doubled(h, func(y int) int { return int(wide.Pix[y*wide.Stride+x]) },
			func(y int, v uint8) { out.Pix[y*out.Stride+x] = v })
	}
	s.gray = out
	s.back = times(s.back, f64.Aff3{0.5, 0, 0, 0, 0.5, 0})
	return s
}

// doubled makes 2n values of n.
func doubled(n int, get func(int) int, set func(int, uint8)) {
	at := func(i int) int { return get(min(n-1, max(0, i))) }
	a, b, c, d := at(-2), at(-1), at(0), at(1)
	for i := range n {
		e := at(i + 2)
		set(2*i, level(-3*a+29*b+111*c-9*d))
		set(2*i+1, level(-9*b+111*c+29*d-3*e))
		a, b, c, d = b, c, d, e
	}
}

// level rounds 128ths to a level.
func level(v int) uint8 { return uint8(min(255, max(0, (v+64)/128))) }

// rotate levels lines that lean by some degrees: those that sink to the right have a positive lean.
func (s sheet) rotate(degrees float64) sheet {
	w, h := float64(s.gray.Rect.Dx()), float64(s.gray.Rect.Dy())
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	nw, nh := math.Ceil(w*cos+h*math.Abs(sin)), math.Ceil(h*cos+w*math.Abs(sin))
	// A point of the new sheet, seen from its middle, is turned by the lean to where it was.
	back := f64.Aff3{cos, -sin, w/2 - cos*nw/2 + sin*nh/2, sin, cos, h/2 - sin*nw/2 - cos*nh/2}
	forth := f64.Aff3{cos, sin, nw/2 - cos*w/2 - sin*h/2, -sin, cos, nh/2 + sin*w/2 - cos*h/2}
	out := image.NewGray(image.Rect(0, 0, int(nw), int(nh)))
	draw.Draw(out, out.Rect, image.NewUniform(color.Gray{Y: border(s.gray)}), image.Point{}, draw.Src)
	draw.BiLinear.Transform(out, forth, s.gray, s.gray.Rect, draw.Over, nil)
	s.gray, s.back = out, times(s.back, back)
	return s
}

// times returns the map that does b and then a.
func times(a, b f64.Aff3) f64.Aff3 {
	return f64.Aff3{
		a[0]*b[0] + a[1]*b[3], a[0]*b[1] + a[1]*b[4], a[0]*b[2] + a[1]*b[5] + a[2],
		a[3]*b[0] + a[4]*b[3], a[3]*b[1] + a[4]*b[4], a[3]*b[2] + a[4]*b[5] + a[5],
	}
}

// border is the mean brightness along the edge: the colour of the paper, for the corners that a rotation uncovers.
func border(g *image.Gray) uint8 {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	sum, n := 0, 0
	for x := range w {
		sum += int(g.Pix[x]) + int(g.Pix[(h-1)*g.Stride+x])
		n += 2
	}
	for y := range h {
		sum += int(g.Pix[y*g.Stride]) + int(g.Pix[y*g.Stride+w-1])
		n += 2
	}
	return uint8(sum / n)
}

// original returns the upright rectangle around a box of the sheet, in pixels of the picture and within it.
func (s sheet) original(box image.Rectangle) image.Rectangle {
	m := s.back
	minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, p := range []image.Point{box.Min, box.Max, {X: box.Min.X, Y: box.Max.Y}, {X: box.Max.X, Y: box.Min.Y}} {
		x := m[0]*float64(p.X) + m[1]*float64(p.Y) + m[2]
		y := m[3]*float64(p.X) + m[4]*float64(p.Y) + m[5]
		minX, maxX, minY, maxY = min(minX, x), max(maxX, x), min(minY, y), max(maxY, y)
	}
	const almost = 0.01 // rounding of the map must not add a pixel
	return image.Rect(int(math.Floor(minX+almost)), int(math.Floor(minY+almost)),
		int(math.Ceil(maxX-almost)), int(math.Ceil(maxY-almost))).Intersect(s.frame)
}
