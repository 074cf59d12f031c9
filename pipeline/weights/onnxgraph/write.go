package onnxgraph

import (
	"encoding/binary"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers and values of onnx.proto3 that only writing needs.
const (
	modelIR, modelProducer                     = 1, 2
	graphName, graphInput                      = 2, 11
	opsetVersion                               = 2
	valueName, valueType, typeTensor           = 1, 2, 1
	tensorElem, tensorShape, shapeDim, dimSize = 1, 2, 1, 1

	dimName = 2

	typeFloat    = 1
	typeInt32    = 6
	writtenIR    = 8
	writtenOpset = 17
)

// Graph is a network that is being written. The order of the calls is the order in the file, so the same calls give
// the same bytes.
type Graph struct {
	body message
}

// Attr is an attribute of a node.
type Attr struct{ m message }

// Ints is an attribute that is a list of whole numbers.
func Ints(name string, vs ...int64) Attr { return Attr{intsAttr(name, vs...)} }

// Int is an attribute that is one whole number.
func Int(name string, v int64) Attr { return Attr{intAttr(name, v)} }

// Node adds an operation and returns the name of its output.
func (g *Graph) Node(op string, inputs []string, output string, attrs ...Attr) string {
	ms := make([]message, len(attrs))
	for i, a := range attrs {
		ms[i] = a.m
	}
	g.body = append(g.body, newNode(op, output, inputs, output, ms...)...)
	return output
}

// Floats adds a constant and returns its name. dims is empty for a single number.
func (g *Graph) Floats(name string, dims []int64, values ...float32) string {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	g.body = append(g.body, newTensor(name, typeFloat, dims, raw)...)
	return name
}

// Input declares an input of floats and returns its name. A size below 0 is left open, here and in other declarations.
func (g *Graph) Input(name string, dims ...int64) string {
	return g.value(graphInput, name, typeFloat, dims)
}

// Numbers declares an input of 64-bit integers and returns its name.
func (g *Graph) Numbers(name string, dims ...int64) string {
	return g.value(graphInput, name, typeInt64, dims)
}

// Numbers32 declares an input of 32-bit integers and returns its name.
func (g *Graph) Numbers32(name string, dims ...int64) string {
	return g.value(graphInput, name, typeInt32, dims)
}

// Output declares a result of floats and returns its name.
func (g *Graph) Output(name string, dims ...int64) string {
	return g.value(graphOutput, name, typeFloat, dims)
}

func (g *Graph) value(num protowire.Number, name string, elem int64, dims []int64) string {
	var shape, tensor, typ, value message
	for i, d := range dims {
		var dim message
		if d < 0 { // any size
			dim.text(dimName, "n"+strconv.Itoa(i))
		} else {
			dim.number(dimSize, d)
		}
		shape.bytes(shapeDim, dim)
	}
	tensor.number(tensorElem, elem)
	tensor.bytes(tensorShape, shape)
	typ.bytes(typeTensor, tensor)
	value.text(valueName, name)
	value.bytes(valueType, typ)
	g.body.bytes(num, value)
	return name
}

// Model returns the file.
func (g *Graph) Model(name string) []byte {
	var opset, graph, model message
	opset.text(opsetDomain, "")
	opset.number(opsetVersion, writtenOpset)
	graph = append(graph, g.body...)
	graph.text(graphName, name)
	model.number(modelIR, writtenIR)
	model.text(modelProducer, "brenda")
	model.bytes(modelGraph, graph)
	model.bytes(modelOpset, opset)
	return model
}
