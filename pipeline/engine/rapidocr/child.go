package rapidocr

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	onnx "github.com/yalue/onnxruntime_go"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
)

const (
	methodFind = "find" // meta: [width, height]; payload: planes → payload: a probability for each pixel
	methodRead = "read" // meta: width; payload: planes → meta: decoded
)

// decoded is the text of a line.
type decoded struct {
	Steps   int      `json:"steps"` // that the line has
	Letters []letter `json:"letters"`
}

type letter struct {
	Text string  `json:"c"`
	At   int     `json:"t"` // the step where it begins
	P    float32 `json:"p"` // how sure that is, 0…1
}

// ChildMain is the child: it loads the networks and answers the parent until its pipe ends. args are what [New]
// appends to Config.Exec.
func ChildMain(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("rapidocr", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	library := flags.String("ort", "", "ONNX Runtime's shared library")
	det := flags.String("det", "", "the network that finds lines")
	rec := flags.String("rec", "", "the network that reads them")
	threads := flags.Int("threads", 1, "threads of one inference")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("rapidocr: %w", err)
	}
	r, w, err := proc.Stdio()
	if err != nil {
		return fmt.Errorf("rapidocr: %w", err)
	}
	if err := ort.Load(*library); err != nil {
		return fmt.Errorf("rapidocr: %w", err)
	}
	alphabet, err := readAlphabet(*rec)
	if err != nil {
		return fmt.Errorf("rapidocr: the alphabet: %w", err)
	}
	const input, output = "x", "fetch_name_0"
	finder, err := ort.Open(*det, []string{input}, []string{output}, ort.Options{Threads: *threads})
	if err != nil {
		return fmt.Errorf("rapidocr: %w", err)
	}
	reader, err := ort.Open(*rec, []string{input}, []string{output}, ort.Options{Threads: *threads})
	if err != nil {
		return errors.Join(fmt.Errorf("rapidocr: %w", err), finder.Close())
	}
	err = proc.Serve(ctx, r, w, map[string]proc.Handler{
		methodFind: findHandler(finder), methodRead: readHandler(reader, alphabet),
	})
	return errors.Join(err, finder.Close(), reader.Close())
}

// readAlphabet returns what each number of the reading network means: nothing, the letters that its file lists, a
// space.
func readAlphabet(model string) (alphabet []string, err error) {
	meta, err := onnx.GetModelMetadata(model)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, meta.Destroy()) }()
	list, ok, err := meta.LookupCustomMetadataMap("character")
	if err != nil || !ok {
		return nil, fmt.Errorf("the file carries none: %w", err)
	}
	letters := strings.Split(strings.TrimSuffix(list, "\n"), "\n")
	return append(append([]string{""}, letters...), " "), nil
}

func findHandler(s *ort.Session) proc.Handler {
	return func(ctx context.Context, meta json.RawMessage, payload []byte,
		_ func(meta any, payload []byte) error,
	) (any, []byte, error) {
		var size [2]int
		if err := json.Unmarshal(meta, &size); err != nil {
			return nil, nil, err
		}
		out, err := run(ctx, s, size[0], size[1], payload)
		if err != nil {
			return nil, nil, err
		}
		return nil, proc.FloatBytes(out), nil
	}
}

func readHandler(s *ort.Session, alphabet []string) proc.Handler {
	return func(ctx context.Context, meta json.RawMessage, payload []byte,
		_ func(meta any, payload []byte) error,
	) (any, []byte, error) {
		var width int
		if err := json.Unmarshal(meta, &width); err != nil {
			return nil, nil, err
		}
		out, err := run(ctx, s, width, lineHeight, payload)
		if err != nil {
			return nil, nil, err
		}
		if len(out)%len(alphabet) != 0 {
			return nil, nil, fmt.Errorf("%d values for an alphabet of %d", len(out), len(alphabet))
		}
		return decode(out, alphabet), nil, nil
	}
}

func run(ctx context.Context, s *ort.Session, w, h int, payload []byte) ([]float32, error) {
	in, err := proc.Floats(payload)
	if err != nil {
		return nil, err
	}
	if w <= 0 || h <= 0 || len(in) != 3*w*h {
		return nil, fmt.Errorf("%d values for %d×%d pixels", len(in), w, h)
	}
	out, err := s.Run(ctx, ort.Tensor{Shape: []int64{1, 3, int64(h), int64(w)}, Floats: in})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// decode takes the likeliest letter of each step, drops repetitions and then the steps between letters (CTC).
func decode(probs []float32, alphabet []string) decoded {
	d := decoded{Steps: len(probs) / len(alphabet), Letters: []letter{}}
	last := 0
	for t := range d.Steps {
		row := probs[t*len(alphabet):][:len(alphabet)]
		best := 0
		for i, p := range row {
			if p > row[best] {
				best = i
			}
		}
		if best != 0 && best != last {
			d.Letters = append(d.Letters, letter{Text: alphabet[best], At: t, P: row[best]})
		}
		last = best
	}
	return d
}
