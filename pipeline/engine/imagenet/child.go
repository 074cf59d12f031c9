package imagenet

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/draw"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/picture"
)

const methodClassify = "classify"

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

// ChildMain is the child: it loads the model and answers the parent until its pipe ends. args are what [New]
// appends to Config.Exec: -ort, -model and -threads.
func ChildMain(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("imagenet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	library := flags.String("ort", "", "ONNX Runtime's shared library")
	model := flags.String("model", "", "the model's file")
	threads := flags.Int("threads", 1, "threads of one inference")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("imagenet: %w", err)
	}
	r, w, err := proc.Stdio()
	if err != nil {
		return fmt.Errorf("imagenet: %w", err)
	}
	if err := ort.Load(*library); err != nil {
		return fmt.Errorf("imagenet: %w", err)
	}
	s, err := ort.Open(*model, []string{"image"}, []string{"probs"}, ort.Options{Threads: *threads})
	if err != nil {
		return fmt.Errorf("imagenet: %w", err)
	}
	err = proc.Serve(ctx, r, w, map[string]proc.Handler{methodClassify: handler(s)})
	return errors.Join(err, s.Close())
}

func handler(s *ort.Session) proc.Handler {
	return func(ctx context.Context, _ json.RawMessage, payload []byte,
		_ func(meta any, payload []byte) error,
	) (any, []byte, error) {
		in, err := proc.Floats(payload)
		if err != nil {
			return nil, nil, err
		}
		if len(in) != 3*side*side {
			return nil, nil, fmt.Errorf("%d values, not %d", len(in), 3*side*side)
		}
		out, err := s.Run(ctx, ort.Tensor{Shape: []int64{1, 3, side, side}, Floats: in})
		if err != nil {
			return nil, nil, err
		}
		return nil, proc.FloatBytes(out[0]), nil
	}
}
