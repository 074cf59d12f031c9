// Package picture reads the pictures that strangers send: PNG, JPEG and WebP, told by their content.
//
// What a picture claims to be is checked before anything of its size is allocated, so that a small file cannot
// take the memory of the machine. Pictures come out as they are meant to be seen: the turn that a camera noted in
// EXIF is applied.
package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/webp"

	"brenda/pipeline/fault"
)

// MaxPixels is the most that a picture may have: 50 million.
const MaxPixels = 50_000_000

// Format is how a picture is stored.
type Format string

// The formats.
const (
	PNG  Format = "png"
	JPEG Format = "jpeg"
	WebP Format = "webp"
)

// maxScans bounds the passes over a progressive JPEG: real ones have about 10, and each costs as much as the picture
// is large, however short it is in the file.
const maxScans = 100

// Info is what a picture's head tells.
type Info struct {
	Format      Format
	Width       int   // pixels, as it is meant to be seen
	Height      int   // likewise
	Size        int64 // bytes of the file
	Orientation int   // of EXIF, 1…8: how the stored pixels lie; 1 is upright
}

// Inspect reads the head of a picture without decoding it. What is no PNG, JPEG or WebP is fault.Unsupported, one of
// more than MaxPixels fault.TooLarge.
func Inspect(b []byte) (Info, error) {
	info := Info{Format: formatOf(b), Size: int64(len(b)), Orientation: 1}
	var cfg image.Config
	var err error
	switch info.Format {
	case PNG:
		cfg, err = png.DecodeConfig(bytes.NewReader(b))
	case JPEG:
		cfg, err = jpeg.DecodeConfig(bytes.NewReader(b))
	case WebP:
		cfg, err = webp.DecodeConfig(bytes.NewReader(b))
	default:
		return info, unsupported(errors.New("unknown signature"))
	}
	if w, h := claimed(b, info.Format); w*h > MaxPixels { // more than the decoders can count
		cfg, err = image.Config{Width: int(w), Height: int(h)}, nil
	}
	switch {
	case err != nil:
		return info, unsupported(err)
	case cfg.Width <= 0 || cfg.Height <= 0:
		return info, unsupported(errors.New("no pixels"))
	case uint64(cfg.Width)*uint64(cfg.Height) > MaxPixels:
		return info, tooLarge(cfg)
	case info.Format == JPEG && bytes.Count(b, []byte{0xFF, 0xDA}) > maxScans:
		return info, unsupported(errors.New("too many scans"))
	}
	info.Width, info.Height = cfg.Width, cfg.Height
	info.Orientation = orientation(b, info.Format)
	if info.Orientation >= 5 {
		info.Width, info.Height = info.Height, info.Width
	}
	return info, nil
}

// claimed reads the size that a PNG or an extended WebP gives in its head; 0 for any other.
func claimed(b []byte, f Format) (w, h uint64) {
	switch {
	case f == PNG && len(b) >= 24 && string(b[12:16]) == "IHDR":
		return uint64(binary.BigEndian.Uint32(b[16:])), uint64(binary.BigEndian.Uint32(b[20:]))
	case f == WebP && len(b) >= 30 && string(b[12:16]) == "VP8X": // 24 bits each, less one
		less := func(b []byte) uint64 { return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 }
		return less(b[24:]) + 1, less(b[27:]) + 1
	}
	return 0, 0
}

func unsupported(err error) error {
	return fault.Wrap(err, fault.Unsupported, "unsupported_image",
		"this is not a picture that can be read; send PNG, JPEG or WebP, not animated")
}

func tooLarge(cfg image.Config) error {
	return fault.New(fault.TooLarge, "image_too_large", "the picture has %d×%d pixels; at most %d million are taken",
		cfg.Width, cfg.Height, MaxPixels/1_000_000)
}

// formatOf tells the format by its first bytes; empty for an unknown one.
func formatOf(b []byte) Format {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return PNG
	case bytes.HasPrefix(b, []byte("\xFF\xD8\xFF")):
		return JPEG
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return WebP
	}
	return ""
}

// Decode decodes a picture after the checks of [Inspect], and turns it upright. Its bounds begin at (0, 0). A file
// that breaks off is fault.Unsupported. When ctx ends, its cause is returned soon.
//
// A decoded picture takes up to 8 bytes a pixel, 400 MB at most: callers bound how many are in work at once.
func Decode(ctx context.Context, b []byte) (image.Image, Info, error) {
	info, err := Inspect(b)
	if err != nil {
		return nil, info, err
	}
	r := &alive{ctx: ctx, r: bytes.NewReader(b)}
	var img image.Image
	switch info.Format {
	case PNG:
		img, err = png.Decode(r)
	case JPEG:
		img, err = jpeg.Decode(r)
	default:
		img, err = webp.Decode(r)
	}
	if ctx.Err() != nil {
		return nil, info, context.Cause(ctx)
	}
	if err != nil {
		return nil, info, unsupported(err)
	}
	return Upright(img, info.Orientation), info, nil
}

// alive is a reader that ends with its context, so that a decoder which reads on is stopped.
type alive struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to learn of its end
	r   *bytes.Reader
}

// readStep is how much a decoder gets at once, in bytes.
const readStep = 32 << 10

// Read implements io.Reader.
func (a *alive) Read(p []byte) (int, error) {
	if a.ctx.Err() != nil {
		return 0, context.Cause(a.ctx)
	}
	return a.r.Read(p[:min(len(p), readStep)])
}
