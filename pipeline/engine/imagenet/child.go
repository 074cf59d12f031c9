package imagenet

import (
	"context"
	"image"

	"golang.org/x/image/draw"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/picture"
)

const (
	engineName     = "imagenet"
	flagModel      = "model"
	methodClassify = "classify"
)

// pixels returns the model's input: the middle of the picture, on white, as planes of (value − 127) / 128.
func pixels(img image.Image) []float32 {
	img = picture.Shrink(img, 2*side)
	b := img.Bounds()
	crop := max(1, min(b.Dx(), b.Dy())*side/256) // what lies around it was not seen in training either
	from := image.Rect(0, 0, crop, crop).Add(b.Min).Add(image.Pt((b.Dx()-crop)/2, (b.Dy()-crop)/2))
	square := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(square, square.Rect, image.White, image.Point{}, draw.Src)
	draw.CatmullRom.Scale(square, square.Rect, img, from, draw.Over, nil)
	out := make([]float32, 3*side*side)
	for i := range side * side {
		for c := range 3 {
			out[c*side*side+i] = (float32(square.Pix[4*i+c]) - 127) / 128
		}
	}
	return out
}

// ChildMain is the child: it loads the model and answers the parent until its pipe ends.
func ChildMain(ctx context.Context, args []string) error {
	return ort.Child{Name: engineName, Flags: []string{flagModel}, Open: func(m *ort.Models) (map[string]proc.Handler, error) {
		s, err := m.Open(m.File(flagModel), []string{"image"}, []string{"probs"})
		if err != nil {
			return nil, err
		}
		return map[string]proc.Handler{methodClassify: ort.FloatsHandler(s, 1, 3, side, side)}, nil
	}}.Main(ctx, args)
}
