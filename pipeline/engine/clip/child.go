package clip

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	onnx "github.com/yalue/onnxruntime_go"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
)

const (
	methodImage = "image" // payload: pixels → payload: vector
	methodText  = "text"  // meta: the text → payload: vector
)

// ChildMain is the child: it loads the encoders and answers the parent until its pipe ends. args are what [New]
// appends to Config.Exec.
func ChildMain(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("clip", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	library := flags.String("ort", "", "ONNX Runtime's shared library")
	imageModel := flags.String("image", "", "the image encoder's file")
	textModel := flags.String("text", "", "the text encoder's file")
	merges := flags.String("merges", "", "the tokenizer's file")
	threads := flags.Int("threads", 1, "threads of one inference")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("clip: %w", err)
	}
	r, w, err := proc.Stdio()
	if err != nil {
		return fmt.Errorf("clip: %w", err)
	}
	if err := ort.Load(*library); err != nil {
		return fmt.Errorf("clip: %w", err)
	}
	tokens, err := loadTokenizer(*merges)
	if err != nil {
		return fmt.Errorf("clip: the tokenizer: %w", err)
	}
	images, err := openEncoder(*imageModel, *threads)
	if err != nil {
		return fmt.Errorf("clip: the image encoder: %w", err)
	}
	texts, err := openEncoder(*textModel, *threads)
	if err != nil {
		return errors.Join(fmt.Errorf("clip: the text encoder: %w", err), images.Close())
	}
	err = proc.Serve(ctx, r, w, map[string]proc.Handler{
		methodImage: imageHandler(images), methodText: textHandler(texts, tokens),
	})
	return errors.Join(err, images.Close(), texts.Close())
}

// encoder is a network with its inputs in the order in which they are given.
type encoder struct {
	*ort.Session
	inputs []string
}

// openEncoder opens a network of which only the layout is known: its inputs are told by their names, its result is
// the output that is named after an embedding, or the only one.
func openEncoder(path string, threads int) (*encoder, error) {
	ins, outs, err := onnx.GetInputOutputInfo(path)
	if err != nil {
		return nil, err
	}
	e := &encoder{}
	for _, in := range ins {
		if in.DataType != onnx.TensorElementDataTypeFloat && in.DataType != onnx.TensorElementDataTypeInt64 {
			return nil, fmt.Errorf("its input %s is of %v; floats or 64-bit integers are taken", in.Name, in.DataType)
		}
		e.inputs = append(e.inputs, in.Name)
	}
	i := slices.IndexFunc(outs, func(o onnx.InputOutputInfo) bool { return strings.Contains(o.Name, "embed") })
	if i < 0 && len(outs) == 1 {
		i = 0
	}
	if i < 0 {
		return nil, errors.New("none of its outputs is called an embedding")
	}
	e.Session, err = ort.Open(path, e.inputs, []string{outs[i].Name}, ort.Options{Threads: threads})
	return e, err
}

func imageHandler(e *encoder) proc.Handler {
	return func(ctx context.Context, _ json.RawMessage, payload []byte,
		_ func(meta any, payload []byte) error,
	) (any, []byte, error) {
		in, err := proc.Floats(payload)
		if err != nil {
			return nil, nil, err
		}
		if len(in) != 3*side*side || len(e.inputs) != 1 {
			return nil, nil, fmt.Errorf("%d values for %d inputs", len(in), len(e.inputs))
		}
		out, err := e.Run(ctx, ort.Tensor{Shape: []int64{1, 3, side, side}, Floats: in})
		if err != nil {
			return nil, nil, err
		}
		return nil, proc.FloatBytes(out[0]), nil
	}
}

func textHandler(e *encoder, t *tokenizer) proc.Handler {
	return func(ctx context.Context, meta json.RawMessage, _ []byte,
		_ func(meta any, payload []byte) error,
	) (any, []byte, error) {
		var text string
		if err := json.Unmarshal(meta, &text); err != nil {
			return nil, nil, err
		}
		ids := t.encode(text)
		ins := make([]ort.Tensor, 0, len(e.inputs))
		for _, name := range e.inputs {
			in := ort.Tensor{Shape: []int64{1, contextLength}, Ints: ids}
			if strings.Contains(name, "mask") {
				in.Ints = mask(ids)
			}
			ins = append(ins, in)
		}
		out, err := e.Run(ctx, ins...)
		if err != nil {
			return nil, nil, err
		}
		return nil, proc.FloatBytes(out[0]), nil
	}
}

// mask tells the tokens, up to the last number of the vocabulary, from what fills up the rest.
func mask(ids []int64) []int64 {
	out := make([]int64, len(ids))
	for i := range slices.Index(ids, slices.Max(ids)) + 1 {
		out[i] = 1
	}
	return out
}
