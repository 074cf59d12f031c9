// Package rapidocr reads the text in pictures with PaddleOCR's networks (PP-OCRv6, as RapidOCR packages them) on ONNX
// Runtime: one finds the lines, the other reads each. It is more exact than tesseract on photos and slower.
//
// The networks run in a supervised child of this binary, because ONNX Runtime may abort its process; what is between
// them, the geometry, is done by the parent.
package rapidocr

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"log/slog"
	"math"
	"strings"
	"unicode/utf8"

	"golang.org/x/image/draw"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/picture"
)

// Config says where the engine's files are and how it runs.
type Config struct {
	ORTLib  string   // libonnxruntime.so
	Det     string   // the network that finds lines
	Rec     string   // the network that reads one; it carries its alphabet
	Threads int      // threads of one inference; 0 means 1
	Exec    []string // how this binary is started as a child: program, subcommand; see [ChildMain]
	Env     []string // "KEY=value", added to the child's environment
	Log     *slog.Logger
}

// Engine reads pictures. Its methods may be called from several goroutines at once.
type Engine struct{ *proc.Lazy }

// New returns an engine that lives until ctx ends or Close is called. What is missing is told by the first call;
// nothing is loaded before it.
func New(ctx context.Context, cfg Config) *Engine {
	return &Engine{ort.Worker{
		Name: engineName, Library: cfg.ORTLib, Files: []ort.File{{Flag: flagDet, Path: cfg.Det}, {Flag: flagRec, Path: cfg.Rec}},
		Missing: "PP-OCR is not installed; run: brenda models pull rapidocr onnxruntime",
		Threads: cfg.Threads, Exec: cfg.Exec, Env: cfg.Env, Log: cfg.Log,
	}.Lazy(ctx)}
}

// Languages returns what the one alphabet of the networks covers; they need not be told which it is.
func (e *Engine) Languages(context.Context, bool) ([]string, error) {
	return []string{"chi_sim", "chi_tra", "deu", "eng", "fra", "ita", "jpn", "nld", "por", "spa"}, nil
}

const (
	leastSide  = 736  // pixels that the shorter side of the picture is enlarged to for finding lines
	mostSide   = 1920 // pixels that the longer one is brought down to
	step       = 32   // the network takes multiples of that
	lineHeight = 48   // pixels of a line as it is read
	shortest   = 320  // pixels of the shortest line; shorter ones are filled up
	longest    = 4000 // pixels of the longest; longer ones are squeezed
	surely     = 0.5  // lines that are read with less confidence are no text
)

// Read reads the text of a picture, whatever its language. A picture without text gives an empty page. When ctx ends
// its cause is returned, and the child's work ended.
func (e *Engine) Read(ctx context.Context, img image.Image, _ []string) (picture.Page, error) {
	worker, err := e.Worker()
	if err != nil {
		return picture.Page{}, err
	}
	b := img.Bounds()
	paper := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(paper, paper.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(paper, paper.Rect, img, b.Min, draw.Over)
	boxes, err := e.find(ctx, worker, paper)
	if err != nil {
		return picture.Page{}, err
	}
	lines := make([]line, 0, len(boxes))
	for _, box := range boxes {
		l, err := e.readLine(ctx, worker, paper, box)
		if err != nil {
			return picture.Page{}, err
		}
		if l.confidence() >= surely {
			lines = append(lines, l)
		}
	}
	return page(lines, paper.Rect), nil
}

// find returns the boxes of the lines in a picture, in reading order.
func (e *Engine) find(ctx context.Context, worker *proc.Worker, img *image.RGBA) ([]box, error) {
	w, h := detSize(img.Rect.Dx(), img.Rect.Dy())
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	shrunk := picture.Shrink(img, 2*min(w, h))
	draw.BiLinear.Scale(small, small.Rect, shrunk, shrunk.Bounds(), draw.Src, nil)
	_, payload, err := worker.Call(ctx, methodFind, [2]int{w, h}, proc.FloatBytes(planes(small, w)), nil)
	if err != nil {
		return nil, fmt.Errorf("rapidocr: finding lines: %w", err)
	}
	probs, err := proc.Floats(payload)
	if err != nil || len(probs) != w*h {
		return nil, fmt.Errorf("rapidocr: %d values for %d×%d pixels: %w", len(probs), w, h, err)
	}
	boxes := findBoxes(probs, w, h)
	for i := range boxes {
		boxes[i] = boxes[i].scaled(float64(img.Rect.Dx())/float64(w), float64(img.Rect.Dy())/float64(h))
	}
	return inOrder(boxes), nil
}

// detSize returns the size in which lines are looked for.
func detSize(w, h int) (int, int) {
	scale := max(1, leastSide/float64(min(w, h)))
	scale = min(scale, mostSide/float64(max(w, h)))
	fit := func(n int) int { return max(step, int(math.Round(float64(n)*scale/step))*step) }
	return fit(w), fit(h)
}

// planes returns blue, green and red of a picture, filled up to a width, from −1 to 1. What is filled up is 0.
func planes(img *image.RGBA, width int) []float32 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := make([]float32, 3*width*h)
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			for c := range 3 {
				out[(c*h+y)*width+x] = float32(row[4*x+2-c])/127.5 - 1
			}
		}
	}
	return out
}

// readLine reads one line.
func (e *Engine) readLine(ctx context.Context, worker *proc.Worker, img *image.RGBA, b box) (line, error) {
	strip := b.cut(img)
	width := max(shortest, strip.Rect.Dx())
	meta, _, err := worker.Call(ctx, methodRead, width, proc.FloatBytes(planes(strip, width)), nil)
	if err != nil {
		return line{}, fmt.Errorf("rapidocr: reading a line: %w", err)
	}
	l := line{box: b, used: float64(strip.Rect.Dx()) / float64(width)}
	if err := json.Unmarshal(meta, &l.read); err != nil {
		return line{}, fmt.Errorf("rapidocr: %w", err)
	}
	return l, nil
}

// line is a line that was read.
type line struct {
	box  box
	used float64 // share of the strip's width that is the line, not filled up
	read decoded
}

func (l line) confidence() float64 {
	var sum float64
	for _, c := range l.read.Letters {
		sum += float64(c.P)
	}
	return sum / float64(max(1, len(l.read.Letters)))
}

// words cuts a line at its spaces.
func (l line) words(frame image.Rectangle) []picture.Word {
	var out []picture.Word
	from := 0
	for i := 0; i <= len(l.read.Letters); i++ {
		if i < len(l.read.Letters) && strings.TrimSpace(l.read.Letters[i].Text) != "" {
			continue
		}
		if i > from {
			out = append(out, l.word(from, i, frame))
		}
		from = i + 1
	}
	return out
}

func (l line) word(from, to int, frame image.Rectangle) picture.Word {
	var text strings.Builder
	var sum float64
	for _, c := range l.read.Letters[from:to] {
		text.WriteString(c.Text)
		sum += float64(c.P)
	}
	place := func(at float64) float64 { return min(1, max(0, at/float64(max(1, l.read.Steps))/l.used)) }
	begin, end := place(float64(l.read.Letters[from].At)-0.5), place(float64(l.read.Letters[to-1].At)+1.5)
	return picture.Word{
		Text: text.String(), Confidence: sum / float64(to-from), Box: l.box.part(begin, end).Intersect(frame),
	}
}

// page puts the lines together: those side by side become one.
func page(lines []line, frame image.Rectangle) picture.Page {
	p := picture.Page{Words: []picture.Word{}}
	var text strings.Builder
	var sum float64
	letters := 0
	for i, l := range lines {
		words := l.words(frame)
		if i > 0 && len(words) > 0 && text.Len() > 0 {
			text.WriteString(map[bool]string{true: " ", false: "\n"}[lines[i-1].box.beside(l.box)])
		}
		for k, w := range words {
			if k > 0 {
				text.WriteByte(' ')
			}
			text.WriteString(w.Text)
			n := utf8.RuneCountInString(w.Text)
			sum, letters = sum+w.Confidence*float64(n), letters+n
		}
		p.Words = append(p.Words, words...)
	}
	p.Text = text.String()
	if letters > 0 {
		p.Confidence = sum / float64(letters)
	}
	return p
}
