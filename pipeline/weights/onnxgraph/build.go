package onnxgraph

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// message builds a protobuf message.
type message []byte

func (m *message) bytes(num protowire.Number, data []byte) {
	*m = protowire.AppendTag(*m, num, protowire.BytesType)
	*m = protowire.AppendBytes(*m, data)
}

func (m *message) text(num protowire.Number, s string) { m.bytes(num, []byte(s)) }

func (m *message) number(num protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, num, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v))
}

// field wraps a message as a field of the graph.
func (m *message) field(num protowire.Number) []byte {
	var out message
	out.bytes(num, *m)
	return out
}

func newNode(op, name string, inputs []string, output string, attrs ...message) []byte {
	var m message
	for _, in := range inputs {
		m.text(nodeInput, in)
	}
	m.text(nodeOutput, output)
	m.text(nodeName, name)
	m.text(nodeOp, op)
	for _, a := range attrs {
		m.bytes(nodeAttr, a)
	}
	return m.field(graphNode)
}

func intAttr(name string, v int64) message {
	var m message
	m.text(attrName, name)
	m.number(attrInt, v)
	m.number(attrType, attrIsInt)
	return m
}

func intsAttr(name string, vs ...int64) message {
	var m message
	m.text(attrName, name)
	for _, v := range vs {
		m.number(attrInts, v)
	}
	m.number(attrType, attrIsInts)
	return m
}

func textAttr(name, v string) message {
	var m message
	m.text(attrName, name)
	m.text(attrString, v)
	m.number(attrType, attrIsString)
	return m
}

func newTensor(name string, dtype int64, dims []int64, raw []byte) []byte {
	var m message
	for _, d := range dims {
		m.number(tensorDims, d)
	}
	m.number(tensorType, dtype)
	m.text(tensorName, name)
	m.bytes(tensorRaw, raw)
	return m.field(graphInitializer)
}

func int64Tensor(name string, dims []int64, vs ...int64) []byte {
	var raw []byte
	for _, v := range vs {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return newTensor(name, typeInt64, dims, raw)
}
