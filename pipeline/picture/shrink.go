package picture

import (
	"image"
	"image/draw"
)

// Shrink brings a large picture near to a size, quickly and with little memory: each pixel of the result is the mean
// of a square of the picture's. Its sides stay at least so long; a picture that is not twice as large is returned as it
// is. What is left to do is for a better filter.
func Shrink(img image.Image, least int) image.Image {
	b := img.Bounds()
	by := min(b.Dx(), b.Dy()) / max(1, least)
	if by < 2 {
		return img
	}
	w, h := b.Dx()/by, b.Dy()/by
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	row := image.NewRGBA(image.Rect(0, 0, w*by, 1))
	sums := make([]uint32, 4*w)
	for y := range h {
		clear(sums)
		for k := range by {
			draw.Draw(row, row.Rect, img, image.Pt(b.Min.X, b.Min.Y+y*by+k), draw.Src)
			for i, v := range row.Pix {
				sums[i/(4*by)*4+i%4] += uint32(v)
			}
		}
		for i, sum := range sums {
			out.Pix[y*out.Stride+i] = uint8(sum / uint32(by*by))
		}
	}
	return out
}
