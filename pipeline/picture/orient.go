package picture

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"

	"github.com/bep/imagemeta"
)

// orientation returns the value of the EXIF tag, 1…8; 1 where there is none or none that makes sense.
func orientation(b []byte, f Format) int {
	format := map[Format]imagemeta.ImageFormat{PNG: imagemeta.PNG, JPEG: imagemeta.JPEG, WebP: imagemeta.WebP}[f]
	turn := 1
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(b), ImageFormat: format, Sources: imagemeta.EXIF, LimitNumTags: 500, LimitTagSize: 1000,
		ShouldHandleTag: func(t imagemeta.TagInfo) bool { return t.Namespace == "IFD0" && t.Tag == "Orientation" },
		HandleTag: func(t imagemeta.TagInfo) error {
			if v, ok := t.Value.(uint16); ok && v >= 1 && v <= 8 {
				turn = int(v)
			}
			return imagemeta.ErrStopWalking
		},
		Warnf: func(string, ...any) {},
	})
	if err != nil {
		return 1 // broken metadata do not make a picture unreadable
	}
	return turn
}

// Upright turns a picture as the EXIF orientation (1…8) says and moves its bounds to (0, 0). A picture that lies
// right already is returned as it is.
func Upright(img image.Image, orientation int) image.Image {
	b := img.Bounds()
	if orientation < 2 || orientation > 8 {
		if b.Min == (image.Point{}) {
			return img
		}
		orientation = 1
	}
	w, h := b.Dx(), b.Dy()
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewNRGBA(size)
	row := image.NewNRGBA(image.Rect(0, 0, w, 1)) // one stored line at a time: converted once, by fast code
	for y := range h {
		draw.Draw(row, row.Rect, img, image.Pt(b.Min.X, b.Min.Y+y), draw.Src)
		for x := range w {
			to := turned(orientation, x, y, w, h)
			copy(out.Pix[out.PixOffset(to.X, to.Y):][:4], row.Pix[4*x:4*x+4])
		}
	}
	return out
}

// turned says where a stored pixel of a w×h picture is meant to be seen. The values are those of EXIF 2.3, table 6.
func turned(orientation, x, y, w, h int) image.Point {
	switch orientation {
	case 2:
		return image.Pt(w-1-x, y)
	case 3:
		return image.Pt(w-1-x, h-1-y)
	case 4:
		return image.Pt(x, h-1-y)
	case 5:
		return image.Pt(y, x)
	case 6:
		return image.Pt(h-1-y, x)
	case 7:
		return image.Pt(h-1-y, w-1-x)
	case 8:
		return image.Pt(y, w-1-x)
	default:
		return image.Pt(x, y)
	}
}

// Gray returns the brightness of a picture; what is transparent becomes white, as paper.
func Gray(img image.Image) *image.Gray {
	b := img.Bounds()
	out := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	row := image.NewRGBA(image.Rect(0, 0, b.Dx(), 1))
	paper := image.NewUniform(color.White)
	for y := range b.Dy() {
		draw.Draw(row, row.Rect, paper, image.Point{}, draw.Src)
		draw.Draw(row, row.Rect, img, image.Pt(b.Min.X, b.Min.Y+y), draw.Over)
		line := out.Pix[y*out.Stride:]
		for x := range b.Dx() {
			p := row.Pix[4*x:]
			line[x] = uint8((299*int(p[0]) + 587*int(p[1]) + 114*int(p[2]) + 500) / 1000) // BT.601
		}
	}
	return out
}
