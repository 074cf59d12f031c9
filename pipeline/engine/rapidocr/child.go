package rapidocr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	onnx "github.com/yalue/onnxruntime_go"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
)

const (
	engineName = "rapidocr"
	flagDet    = "det" // the network that finds lines
	flagRec    = "rec" // the network that reads them

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

// ChildMain is the child: it loads the networks and answers the parent until its pipe ends.
func ChildMain(ctx context.Context, args []string) error {
	return ort.Child{Name: engineName, Flags: []string{flagDet, flagRec}, Open: open}.Main(ctx, args)
}

func open(m *ort.Models) (map[string]proc.Handler, error) {
	alphabet, err := readAlphabet(m.File(flagRec))
	if err != nil {
		return nil, fmt.Errorf("the alphabet: %w", err)
	}
	input, output := []string{"x"}, []string{"fetch_name_0"}
	finder, err := m.Open(m.File(flagDet), input, output)
	if err != nil {
		return nil, err
	}
	reader, err := m.Open(m.File(flagRec), input, output)
	if err != nil {
		return nil, err
	}
	return map[string]proc.Handler{methodFind: findHandler(finder), methodRead: readHandler(reader, alphabet)}, nil
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
		out, err := s.RunFloats(ctx, payload, 1, 3, int64(size[1]), int64(size[0]))
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
		out, err := s.RunFloats(ctx, payload, 1, 3, lineHeight, int64(width))
		if err != nil {
			return nil, nil, err
		}
		if len(out)%len(alphabet) != 0 {
			return nil, nil, fmt.Errorf("%d values for an alphabet of %d", len(out), len(alphabet))
		}
		return decode(out, alphabet), nil, nil
	}
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
