package onnxgraph

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Report says what a rewrite changed.
type Report struct {
	Rewritten int // ConvInteger nodes that became matrix products
	Kept      int // ConvInteger nodes that stayed as they were
	Domains   int // operator sets that no node used and that were dropped
}

// DropUnusedDomains returns the ONNX model with the operator sets that no node uses left out of its header,
// and nothing else changed but recorded shapes and constants that nobody reads. An ONNX Runtime that does
// not know one of those sets would refuse the file, or abort.
func DropUnusedDomains(model []byte) ([]byte, Report, error) { return rewrite(model, false) }

// MatMulConvolutions does what [DropUnusedDomains] does, and rewrites one-dimensional ConvInteger nodes as
// Transpose, Pad, Slice, Concat and MatMulInteger with constant signed weights: ONNX Runtime packs constant
// matrices and multiplies them with its fastest 8-bit kernels, whereas ConvInteger takes a slow path.
//
// In whole-number arithmetic the outputs stay the same bit for bit. But ONNX Runtime's unsigned-by-signed
// kernels for x86 processors without VNNI saturate at 16 bits: there the result is wrong, and this file must
// not be used.
func MatMulConvolutions(model []byte) ([]byte, Report, error) { return rewrite(model, true) }

func rewrite(model []byte, convolutions bool) ([]byte, Report, error) {
	var report Report
	var graph []byte
	err := fields(model, func(f field) error {
		if f.num == modelGraph {
			graph = f.data
		}
		return nil
	})
	if err == nil && graph == nil {
		err = errors.New("it has no graph")
	}
	if err != nil {
		return nil, report, fmt.Errorf("read ONNX model: %w", err)
	}
	r := &rewriter{
		constants: map[string][]byte{}, added: map[string]bool{}, used: map[string]bool{},
		domains: map[string]bool{"": true}, convolutions: convolutions, report: &report,
	}
	if err := r.scan(graph); err != nil {
		return nil, report, fmt.Errorf("read ONNX graph: %w", err)
	}
	for _, n := range r.nodes {
		if err := r.node(n); err != nil {
			return nil, report, fmt.Errorf("rewrite node %q: %w", n.name, err)
		}
	}
	out, err := r.write(model, graph)
	return out, report, err
}

type rewriter struct {
	nodes     []node
	constants map[string][]byte // TensorProto by name
	added     map[string]bool   // names of new constants
	extra     [][]byte          // new constants as fields of the graph, in order
	fresh     [][]byte          // nodes of the new graph as fields, in order
	used      map[string]bool   // names that the new nodes read
	domains   map[string]bool
	report    *Report

	convolutions bool // rewrite them
}

func (r *rewriter) scan(graph []byte) error {
	return fields(graph, func(f field) error {
		switch int(f.num) {
		case graphNode:
			n, err := parseNode(f)
			r.nodes = append(r.nodes, n)
			r.domains[n.domain] = true
			return err
		case graphInitializer:
			name, err := nameOf(tensorName, f.data)
			r.constants[name] = f.data
			return err
		case graphOutput:
			name, err := nameOf(1, f.data) // ValueInfoProto.name
			r.used[name] = true
			return err
		}
		return nil
	})
}

func (r *rewriter) keep(n node) {
	r.fresh = append(r.fresh, n.whole)
	for _, list := range [][]string{n.inputs, n.nestedUses} {
		for _, name := range list {
			r.used[name] = true
		}
	}
}

func (r *rewriter) node(n node) error {
	if n.op != "ConvInteger" || n.domain != "" || !r.convolutions {
		r.keep(n)
		return nil
	}
	c, ok, err := r.convolution(n)
	if err != nil {
		return err
	}
	if !ok {
		r.report.Kept++
		r.keep(n)
		return nil
	}
	r.report.Rewritten++
	r.multiply(n, c)
	return nil
}

// convolution is a ConvInteger that can be a matrix product: out × in × taps unsigned weights.
type convolution struct {
	weights             tensor
	zero                int // what stands for nought in the weights
	out, in, taps       int
	dilation, low, high int64 // step between taps, padding before and after
}

// smallest is the number of channels below which the matrix product gains nothing.
const smallest = 64

// convolution reads a ConvInteger; ok is false when it is of a kind that stays.
func (r *rewriter) convolution(n node) (c convolution, ok bool, err error) {
	if len(n.inputs) != 4 || len(n.outputs) != 1 {
		return c, false, nil
	}
	weights, zeroPoint := r.constants[n.inputs[1]], r.constants[n.inputs[3]]
	if weights == nil || zeroPoint == nil {
		return c, false, nil
	}
	if c.weights, err = parseBytesTensor(weights); err != nil {
		return c, false, err
	}
	zero, err := parseBytesTensor(zeroPoint)
	if err != nil {
		return c, false, err
	}
	if c.weights.dtype != typeUint8 || len(c.weights.dims) != 3 || len(zero.raw) != 1 {
		return c, false, nil
	}
	c.zero = int(zero.raw[0])
	d := c.weights.dims
	c.out, c.in, c.taps = int(d[0]), int(d[1]), int(d[2])
	plain, err := r.geometry(n, &c)
	ok = plain && c.out >= smallest && c.in >= smallest && c.taps >= 1
	return c, ok, err
}

// geometry reads the attributes; it says whether they are a stride of one, one group and explicit padding.
func (r *rewriter) geometry(n node, c *convolution) (bool, error) {
	pad, err := n.text("auto_pad")
	if err != nil {
		return false, err
	}
	lists := map[string][]int64{"strides": {1}, "dilations": {1}, "group": {1}, "pads": {0, 0}}
	for name, list := range lists {
		got, err := n.ints(name)
		if err != nil {
			return false, err
		}
		if got == nil {
			continue
		}
		if len(got) != len(list) {
			return false, nil
		}
		lists[name] = got
	}
	c.dilation, c.low, c.high = lists["dilations"][0], lists["pads"][0], lists["pads"][1]
	ok := (pad == "" || pad == "NOTSET") && lists["strides"][0] == 1 && lists["group"][0] == 1 &&
		c.dilation >= 1 && c.dilation < 1<<20 && c.low >= 0 && c.high >= 0
	return ok, nil
}

// multiply emits the nodes that stand for the convolution n. With the input as rows of channels, tap j reads
// the rows from j·dilation on; the taps side by side are one matrix, and their weights below one another the
// other.
func (r *rewriter) multiply(n node, c convolution) {
	p := n.name + "/gm"
	x, zero := n.inputs[0], n.inputs[2]
	r.emit("Transpose", p+"T", []string{x}, p+"t", intsAttr("perm", 0, 2, 1))
	cur := p + "t"
	if c.low != 0 || c.high != 0 {
		pads := r.int64s(fmt.Sprintf("gm_pad_%d_%d", c.low, c.high), 0, c.low, 0, 0, c.high, 0)
		r.emit("Pad", p+"P", []string{cur, pads, zero}, p+"p", textAttr("mode", "constant"))
		cur = p + "p"
	}
	if c.taps > 1 {
		cur = r.taps(p, cur, c)
	}
	weights, offset := r.signed(n.inputs[1], c)
	r.emit("MatMulInteger", p+"M", []string{cur, weights, zero, offset}, p+"m")
	r.emit("Transpose", p+"U", []string{p + "m"}, n.outputs[0], intsAttr("perm", 0, 2, 1))
}

func (r *rewriter) taps(p, cur string, c convolution) string {
	axis := r.int64s("gm_ax1", 1)
	var parts []string
	for j := range int64(c.taps) {
		start := r.index(j * c.dilation)
		end := r.index(math.MaxInt32)
		if back := (int64(c.taps) - 1 - j) * c.dilation; back > 0 {
			end = r.index(-back)
		}
		part := fmt.Sprintf("%ss%d", p, j)
		r.emit("Slice", fmt.Sprintf("%sS%d", p, j), []string{cur, start, end, axis}, part)
		parts = append(parts, part)
	}
	r.emit("Concat", p+"C", parts, p+"c", intAttr("axis", 2))
	return p + "c"
}

// signed adds the weights as a (taps·in) × out matrix of signed bytes, 128 less than they were, and their
// zero point.
func (r *rewriter) signed(name string, c convolution) (weights, zero string) {
	weights, zero = name+"_gm", fmt.Sprintf("gm_wz_%d", c.zero-128)
	if !r.added[weights] {
		raw := make([]byte, len(c.weights.raw))
		for m := range c.out {
			for ch := range c.in {
				for k := range c.taps {
					raw[(k*c.in+ch)*c.out+m] = c.weights.raw[(m*c.in+ch)*c.taps+k] - 128
				}
			}
		}
		r.add(weights, newTensor(weights, typeInt8, []int64{int64(c.taps * c.in), int64(c.out)}, raw))
	}
	r.add(zero, newTensor(zero, typeInt8, nil, []byte{byte(c.zero - 128)}))
	return weights, zero
}

func (r *rewriter) emit(op, name string, inputs []string, output string, attrs ...message) {
	for _, in := range inputs {
		r.used[in] = true
	}
	r.fresh = append(r.fresh, newNode(op, name, inputs, output, attrs...))
}

func (r *rewriter) add(name string, field []byte) {
	if !r.added[name] {
		r.added[name] = true
		r.extra = append(r.extra, field)
	}
}

func (r *rewriter) int64s(name string, vs ...int64) string {
	r.add(name, int64Tensor(name, []int64{int64(len(vs))}, vs...))
	return name
}

func (r *rewriter) index(v int64) string { return r.int64s(fmt.Sprintf("gm_i_%d", v), v) }

// write puts the model together again: the new nodes where the first of the old ones stood, the constants
// that are still read, then the new ones, and no recorded shapes of values that are gone.
func (r *rewriter) write(model, graph []byte) ([]byte, error) {
	out := make(message, 0, len(graph))
	done := false
	err := fields(graph, func(f field) error {
		switch int(f.num) {
		case graphNode:
			if !done {
				for _, n := range r.fresh {
					out = append(out, n...)
				}
				done = true
			}
			return nil
		case graphValueInfo:
			return nil
		case graphInitializer:
			name, err := nameOf(tensorName, f.data)
			if err != nil || !r.used[name] {
				return err
			}
		}
		out = append(out, f.whole...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, c := range r.extra {
		out = append(out, c...)
	}
	whole := make(message, 0, len(out)+1024)
	err = fields(model, func(f field) error {
		switch int(f.num) {
		case modelGraph:
			whole.bytes(modelGraph, out)
			return nil
		case modelOpset:
			domain, err := nameOf(protowire.Number(opsetDomain), f.data)
			if err != nil {
				return err
			}
			if !r.domains[domain] {
				r.report.Domains++
				return nil
			}
		}
		whole = append(whole, f.whole...)
		return nil
	})
	return whole, err
}
