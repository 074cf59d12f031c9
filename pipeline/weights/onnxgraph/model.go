// Package onnxgraph rewrites ONNX files: enough of the format to read a graph's nodes and constants, replace
// some, and write the rest back as it was.
//
// The messages are those of onnx.proto3. Fields that are not named here are kept byte for byte, in their
// place, so that a file that needs no change comes out unchanged, and the same input always gives the same
// output.
package onnxgraph

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto3.
const (
	modelGraph, modelOpset                                         = 7, 8
	graphNode, graphInitializer, graphOutput, graphValueInfo       = 1, 5, 12, 13
	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttr, nodeDomain  = 1, 2, 3, 4, 5, 7
	attrName, attrInt, attrString, attrGraph, attrInts, attrGraphs = 1, 3, 4, 6, 8, 11
	attrType                                                       = 20
	tensorDims, tensorType, tensorInt32, tensorName, tensorRaw     = 1, 2, 5, 8, 9
	opsetDomain                                                    = 1
)

// Values of TensorProto.DataType and AttributeProto.AttributeType.
const (
	typeUint8, typeInt8, typeInt64 = 2, 3, 7
	attrIsInt, attrIsString        = 2, 3
	attrIsInts                     = 7
)

// field is one field of a message: its whole encoding, and the payload of a length-delimited one or the
// number of a varint.
type field struct {
	num   protowire.Number
	kind  protowire.Type
	whole []byte
	data  []byte
	value uint64
}

// fields calls visit with every field of a message in order.
func fields(msg []byte, visit func(field) error) error {
	for len(msg) > 0 {
		num, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(num, kind, msg[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		f := field{num: num, kind: kind, whole: msg[:n+size]}
		switch kind {
		case protowire.BytesType:
			f.data, _ = protowire.ConsumeBytes(msg[n:])
		case protowire.VarintType:
			f.value, _ = protowire.ConsumeVarint(msg[n:])
		default: // fixed-size numbers and groups are only passed on
		}
		if err := visit(f); err != nil {
			return err
		}
		msg = msg[n+size:]
	}
	return nil
}

// node is a NodeProto with the parts that the rewrite looks at.
type node struct {
	whole            []byte // the field as it stands in the graph
	name, op, domain string
	inputs, outputs  []string
	attrs            map[string][]byte // AttributeProto by name
	nestedUses       []string          // names that graphs inside its attributes read
}

func parseNode(f field) (node, error) {
	n := node{whole: f.whole, attrs: map[string][]byte{}}
	err := fields(f.data, func(f field) error {
		switch int(f.num) {
		case nodeInput:
			n.inputs = append(n.inputs, string(f.data))
		case nodeOutput:
			n.outputs = append(n.outputs, string(f.data))
		case nodeName:
			n.name = string(f.data)
		case nodeOp:
			n.op = string(f.data)
		case nodeDomain:
			n.domain = string(f.data)
		case nodeAttr:
			return n.addAttr(f.data)
		}
		return nil
	})
	return n, err
}

func (n *node) addAttr(msg []byte) error {
	var name string
	err := fields(msg, func(f field) error {
		switch int(f.num) {
		case attrName:
			name = string(f.data)
		case attrGraph, attrGraphs:
			return n.addNested(f.data)
		}
		return nil
	})
	n.attrs[name] = msg
	return err
}

// addNested notes every name that the nodes of an inner graph read: it may be a constant of the outer one.
func (n *node) addNested(graph []byte) error {
	return fields(graph, func(f field) error {
		if f.num != graphNode {
			return nil
		}
		inner, err := parseNode(f)
		n.nestedUses = append(append(n.nestedUses, inner.inputs...), inner.nestedUses...)
		return err
	})
}

// ints returns an attribute's list of whole numbers, or its single one; nil when the node lacks it.
func (n *node) ints(name string) ([]int64, error) {
	var out []int64
	err := fields(n.attrs[name], func(f field) error {
		switch {
		case f.num != attrInts && f.num != attrInt:
		case f.kind == protowire.VarintType:
			out = append(out, int64(f.value))
		case f.kind == protowire.BytesType:
			return packed(f.data, &out)
		}
		return nil
	})
	return out, err
}

func (n *node) text(name string) (string, error) {
	var out string
	err := fields(n.attrs[name], func(f field) error {
		if f.num == attrString {
			out = string(f.data)
		}
		return nil
	})
	return out, err
}

func packed(data []byte, out *[]int64) error {
	for len(data) > 0 {
		v, n := protowire.ConsumeVarint(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		*out = append(*out, int64(v))
		data = data[n:]
	}
	return nil
}

// tensor is a TensorProto of 8-bit values.
type tensor struct {
	name  string
	dims  []int64
	dtype uint64
	raw   []byte
}

// elements returns the number of values, or an error when the dimensions claim more than limit.
func (t *tensor) elements(limit int) (int, error) {
	n := int64(1)
	for _, d := range t.dims {
		if d < 0 || d > int64(limit) || n*d > int64(limit) {
			return 0, fmt.Errorf("constant %q claims the dimensions %v", t.name, t.dims)
		}
		n *= d
	}
	return int(n), nil
}

var errNotBytes = errors.New("not a constant of 8-bit values")

// parseBytesTensor reads a uint8 or int8 constant; its values may be stored raw or as int32.
func parseBytesTensor(msg []byte) (tensor, error) {
	var t tensor
	var wide []int64
	err := fields(msg, func(f field) error {
		switch {
		case f.num == tensorDims && f.kind == protowire.BytesType:
			return packed(f.data, &t.dims)
		case f.num == tensorDims:
			t.dims = append(t.dims, int64(f.value))
		case f.num == tensorType:
			t.dtype = f.value
		case f.num == tensorName:
			t.name = string(f.data)
		case f.num == tensorRaw:
			t.raw = f.data
		case f.num == tensorInt32 && f.kind == protowire.BytesType:
			return packed(f.data, &wide)
		case f.num == tensorInt32:
			wide = append(wide, int64(f.value))
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	if t.dtype != typeUint8 && t.dtype != typeInt8 {
		return t, errNotBytes
	}
	if len(wide) > 0 {
		t.raw = slices.Clone(t.raw) // it lies inside the model
	}
	for _, v := range wide {
		t.raw = append(t.raw, byte(v))
	}
	n, err := t.elements(len(t.raw))
	if err == nil && n != len(t.raw) {
		err = fmt.Errorf("constant %q holds %d values for the dimensions %v", t.name, len(t.raw), t.dims)
	}
	return t, err
}

// nameOf returns the name of a TensorProto or ValueInfoProto whose name has this field number.
func nameOf(num protowire.Number, msg []byte) (string, error) {
	var name string
	err := fields(msg, func(f field) error {
		if f.num == num {
			name = string(f.data)
		}
		return nil
	})
	return name, err
}
