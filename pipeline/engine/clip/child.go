package clip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	onnx "github.com/yalue/onnxruntime_go"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
)

const (
	engineName = "clip"
	flagImage  = "image"  // the image encoder
	flagText   = "text"   // the text encoder
	flagMerges = "merges" // the tokenizer's file

	methodImage = "image" // payload: pixels → payload: vector
	methodText  = "text"  // meta: the text → payload: vector
)

// ChildMain is the child: it loads the encoders and answers the parent until its pipe ends.
func ChildMain(ctx context.Context, args []string) error {
	return ort.Child{Name: engineName, Flags: []string{flagImage, flagText, flagMerges}, Open: open}.Main(ctx, args)
}

func open(m *ort.Models) (map[string]proc.Handler, error) {
	tokens, err := loadTokenizer(m.File(flagMerges))
	if err != nil {
		return nil, fmt.Errorf("the tokenizer: %w", err)
	}
	images, err := openEncoder(m, m.File(flagImage))
	if err != nil {
		return nil, fmt.Errorf("the image encoder: %w", err)
	}
	texts, err := openEncoder(m, m.File(flagText))
	if err != nil {
		return nil, fmt.Errorf("the text encoder: %w", err)
	}
	return map[string]proc.Handler{
		methodImage: ort.FloatsHandler(images.Session, 1, 3, side, side), methodText: textHandler(texts, tokens),
	}, nil
}

// encoder is a network with its inputs in the order in which they are given.
type encoder struct {
	*ort.Session
	inputs []string
}

// openEncoder opens a network of which only the layout is known: its inputs are told by their names, its result is
// the output that is named after an embedding, or the only one.
func openEncoder(m *ort.Models, path string) (*encoder, error) {
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
	e.Session, err = m.Open(path, e.inputs, []string{outs[i].Name})
	return e, err
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
