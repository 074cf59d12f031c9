package rapidocr

import (
	"cmp"
	"image"
	"math"
	"slices"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

// The numbers of "Real-time Scene Text Detection with Differentiable Binarization" (Liao et al. 2020), as PP-OCR sets
// them.
const (
	inkLevel  = 0.3  // pixels with more belong to a line
	boxLevel  = 0.5  // lines whose pixels have less on average are none
	unclip    = 1.6  // lines are found too thin; they grow by area × unclip / perimeter
	leastInk  = 3.0  // pixels of the thinnest line
	mostBoxes = 1000 // lines of one picture
)

// box is a rectangle that may lean: its middle, its half sides along two axes, and the direction of the first.
type box struct {
	x, y     float64
	wide, up float64 // half the length along the line, and across
	angle    float64 // of the line, in radians; positive sinks to the right
}

// scaled brings a box from one picture to a larger or smaller one, whose sides may differ a little in their ratio.
func (b box) scaled(sx, sy float64) box {
	sin, cos := math.Sincos(b.angle)
	return box{
		x: b.x * sx, y: b.y * sy, angle: math.Atan2(sin*sy, cos*sx),
		wide: b.wide * math.Hypot(cos*sx, sin*sy), up: b.up * math.Hypot(sin*sx, cos*sy),
	}
}

// part returns the upright rectangle around a piece of a box, from a share of its length to another.
func (b box) part(begin, end float64) image.Rectangle {
	sin, cos := math.Sincos(b.angle)
	minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, u := range []float64{(2*begin - 1) * b.wide, (2*end - 1) * b.wide} {
		for _, v := range []float64{-b.up, b.up} {
			x, y := b.x+u*cos-v*sin, b.y+u*sin+v*cos
			minX, maxX, minY, maxY = min(minX, x), max(maxX, x), min(minY, y), max(maxY, y)
		}
	}
	return image.Rect(int(math.Floor(minX)), int(math.Floor(minY)), int(math.Ceil(maxX)), int(math.Ceil(maxY)))
}

// beside tells whether another box goes on in the same line.
func (b box) beside(o box) bool {
	return math.Abs(b.y-o.y) < 0.5*min(b.up, o.up)*2 && o.x > b.x
}

// cut returns what is in a box, upright and lineHeight high.
func (b box) cut(img *image.RGBA) *image.RGBA {
	scale := lineHeight / (2 * b.up)
	w := min(longest, max(1, int(math.Ceil(2*b.wide*scale))))
	out := image.NewRGBA(image.Rect(0, 0, w, lineHeight))
	draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
	sin, cos := math.Sincos(b.angle)
	sx := float64(w) / (2 * b.wide)
	// A point of the picture, seen from the box's middle, is turned back, scaled, and moved to the strip's middle.
	m := f64.Aff3{
		cos * sx, sin * sx, float64(w)/2 - sx*(cos*b.x+sin*b.y),
		-sin * scale, cos * scale, lineHeight/2 - scale*(-sin*b.x+cos*b.y),
	}
	draw.CatmullRom.Transform(out, m, img, img.Rect, draw.Over, nil)
	return out
}

// inOrder sorts boxes as they are read: line by line from above, each from the left.
func inOrder(boxes []box) []box {
	slices.SortFunc(boxes, func(a, b box) int { return cmp.Compare(a.y, b.y) })
	for i := 0; i < len(boxes); {
		end := i + 1
		for end < len(boxes) && boxes[end].y-boxes[i].y < min(boxes[i].up, boxes[end].up) {
			end++
		}
		slices.SortFunc(boxes[i:end], func(a, b box) int { return cmp.Compare(a.x, b.x) })
		i = end
	}
	return boxes
}

// findBoxes returns the boxes of connected ink in a map of probabilities.
func findBoxes(probs []float32, w, h int) []box {
	var out []box
	seen := make([]bool, len(probs))
	for start, p := range probs {
		if p <= inkLevel || seen[start] || len(out) == mostBoxes {
			continue
		}
		outline, mean := component(probs, seen, start, w, h)
		b := smallest(hull(outline))
		if mean < boxLevel || 2*min(b.wide, b.up) < leastInk {
			continue
		}
		grow := 4 * b.wide * b.up * unclip / (4 * (b.wide + b.up))
		b.wide, b.up = b.wide+grow, b.up+grow
		out = append(out, b)
	}
	return out
}

// component marks what is connected with a pixel, and returns the corners of the pixels at its left and right ends in
// each row, and the mean probability.
func component(probs []float32, seen []bool, start, w, h int) ([]f64.Vec2, float64) {
	left, right := map[int]int{}, map[int]int{}
	var sum float64
	n := 0
	todo := []int{start}
	seen[start] = true
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		x, y := i%w, i/w
		if l, ok := left[y]; !ok || x < l {
			left[y] = x
		}
		right[y] = max(right[y], x)
		sum, n = sum+float64(probs[i]), n+1
		for dy := max(0, y-1); dy <= min(h-1, y+1); dy++ {
			for dx := max(0, x-1); dx <= min(w-1, x+1); dx++ {
				if j := dy*w + dx; !seen[j] && probs[j] > inkLevel {
					seen[j] = true
					todo = append(todo, j)
				}
			}
		}
	}
	corners := make([]f64.Vec2, 0, 4*len(left))
	for y, l := range left {
		for _, dy := range []float64{0, 1} {
			corners = append(corners, f64.Vec2{float64(l), float64(y) + dy}, f64.Vec2{float64(right[y]) + 1, float64(y) + dy})
		}
	}
	return corners, sum / float64(n)
}

// hull returns the convex hull of points, in order (Andrew's monotone chain).
func hull(points []f64.Vec2) []f64.Vec2 {
	slices.SortFunc(points, func(a, b f64.Vec2) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	half := func(points []f64.Vec2) []f64.Vec2 {
		var out []f64.Vec2
		for _, p := range points {
			for len(out) > 1 && cross(out[len(out)-2], out[len(out)-1], p) <= 0 {
				out = out[:len(out)-1]
			}
			out = append(out, p)
		}
		return out[:len(out)-1]
	}
	lower := half(points)
	slices.Reverse(points)
	return append(lower, half(points)...)
}

func cross(o, a, b f64.Vec2) float64 {
	return (a[0]-o[0])*(b[1]-o[1]) - (a[1]-o[1])*(b[0]-o[0])
}

// smallest returns the smallest rectangle around a convex hull: one of its sides lies along one of the hull's.
func smallest(hull []f64.Vec2) box {
	var best box
	least := math.Inf(1)
	for i, p := range hull {
		q := hull[(i+1)%len(hull)]
		angle := math.Atan2(q[1]-p[1], q[0]-p[0])
		sin, cos := math.Sincos(angle)
		minU, minV, maxU, maxV := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
		for _, r := range hull {
			u, v := r[0]*cos+r[1]*sin, -r[0]*sin+r[1]*cos
			minU, maxU, minV, maxV = min(minU, u), max(maxU, u), min(minV, v), max(maxV, v)
		}
		if area := (maxU - minU) * (maxV - minV); area < least {
			least = area
			u, v := (minU+maxU)/2, (minV+maxV)/2
			best = box{
				x: u*cos - v*sin, y: u*sin + v*cos, wide: (maxU - minU) / 2, up: (maxV - minV) / 2, angle: angle,
			}
		}
	}
	return best.along()
}

// along turns the axes so that a box lies along its line: within 45° of level, or upright where it is much higher than
// wide.
func (b box) along() box {
	for b.angle > math.Pi/4 {
		b.angle, b.wide, b.up = b.angle-math.Pi/2, b.up, b.wide
	}
	for b.angle <= -math.Pi/4 {
		b.angle, b.wide, b.up = b.angle+math.Pi/2, b.up, b.wide
	}
	const tall = 1.5
	if b.up > tall*b.wide { // a line that is read from below
		b.angle, b.wide, b.up = b.angle-math.Pi/2, b.up, b.wide
	}
	return b
}
