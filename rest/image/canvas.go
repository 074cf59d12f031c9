package image

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"

	"golang.org/x/image/draw"

	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
	"brenda/rest/httpx"
)

// maxSource is the largest file of a picture to start from, in bytes. It is decoded whole.
const maxSource = 64 << 20

// source reads the picture to start from and puts it on a canvas of a size that back ends take. The result will have
// the picture's own size, or the one that is asked for, to which it is scaled.
func (o *order) start(ctx context.Context, blob *httpx.Blob) error {
	if blob.Size() > maxSource {
		return tooBig()
	}
	data, err := io.ReadAll(blob.Open())
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	info, err := picture.Inspect(data)
	if err != nil {
		return blame(err)
	}
	o.size = size{or(o.Width, info.Width), or(o.Height, info.Height)}
	if o.size.w > maxSide || o.size.h > maxSide {
		return fault.Field("image", "the picture has %d×%d pixels and at most %d a side can be refined; "+
			"send a smaller one, or width and height", info.Width, info.Height, maxSide)
	}
	img, _, err := picture.Decode(ctx, data)
	if err != nil {
		return blame(err)
	}
	canvas := stretch(img, o.size)
	var out bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed} // it goes to a server that is near
	if err := enc.Encode(&out, canvas); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	o.source = out.Bytes()
	return nil
}

func tooBig() error {
	f := fault.New(fault.TooLarge, "too_large", "a picture to refine may have at most %d MiB", maxSource>>20)
	f.Param = "image"
	return f
}

// blame says which field a fault of the picture is about.
func blame(err error) error {
	if f := fault.As(err); f.Param == "" && (f.Kind == fault.Unsupported || f.Kind == fault.TooLarge) {
		named := *f
		named.Param = "image"
		return &named
	}
	return err
}

// stretch scales a picture to a size, on white where it is transparent, and repeats its edges outward to the next size
// that back ends take: they would round the size up by themselves and distort the picture.
func stretch(img image.Image, s size) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, roundUp(s.w), roundUp(s.h)))
	in := middle(out.Rect, s)
	draw.Draw(out, in, image.NewUniform(color.White), image.Point{}, draw.Src)
	if b := img.Bounds(); b.Dx() == s.w && b.Dy() == s.h {
		draw.Draw(out, in, img, b.Min, draw.Over)
	} else {
		draw.CatmullRom.Scale(out, in, img, b, draw.Over, nil)
	}
	repeatEdges(out, in)
	return out
}

// middle returns the rectangle of size s in the middle of another.
func middle(r image.Rectangle, s size) image.Rectangle {
	at := image.Pt(r.Min.X+(r.Dx()-s.w)/2, r.Min.Y+(r.Dy()-s.h)/2)
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(s.w, s.h))}
}

// repeatEdges fills what is around in with the pixels of its edges.
func repeatEdges(out *image.RGBA, in image.Rectangle) {
	for y := in.Min.Y; y < in.Max.Y; y++ {
		left, right := out.RGBAAt(in.Min.X, y), out.RGBAAt(in.Max.X-1, y)
		for x := range in.Min.X {
			out.SetRGBA(x, y, left)
		}
		for x := in.Max.X; x < out.Rect.Max.X; x++ {
			out.SetRGBA(x, y, right)
		}
	}
	line := func(y int) []byte { return out.Pix[y*out.Stride : (y+1)*out.Stride] }
	for y := range in.Min.Y {
		copy(line(y), line(in.Min.Y))
	}
	for y := in.Max.Y; y < out.Rect.Max.Y; y++ {
		copy(line(y), line(in.Max.Y-1))
	}
}

// finish checks that a back end's file is the picture that it was asked for, cuts the middle of the size wanted out of
// it, and returns that as PNG. Encoding it anew drops what the back end wrote about itself.
func finish(ctx context.Context, file []byte, asked, want size) ([]byte, error) {
	info, err := picture.Inspect(file)
	if err == nil && (size{info.Width, info.Height}) != asked {
		err = fmt.Errorf("it has %d×%d pixels, not %d×%d", info.Width, info.Height, asked.w, asked.h)
	}
	if err != nil {
		return nil, notThePicture(err)
	}
	img, _, err := picture.Decode(ctx, file)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, notThePicture(err)
	}
	if asked != want {
		cut := image.NewNRGBA(image.Rect(0, 0, want.w, want.h))
		draw.Draw(cut, cut.Rect, img, middle(img.Bounds(), want).Min, draw.Src)
		img = cut
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return out.Bytes(), nil
}

func notThePicture(err error) error {
	return fault.Wrap(fmt.Errorf("image result: %w", err), fault.Internal, "engine_failed",
		"the image server did not send the picture that was asked for; see Brenda's log")
}
