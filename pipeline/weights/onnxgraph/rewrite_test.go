package onnxgraph

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// conv describes a graph of one ConvInteger.
type conv struct {
	out, in, taps, dilation, low, high, stride int
	weightZero                                 byte
	asInt32                                    bool // the zero point is stored as int32_data
}

// graphOf builds a model with that one node, an unused constant, recorded shapes and an unused operator set.
func graphOf(c conv, weights []byte) []byte {
	var zero, unused, shape message
	zero.number(tensorType, typeUint8)
	zero.text(tensorName, "wz")
	if c.asInt32 {
		zero.bytes(tensorInt32, []byte{c.weightZero | 0x80, c.weightZero >> 7}) // packed varint
	} else {
		zero.bytes(tensorRaw, []byte{c.weightZero})
	}
	unused.number(tensorType, typeUint8)
	unused.text(tensorName, "unused")
	shape.text(1, "y")
	var g message
	g.text(2, "main")
	g = append(g, newNode("ConvInteger", "/conv", []string{"x", "w", "xz", "wz"}, "y",
		intsAttr("dilations", int64(c.dilation)), intAttr("group", 1), intsAttr("pads", int64(c.low), int64(c.high)),
		intsAttr("strides", int64(c.stride)), textAttr("auto_pad", "NOTSET"))...)
	g = append(g, newTensor("w", typeUint8, []int64{int64(c.out), int64(c.in), int64(c.taps)}, weights)...)
	g = append(g, zero.field(graphInitializer)...)
	g = append(g, unused.field(graphInitializer)...)
	g = append(g, shape.field(graphOutput)...)
	g = append(g, shape.field(graphValueInfo)...)
	var m, used, foreign message
	m.number(1, 9) // ir_version
	m.bytes(modelGraph, g)
	used.text(opsetDomain, "")
	used.number(2, 20)
	foreign.text(opsetDomain, "ai.onnx.ml")
	foreign.number(2, 5)
	m.bytes(modelOpset, used)
	m.bytes(modelOpset, foreign)
	m.bytes(14, []byte("kept as it is"))
	return m
}

// array is a value of the interpreter: numbers with their shape.
type array struct {
	dims []int
	v    []int64
}

func (a array) at(i ...int) int64 {
	n := 0
	for k, d := range a.dims {
		n = n*d + i[k]
	}
	return a.v[n]
}

func (a array) set(v int64, i ...int) {
	n := 0
	for k, d := range a.dims {
		n = n*d + i[k]
	}
	a.v[n] = v
}

func newArray(dims ...int) array {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return array{dims, make([]int64, n)}
}

// evaluate runs a rewritten graph by the definitions of the ONNX operators, with batch one.
func evaluate(t *testing.T, model []byte, in map[string]array) array {
	t.Helper()
	vals := maps.Clone(in)
	var nodes []node
	walk(t, model, func(n node) { nodes = append(nodes, n) }, func(name string, a array) { vals[name] = a })
	for _, n := range nodes {
		x := vals[n.inputs[0]]
		var y array
		switch n.op {
		case "Transpose":
			y = newArray(1, x.dims[2], x.dims[1])
			for i := range x.dims[1] {
				for j := range x.dims[2] {
					y.set(x.at(0, i, j), 0, j, i)
				}
			}
		case "Pad":
			p, fill := vals[n.inputs[1]].v, vals[n.inputs[2]].v[0]
			y = newArray(1, x.dims[1]+int(p[1]+p[4]), x.dims[2])
			for i := range y.v {
				y.v[i] = fill
			}
			copy(y.v[int(p[1])*x.dims[2]:], x.v)
		case "Slice":
			from, to := int(vals[n.inputs[1]].v[0]), int(vals[n.inputs[2]].v[0])
			if to < 0 {
				to += x.dims[1]
			}
			to = min(to, x.dims[1])
			y = array{[]int{1, to - from, x.dims[2]}, x.v[from*x.dims[2] : to*x.dims[2]]}
		case "Concat":
			y = newArray(1, x.dims[1], x.dims[2]*len(n.inputs))
			for k, name := range n.inputs {
				for i := range x.dims[1] {
					copy(y.v[i*y.dims[2]+k*x.dims[2]:], vals[name].v[i*x.dims[2]:(i+1)*x.dims[2]])
				}
			}
		case "MatMulInteger":
			w, xz, wz := vals[n.inputs[1]], vals[n.inputs[2]].v[0], vals[n.inputs[3]].v[0]
			y = newArray(1, x.dims[1], w.dims[1])
			for i := range x.dims[1] {
				for j := range w.dims[1] {
					var sum int64
					for k := range x.dims[2] {
						sum += (x.at(0, i, k) - xz) * (w.at(k, j) - wz)
					}
					y.set(sum, 0, i, j)
				}
			}
		default:
			t.Fatalf("unexpected node %s", n.op)
		}
		vals[n.outputs[0]] = y
	}
	return vals["y"]
}

// walk hands out the nodes and the constants of a model.
func walk(t *testing.T, model []byte, visitNode func(node), visitConstant func(string, array)) {
	t.Helper()
	err := fields(model, func(f field) error {
		if f.num != modelGraph {
			return nil
		}
		return fields(f.data, func(f field) error {
			switch int(f.num) {
			case graphNode:
				n, err := parseNode(f)
				visitNode(n)
				return err
			case graphInitializer:
				name, a := constant(t, f.data)
				visitConstant(name, a)
			case graphValueInfo:
				t.Error("recorded shapes are left")
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func constant(t *testing.T, msg []byte) (string, array) {
	t.Helper()
	var name string
	var dims []int
	var kind uint64
	var raw []byte
	err := fields(msg, func(f field) error {
		switch int(f.num) {
		case tensorDims:
			dims = append(dims, int(f.value))
		case tensorType:
			kind = f.value
		case tensorName:
			name = string(f.data)
		case tensorRaw:
			raw = f.data
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a := array{dims: dims}
	for i := 0; i < len(raw); {
		switch kind {
		case typeInt64:
			a.v = append(a.v, int64(binary.LittleEndian.Uint64(raw[i:])))
			i += 8
		case typeInt8:
			a.v = append(a.v, int64(int8(raw[i])))
			i++
		default:
			a.v = append(a.v, int64(raw[i]))
			i++
		}
	}
	return name, a
}

// convolve is the definition of ConvInteger with one group and a stride of one.
func convolve(c conv, x array, xz int64, w []byte) array {
	length := x.dims[2] + c.low + c.high - (c.taps-1)*c.dilation
	y := newArray(1, c.out, length)
	for o := range c.out {
		for i := range length {
			var sum int64
			for ch := range c.in {
				for k := range c.taps {
					at := i + k*c.dilation - c.low
					if at < 0 || at >= x.dims[2] {
						continue
					}
					sum += (x.at(0, ch, at) - xz) * (int64(w[(o*c.in+ch)*c.taps+k]) - int64(c.weightZero))
				}
			}
			y.set(sum, 0, o, i)
		}
	}
	return y
}

func TestMatMulConvolutionsIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range []conv{
		{64, 64, 1, 1, 0, 0, 1, 128, false},
		{64, 70, 3, 1, 1, 1, 1, 120, false},
		{65, 64, 5, 1, 2, 2, 1, 200, true},
		{64, 64, 3, 5, 5, 5, 1, 131, true},
		{64, 64, 7, 3, 9, 4, 1, 0, false},
		{64, 64, 2, 1, 0, 0, 1, 255, false},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			w := make([]byte, c.out*c.in*c.taps)
			for i := range w {
				w[i] = byte(rng.IntN(256))
			}
			x := newArray(1, c.in, 19)
			for i := range x.v {
				x.v[i] = int64(rng.IntN(256))
			}
			const xz = 77
			out, report, err := MatMulConvolutions(graphOf(c, w))
			if err != nil || report != (Report{Rewritten: 1, Domains: 1}) {
				t.Fatalf("%+v, %v", report, err)
			}
			got := evaluate(t, out, map[string]array{"x": x, "xz": {nil, []int64{xz}}})
			want := convolve(c, x, xz, w)
			if !slices.Equal(got.dims, want.dims) || !slices.Equal(got.v, want.v) {
				t.Errorf("the product differs from the convolution: %v, %v", got.dims, want.dims)
			}
			if bytes.Contains(out, []byte("unused")) || !bytes.Contains(out, []byte("kept as it is")) {
				t.Error("unused constants go, metadata stays")
			}
			again, _, err := MatMulConvolutions(out)
			if err != nil || !bytes.Equal(again, out) {
				t.Errorf("a second pass changed it: %v", err)
			}
		})
	}
}

func TestKeepsOtherConvolutions(t *testing.T) {
	for name, c := range map[string]conv{
		"stride two":   {64, 64, 3, 1, 1, 1, 2, 128, false},
		"few channels": {64, 32, 3, 1, 1, 1, 1, 128, false},
	} {
		t.Run(name, func(t *testing.T) {
			model := graphOf(c, make([]byte, c.out*c.in*c.taps))
			out, report, err := MatMulConvolutions(model)
			if err != nil || report != (Report{Kept: 1, Domains: 1}) {
				t.Fatalf("%+v, %v", report, err)
			}
			clean, _, err := DropUnusedDomains(model)
			if err != nil || !bytes.Equal(out, clean) {
				t.Errorf("the graph should be left alone: %v", err)
			}
		})
	}
}

func TestBrokenModels(t *testing.T) {
	c := conv{64, 64, 3, 1, 1, 1, 1, 128, false}
	model := graphOf(c, make([]byte, 64*64*3))
	for _, n := range []int{1, 5, 100, len(model) / 2, len(model) - 1} {
		if _, _, err := MatMulConvolutions(model[:n]); err == nil {
			t.Errorf("cut at %d: accepted", n)
		}
	}
	if _, _, err := MatMulConvolutions(nil); err == nil {
		t.Error("an empty file was accepted")
	}
	if _, _, err := MatMulConvolutions(graphOf(c, make([]byte, 10))); err == nil {
		t.Error("weights that do not fill their shape were accepted")
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(graphOf(conv{1, 1, 1, 1, 0, 0, 1, 128, true}, []byte{1}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _, _ = MatMulConvolutions(b)
	})
}
