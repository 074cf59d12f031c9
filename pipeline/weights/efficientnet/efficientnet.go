// Package efficientnet makes an ONNX file of the weights of EfficientNet-Lite0, as PyTorch stores them.
//
// Reading a PyTorch file is running a small program, the pickle; here only the three names that such weights need mean
// anything to it. Batch normalisations are folded into the convolutions before them.
package efficientnet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/pytorch"
	"github.com/nlpodyssey/gopickle/types"

	"brenda/pipeline/weights/onnxgraph"
)

// Side is the width and height of the input in pixels, Classes the number of outputs.
const (
	Side    = 224
	Classes = 1000
)

// epsilon keeps the normalisations from dividing by zero; it is the one that the network was trained with.
const epsilon = 1e-3

// stage is a row of table 1 of "EfficientNet: Rethinking Model Scaling" (Tan and Le 2019), as Lite0 has it.
type stage struct {
	blocks   int
	stride   int64 // of the first block; 1 in the others
	channels int
	expand   int
	kernel   int64
}

func stages() []stage {
	return []stage{
		{blocks: 1, stride: 1, channels: 16, expand: 1, kernel: 3},
		{blocks: 2, stride: 2, channels: 24, expand: 6, kernel: 3},
		{blocks: 2, stride: 2, channels: 40, expand: 6, kernel: 5},
		{blocks: 3, stride: 2, channels: 80, expand: 6, kernel: 3},
		{blocks: 3, stride: 1, channels: 112, expand: 6, kernel: 5},
		{blocks: 4, stride: 2, channels: 192, expand: 6, kernel: 5},
		{blocks: 1, stride: 1, channels: 320, expand: 6, kernel: 3},
	}
}

// Convert returns the ONNX file of the weights in a .pth file. Its input "image" is 1×3×224×224, (value − 127) / 128
// of red, green and blue; its output "probs" is 1×1000, the probabilities of the classes of ImageNet-1k.
func Convert(path string) ([]byte, error) {
	state, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("reading the weights: %w", err)
	}
	w := &writer{state: state}
	w.network()
	if w.err != nil {
		return nil, w.err
	}
	return w.g.Model("efficientnet-lite0"), nil
}

// tensor is one array of weights.
type tensor struct {
	dims   []int64
	values []float32
}

// load reads the named arrays of floats in a PyTorch file.
func load(path string) (map[string]tensor, error) {
	if err := checkHead(path); err != nil {
		return nil, err
	}
	read, err := pytorch.LoadWithUnpickler(path, func(r io.Reader) pickle.Unpickler {
		u := pickle.NewUnpickler(r)
		u.FindClass = func(module, name string) (any, error) {
			return nil, fmt.Errorf("%s.%s has no place among weights", module, name)
		}
		return u
	})
	if err != nil {
		return nil, err
	}
	dict, ok := read.(*types.OrderedDict)
	if !ok {
		return nil, fmt.Errorf("the file holds a %T", read)
	}
	state := map[string]tensor{}
	for key, entry := range dict.Map {
		name, isName := key.(string)
		t, isTensor := entry.Value.(*pytorch.Tensor)
		if !isName || !isTensor {
			return nil, errors.New("the file does not hold named arrays")
		}
		floats, ok := t.Source.(*pytorch.FloatStorage)
		if !ok {
			continue // counters of the training
		}
		if state[name], err = gather(t, floats.Data); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return state, nil
}

// checkHead makes sure that the library takes a file for PyTorch's old format: what is empty or an archive would keep it
// busy for ever.
func checkHead(path string) error {
	const magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil || string(head) != magic {
		return errors.New("not weights as PyTorch stored them before version 1.6")
	}
	return nil
}

// gather takes an array out of its storage, in whatever order it lies there.
func gather(t *pytorch.Tensor, data []float32) (tensor, error) {
	out := tensor{}
	n, last := 1, t.StorageOffset
	if len(t.Size) != len(t.Stride) {
		return out, errors.New("its steps are not as many as its dimensions")
	}
	for i, size := range t.Size {
		if size <= 0 || size > len(data) || n*size > len(data) || t.Stride[i] < 0 || t.Stride[i] > len(data) {
			return out, fmt.Errorf("it is %v with the steps %v", t.Size, t.Stride)
		}
		n, last = n*size, last+(size-1)*t.Stride[i]
		out.dims = append(out.dims, int64(size))
	}
	if t.StorageOffset < 0 || last >= len(data) {
		return out, errors.New("it reaches beyond its storage")
	}
	out.values = make([]float32, n)
	for i := range n {
		at, rest := t.StorageOffset, i
		for d, size := range slices.Backward(t.Size) {
			at, rest = at+rest%size*t.Stride[d], rest/size
		}
		out.values[i] = data[at]
	}
	return out, nil
}

// writer writes the network. After an error it goes on with nothing.
type writer struct {
	state map[string]tensor
	g     onnxgraph.Graph
	count int // of convolutions
	err   error
}

func (w *writer) network() {
	const stem, head = "_conv_stem", "_conv_head"
	x := w.g.Input("image", 1, 3, Side, Side)
	w.g.Floats("zero", nil, 0)
	w.g.Floats("six", nil, 6)
	x = w.conv(x, stem, "_bn0", shape{out: 32, in: 3, kernel: 3, stride: 2, groups: 1}, true)
	block, in := 0, 32
	for _, s := range stages() {
		for i := range s.blocks {
			if i > 0 {
				s.stride = 1
			}
			x = w.block(x, fmt.Sprintf("_blocks.%d.", block), s, in)
			block, in = block+1, s.channels
		}
	}
	x = w.conv(x, head, "_bn1", shape{out: 1280, in: 320, kernel: 1, stride: 1, groups: 1}, true)
	x = w.g.Node("GlobalAveragePool", []string{x}, "pooled")
	x = w.g.Node("Flatten", []string{x}, "features")
	weight, bias := w.get("_fc.weight", Classes, 1280), w.get("_fc.bias", Classes)
	w.g.Floats("fc_weight", weight.dims, weight.values...)
	w.g.Floats("fc_bias", bias.dims, bias.values...)
	x = w.g.Node("Gemm", []string{x, "fc_weight", "fc_bias"}, "logits", onnxgraph.Int("transB", 1))
	w.g.Node("Softmax", []string{x}, "probs", onnxgraph.Int("axis", 1))
	w.g.Output("probs", 1, Classes)
}

// block is an inverted bottleneck: widen, look around, narrow, and add what came in where the shapes agree.
func (w *writer) block(in, name string, s stage, channels int) string {
	x, wide := in, channels*s.expand
	if s.expand != 1 {
		x = w.conv(x, name+"_expand_conv", name+"_bn0", shape{out: wide, in: channels, kernel: 1, stride: 1, groups: 1}, true)
	}
	x = w.conv(x, name+"_depthwise_conv", name+"_bn1",
		shape{out: wide, in: 1, kernel: s.kernel, stride: s.stride, groups: wide}, true)
	x = w.conv(x, name+"_project_conv", name+"_bn2",
		shape{out: s.channels, in: wide, kernel: 1, stride: 1, groups: 1}, false)
	if s.stride == 1 && channels == s.channels {
		x = w.g.Node("Add", []string{in, x}, name+"sum")
	}
	return x
}

// shape is that of a convolution.
type shape struct {
	out, in        int
	kernel, stride int64
	groups         int
}

// pads returns the zeros around the input, as TensorFlow's SAME puts them for even sizes.
func (s shape) pads() []int64 {
	lo, hi := (s.kernel-1)/2, (s.kernel-1)/2
	if s.stride == 2 {
		lo, hi = (s.kernel-2)/2, s.kernel-2-(s.kernel-2)/2
	}
	return []int64{lo, lo, hi, hi}
}

// conv adds a convolution with its normalisation, and the activation where there is one.
func (w *writer) conv(x, weights, norm string, s shape, active bool) string {
	w.count++
	id := fmt.Sprintf("conv%d", w.count)
	kernel := w.get(weights+".weight", s.out, s.in, int(s.kernel), int(s.kernel))
	gain, shift := w.get(norm+".weight", s.out), w.get(norm+".bias", s.out)
	mean, variance := w.get(norm+".running_mean", s.out), w.get(norm+".running_var", s.out)
	if w.err != nil {
		return id
	}
	folded, bias := make([]float32, len(kernel.values)), make([]float32, s.out)
	each := len(folded) / s.out
	for c := range s.out {
		scale := float64(gain.values[c]) / math.Sqrt(float64(variance.values[c])+epsilon)
		for i := c * each; i < (c+1)*each; i++ {
			folded[i] = float32(float64(kernel.values[i]) * scale)
		}
		moved := float64(float64(mean.values[c]) * scale) // rounded by itself, so that every processor gives the same
		bias[c] = float32(float64(shift.values[c]) - moved)
	}
	w.g.Floats(id+"_w", kernel.dims, folded...)
	w.g.Floats(id+"_b", []int64{int64(s.out)}, bias...)
	out := w.g.Node("Conv", []string{x, id + "_w", id + "_b"}, id,
		onnxgraph.Ints("strides", s.stride, s.stride), onnxgraph.Int("group", int64(s.groups)),
		onnxgraph.Ints("kernel_shape", s.kernel, s.kernel), onnxgraph.Ints("pads", s.pads()...))
	if active {
		out = w.g.Node("Clip", []string{out, "zero", "six"}, id+"_relu6")
	}
	return out
}

// get returns an array of the weights, which must have these dimensions.
func (w *writer) get(name string, dims ...int) tensor {
	t, ok := w.state[name]
	same := ok && len(t.dims) == len(dims)
	for i := range dims {
		same = same && t.dims[i] == int64(dims[i])
	}
	if !same && w.err == nil {
		w.err = fmt.Errorf("the weights have no %s of %v", name, dims)
	}
	if !same {
		return tensor{}
	}
	return t
}
