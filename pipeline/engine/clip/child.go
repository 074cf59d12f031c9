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

	methodSide  = "side"  // → meta: pixels of the image encoder's input, each way
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
	side, err := images.side()
	if err != nil {
		return nil, fmt.Errorf("the image encoder: %w", err)
	}
	return map[string]proc.Handler{
		methodSide: func(context.Context, json.RawMessage, []byte, func(any, []byte) error) (any, []byte, error) {
			return side, nil, nil
		},
		methodImage: ort.FloatsHandler(images.Session, 1, 3, side, side), methodText: textHandler(texts, tokens),
	}, nil
}

// encoder is a network with its inputs in the order in which they are given.
type encoder struct {
	*ort.Session
	inputs []onnx.InputOutputInfo
}

// openEncoder opens a network of which only the layout is known: its inputs are told by their names and types, its result
// is the output that is named after an embedding or after features, or the only one.
//
// Exports differ: those of Hugging Face have pixel_values → image_embeds and input_ids, attention_mask → text_embeds, with
// 64-bit numbers; OpenAI's IMAGE and TEXT, open_clip's image and text → embedding, with 32-bit numbers.
func openEncoder(m *ort.Models, path string) (*encoder, error) {
	ins, outs, err := onnx.GetInputOutputInfo(path)
	if err != nil {
		return nil, err
	}
	e := &encoder{inputs: ins}
	names := make([]string, len(ins))
	for i, in := range ins {
		switch in.DataType {
		case onnx.TensorElementDataTypeFloat, onnx.TensorElementDataTypeInt64, onnx.TensorElementDataTypeInt32:
		default:
			return nil, fmt.Errorf("its input %s is of %v; 32-bit floats and integers are taken", in.Name, in.DataType)
		}
		names[i] = in.Name
	}
	named := func(word string) int {
		return slices.IndexFunc(outs, func(o onnx.InputOutputInfo) bool { return strings.Contains(strings.ToLower(o.Name), word) })
	}
	i := named("embed")
	if i < 0 {
		i = named("feature")
	}
	if i < 0 && len(outs) == 1 {
		i = 0
	}
	if i < 0 {
		return nil, errors.New("none of its outputs is called an embedding")
	}
	e.Session, err = m.Open(path, names, []string{outs[i].Name})
	return e, err
}

// side returns the pixels, each way, of an image encoder's input: 224 where the network leaves it open.
func (e *encoder) side() (int64, error) {
	const usual, largest = 224, 1024
	if len(e.inputs) != 1 || e.inputs[0].DataType != onnx.TensorElementDataTypeFloat || len(e.inputs[0].Dimensions) != 4 {
		return 0, errors.New("its only input must be floats of 1×3×height×width")
	}
	switch d := e.inputs[0].Dimensions; {
	case d[2] <= 0 && d[3] <= 0:
		return usual, nil
	case d[2] != d[3] || d[2] > largest:
		return 0, fmt.Errorf("its input is of %d×%d pixels; it must be a square of at most %d", d[3], d[2], largest)
	default:
		return d[2], nil
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
		for _, in := range e.inputs {
			values := ids
			if strings.Contains(in.Name, "mask") {
				values = mask(ids)
			}
			ins = append(ins, tensor(in.DataType, values))
		}
		out, err := e.Run(ctx, ins...)
		if err != nil {
			return nil, nil, err
		}
		return nil, proc.FloatBytes(out[0]), nil
	}
}

// tensor returns numbers of a text in the type that an encoder wants.
func tensor(as onnx.TensorElementDataType, values []int64) ort.Tensor {
	t := ort.Tensor{Shape: []int64{1, int64(len(values))}}
	switch as {
	case onnx.TensorElementDataTypeInt64:
		t.Ints = values
	case onnx.TensorElementDataTypeInt32:
		for _, v := range values {
			t.Ints32 = append(t.Ints32, int32(v)) //nolint:gosec // of a vocabulary
		}
	default:
		for _, v := range values {
			t.Floats = append(t.Floats, float32(v))
		}
	}
	return t
}

// mask tells the tokens, up to the last number of the vocabulary, from what fills up the rest.
func mask(ids []int64) []int64 {
	out := make([]int64, len(ids))
	for i := range slices.Index(ids, slices.Max(ids)) + 1 {
		out[i] = 1
	}
	return out
}
