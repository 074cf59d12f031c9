package picture

import (
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"testing"

	"brenda/pipeline/fault"
)

//go:embed testdata/*.webp testdata/*.png testdata/*.jpg
var files embed.FS

func file(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := files.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func encoded(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestDecode: every kind of file. The turned ones are 40×20 as stored, with a red square that belongs to the top right.
func TestDecode(t *testing.T) {
	for name, want := range map[string]Info{
		"turned.png":      {Format: PNG, Width: 20, Height: 40, Orientation: 6},
		"turned.jpg":      {Format: JPEG, Width: 20, Height: 40, Orientation: 6},
		"turned.webp":     {Format: WebP, Width: 20, Height: 40, Orientation: 6},
		"alpha.webp":      {Format: WebP, Width: 40, Height: 20, Orientation: 1},
		"lossless.webp":   {Format: WebP, Width: 40, Height: 20, Orientation: 1},
		"cmyk.jpg":        {Format: JPEG, Width: 40, Height: 20, Orientation: 1},
		"progressive.jpg": {Format: JPEG, Width: 40, Height: 20, Orientation: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := file(t, name)
			want.Size = int64(len(b))
			img, info, err := Decode(t.Context(), b)
			if err != nil || info != want {
				t.Fatalf("got %+v, %v; want %+v", info, err, want)
			}
			if img.Bounds() != image.Rect(0, 0, want.Width, want.Height) {
				t.Errorf("the bounds are %v", img.Bounds())
			}
			at := image.Pt(4, 4)
			if want.Orientation == 6 {
				at = image.Pt(15, 4)
			}
			if r, g, b, _ := img.At(at.X, at.Y).RGBA(); r>>8 < 180 || g>>8 > 80 || b>>8 > 80 {
				t.Errorf("no red at %v: %d %d %d", at, r>>8, g>>8, b>>8)
			}
			if _, _, err := Decode(t.Context(), b[:len(b)*3/4]); fault.KindOf(err) != fault.Unsupported {
				t.Errorf("of the first three quarters: %v", err)
			}
		})
	}
}

// TestUpright: turning by each value and back gives the picture again.
func TestUpright(t *testing.T) {
	img := image.NewNRGBA(image.Rect(3, 5, 6, 7)) // bounds that do not begin at zero
	for i := range img.Pix {
		img.Pix[i] = uint8(i*9) | 1
	}
	straight := Upright(img, 1)
	back := map[int]int{6: 8, 8: 6}
	for turn := range 10 {
		again := turn
		if b, ok := back[turn]; ok {
			again = b
		}
		once := Upright(img, turn)
		if wide := turn < 5 || turn > 8; wide != (once.Bounds() == straight.Bounds()) {
			t.Errorf("turned by %d it is %v", turn, once.Bounds())
		}
		if !bytes.Equal(encoded(t, Upright(once, again)), encoded(t, straight)) {
			t.Errorf("turned by %d and back it is another", turn)
		}
	}
}

// bomb is a small PNG that claims to be huge, with its first checksum right.
func bomb(w, h uint32) []byte {
	head := append([]byte("IHDR"), make([]byte, 13)...)
	binary.BigEndian.PutUint32(head[4:], w)
	binary.BigEndian.PutUint32(head[8:], h)
	head[12], head[13] = 8, 6
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	out = append(out, head...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(head))
}

func TestRefusals(t *testing.T) {
	var moving bytes.Buffer
	if err := gif.Encode(&moving, image.NewGray(image.Rect(0, 0, 4, 4)), nil); err != nil {
		t.Fatal(err)
	}
	scans := append(bytes.Clone(file(t, "progressive.jpg")), bytes.Repeat([]byte{0xFF, 0xDA}, 200)...)
	hugeJPEG := bytes.Clone(file(t, "progressive.jpg"))
	frame := bytes.Index(hugeJPEG, []byte{0xFF, 0xC2})
	copy(hugeJPEG[frame+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
	hugeWebP := bytes.Clone(file(t, "alpha.webp"))
	copy(hugeWebP[24:], []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	for name, c := range map[string]struct {
		b    []byte
		kind fault.Kind
	}{
		"nothing":       {nil, fault.Unsupported},
		"text":          {[]byte("this is a text"), fault.Unsupported},
		"only the head": {[]byte("\x89PNG\r\n\x1a\n"), fault.Unsupported},
		"GIF":           {moving.Bytes(), fault.Unsupported},
		"animation":     {file(t, "animated.webp"), fault.Unsupported},
		"no width":      {bomb(0, 5), fault.Unsupported},
		"bomb":          {bomb(50_000, 50_000), fault.TooLarge},
		"just over":     {bomb(MaxPixels+1, 1), fault.TooLarge},
		"overflow":      {bomb(1<<32-1, 1<<32-1), fault.TooLarge},
		"JPEG bomb":     {hugeJPEG, fault.TooLarge},
		"WebP bomb":     {hugeWebP, fault.TooLarge},
		"many scans":    {scans, fault.Unsupported},
	} {
		if _, _, err := Decode(t.Context(), c.b); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if info, err := Inspect(bomb(MaxPixels, 1)); err != nil || info.Width != MaxPixels {
		t.Errorf("the largest: %v, %v", info, err)
	}
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrStopped)
	if _, _, err := Decode(gone, file(t, "turned.png")); !errors.Is(err, fault.ErrStopped) {
		t.Errorf("of a request that ended: %v", err)
	}
}

func TestColors(t *testing.T) {
	flag := image.NewNRGBA(image.Rect(0, 0, 300, 200))
	for y := range 200 {
		for x := range 300 {
			c := []color.NRGBA{{0, 0x55, 0xA4, 255}, {255, 255, 255, 255}, {0xEF, 0x41, 0x35, 255}}[min(2, x/80)]
			flag.SetNRGBA(x, y, c)
		}
	}
	got := Colors(flag, 2)
	if len(got) != 2 || got[0].Hex != "#ef4135" || got[0].Share < 0.4 || got[1].Share > 0.3 {
		t.Errorf("the flag is %v", got)
	}
	if got := Colors(image.NewNRGBA(image.Rect(0, 0, 1, 9000)), 5); len(got) != 0 {
		t.Errorf("a transparent line is %v", got)
	}
	if got := Colors(image.NewGray(image.Rect(0, 0, 9, 9)), 5); len(got) != 1 || got[0] != (Color{"#000000", 1}) {
		t.Errorf("black is %v", got)
	}
}

func TestShrink(t *testing.T) {
	img := image.NewGray(image.Rect(2, 3, 2+70, 3+41))
	for i := range img.Pix {
		img.Pix[i] = uint8(i % 70 / 10 * 30)
	}
	small := Shrink(img, 10)
	if small.Bounds() != image.Rect(0, 0, 17, 10) {
		t.Fatalf("it is %v", small.Bounds())
	}
	for x, want := range map[int]uint32{0: 0, 1: 0, 2: 15, 5: 60, 16: 180} {
		if r, _, _, _ := small.At(x, 9).RGBA(); r>>8 != want {
			t.Errorf("at %d it is %d, not %d", x, r>>8, want)
		}
	}
	if same := Shrink(img, 21); same != image.Image(img) {
		t.Error("what is small enough is another")
	}
}

func TestGrayIsPaperBelow(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	img.SetNRGBA(1, 0, color.NRGBA{255, 0, 0, 255})
	if g := Gray(img); g.Pix[0] != 255 || g.Pix[1] != 76 {
		t.Errorf("got %v", g.Pix)
	}
}

// FuzzInspect: no file makes it panic, and what passes is within the limits.
func FuzzInspect(f *testing.F) {
	list, err := files.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range list {
		f.Add(file(f, e.Name()))
	}
	f.Add(bomb(50_000, 50_000))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := Inspect(b)
		if err != nil {
			return
		}
		if info.Width <= 0 || info.Height <= 0 || info.Width*info.Height > MaxPixels || info.Orientation < 1 || info.Orientation > 8 {
			t.Errorf("passed as %+v", info)
		}
		if info.Width*info.Height > 1<<16 {
			return
		}
		img, _, err := Decode(t.Context(), b)
		if err == nil && img.Bounds() != image.Rect(0, 0, info.Width, info.Height) {
			t.Errorf("%+v came out as %v", info, img.Bounds())
		}
	})
}
