// Package clip tells how well any words fit a picture: CLIP on ONNX Runtime.
//
// Two networks turn a picture and a text into points of one space; the nearer, the better they fit. Any pair of
// encoders in the layout of OpenAI's and open_clip's exports will do. They run in a supervised child of this binary,
// because ONNX Runtime may abort its process.
package clip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"math"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/image/draw"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/picture"
)

// Translator turns a French label into English, which is what CLIP has read.
type Translator interface {
	Translate(ctx context.Context, text, from, to string) (string, error)
}

// Config says where the engine's files are and how it runs.
type Config struct {
	ORTLib     string     // libonnxruntime.so
	Image      string     // the image encoder: 1×3×side×side floats → one vector
	Text       string     // the text encoder: 1×77 token numbers → one vector
	Merges     string     // merges.txt, or OpenAI's bpe_simple_vocab_16e6.txt.gz
	Translator Translator // nil: labels are taken as they are
	Threads    int        // threads of one inference; 0 means 1
	Exec       []string   // how this binary is started as a child: program, subcommand; see [ChildMain]
	Env        []string   // "KEY=value", added to the child's environment
	Log        *slog.Logger
}

const (
	scale  = 100.0 // how much a difference of angles counts; what CLIP's training ended with
	cached = 2000  // vectors of labels that are kept
)

// Engine judges pictures. Its methods may be called from several goroutines at once.
type Engine struct {
	*proc.Lazy
	cfg   Config
	texts *lru.Cache[string, []float32]
	side  atomic.Int64 // pixels of the image encoder's input; 0 before it is known
}

// New returns an engine that lives until ctx ends or Close is called. What is missing is told by the first call;
// nothing is loaded before it.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	texts, err := lru.New[string, []float32](cached)
	if err != nil {
		return nil, fmt.Errorf("clip: %w", err)
	}
	return &Engine{cfg: cfg, texts: texts, Lazy: ort.Worker{
		Name: engineName, Library: cfg.ORTLib, Files: []ort.File{
			{Flag: flagImage, Path: cfg.Image}, {Flag: flagText, Path: cfg.Text}, {Flag: flagMerges, Path: cfg.Merges},
		},
		Missing: "CLIP is not installed; run: brenda models pull clip onnxruntime",
		Threads: cfg.Threads, Exec: cfg.Exec, Env: cfg.Env, Log: cfg.Log,
	}.Lazy(ctx)}, nil
}

// Judge returns a score for each label, in their order: the softmax of how well "a photo of a …" fits. All labels are
// supported, and the scores sum to 1.
func (e *Engine) Judge(ctx context.Context, img image.Image, labels []string) ([]picture.Score, error) {
	worker, err := e.Worker()
	if err != nil {
		return nil, err
	}
	side, err := e.pixels(ctx, worker)
	if err != nil {
		return nil, err
	}
	_, payload, err := worker.Call(ctx, methodImage, nil, proc.FloatBytes(pixels(img, side)), nil)
	if err != nil {
		return nil, fmt.Errorf("clip: %w", err)
	}
	seen, err := direction(payload)
	if err != nil {
		return nil, err
	}
	out := make([]picture.Score, len(labels))
	for i, label := range labels {
		meant, err := e.text(ctx, worker, label)
		if err != nil {
			return nil, err
		}
		if len(meant) != len(seen) {
			return nil, fmt.Errorf("clip: the encoders do not belong together: %d and %d values", len(seen), len(meant))
		}
		out[i] = picture.Score{Label: label, Supported: true}
		for k := range seen {
			out[i].Score += scale * float64(seen[k]) * float64(meant[k])
		}
	}
	softmax(out)
	return out, nil
}

// pixels returns the side of the image encoder's input.
func (e *Engine) pixels(ctx context.Context, worker *proc.Worker) (int, error) {
	if n := e.side.Load(); n > 0 {
		return int(n), nil
	}
	meta, _, err := worker.Call(ctx, methodSide, nil, nil, nil)
	if err != nil {
		return 0, fmt.Errorf("clip: %w", err)
	}
	var n int64
	if err := json.Unmarshal(meta, &n); err != nil || n <= 0 {
		return 0, fmt.Errorf("clip: a picture of %s pixels", meta)
	}
	e.side.Store(n)
	return int(n), nil
}

// text returns the direction of a label.
func (e *Engine) text(ctx context.Context, worker *proc.Worker, label string) ([]float32, error) {
	english := label
	if e.cfg.Translator != nil {
		if t, err := e.cfg.Translator.Translate(ctx, label, "fr", "en"); err == nil && t != "" {
			english = t
		}
	}
	if v, ok := e.texts.Get(english); ok {
		return v, nil
	}
	_, payload, err := worker.Call(ctx, methodText, "a photo of a "+english+".", nil, nil)
	if err != nil {
		return nil, fmt.Errorf("clip: %w", err)
	}
	v, err := direction(payload)
	if err == nil {
		e.texts.Add(english, v)
	}
	return v, err
}

// direction reads a vector and makes its length 1.
func direction(payload []byte) ([]float32, error) {
	v, err := proc.Floats(payload)
	if err != nil {
		return nil, fmt.Errorf("clip: %w", err)
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length := math.Sqrt(sum)
	if !(length > 0) || math.IsInf(length, 0) {
		return nil, errors.New("clip: a vector without direction")
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / length)
	}
	return v, nil
}

func softmax(s []picture.Score) {
	top := math.Inf(-1)
	for _, x := range s {
		top = max(top, x.Score)
	}
	var sum float64
	for i := range s {
		s[i].Score = math.Exp(s[i].Score - top)
		sum += s[i].Score
	}
	for i := range s {
		s[i].Score /= sum
	}
}

// pixels returns the image encoder's input: the square in the middle, on white, as planes of the values that CLIP was
// trained with: less the mean, by the deviation.
func pixels(img image.Image, side int) []float32 {
	mean := [3]float32{0.48145466, 0.4578275, 0.40821073}
	deviation := [3]float32{0.26862954, 0.26130258, 0.27577711}
	img = picture.Shrink(img, 2*side)
	b := img.Bounds()
	n := min(b.Dx(), b.Dy())
	from := image.Rect(0, 0, n, n).Add(b.Min).Add(image.Pt((b.Dx()-n)/2, (b.Dy()-n)/2))
	square := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(square, square.Rect, image.White, image.Point{}, draw.Src)
	draw.CatmullRom.Scale(square, square.Rect, img, from, draw.Over, nil)
	out := make([]float32, 3*side*side)
	for i := range side * side {
		for c := range 3 {
			out[c*side*side+i] = (float32(square.Pix[4*i+c])/255 - mean[c]) / deviation[c]
		}
	}
	return out
}
