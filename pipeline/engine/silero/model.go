package silero

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of ONNX's messages (onnx.proto).
const (
	modelGraph    = 7 // ModelProto.graph
	graphNode     = 1 // GraphProto.node
	nodeOutput    = 2 // NodeProto.output
	nodeAttribute = 5 // NodeProto.attribute
	attributeT    = 5 // AttributeProto.t
	attributeG    = 6 // AttributeProto.g
	tensorDims    = 1 // TensorProto.dims
	tensorType    = 2 // TensorProto.data_type
	tensorRaw     = 9 // TensorProto.raw_data
)

const typeFloat = 1 // TensorProto.DataType.FLOAT

// tensor is a constant of the model.
type tensor struct {
	dims []int64
	data []float32
}

// constants returns the float tensors that an ONNX model holds in Constant nodes, by the last part of their
// names, for nodes whose name holds branch: Silero's model is one If with a branch per sample rate.
func constants(model []byte, branch string) (map[string]tensor, error) {
	found := map[string]tensor{}
	err := fields(model, func(num protowire.Number, graph []byte, _ uint64) error {
		if num != modelGraph {
			return nil
		}
		return walkGraph(graph, branch, found)
	})
	return found, err
}

func walkGraph(graph []byte, branch string, found map[string]tensor) error {
	return fields(graph, func(num protowire.Number, node []byte, _ uint64) error {
		if num != graphNode {
			return nil
		}
		return walkNode(node, branch, found)
	})
}

func walkNode(node []byte, branch string, found map[string]tensor) error {
	var output string
	return fields(node, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case nodeOutput:
			output = string(v)
			return nil
		case nodeAttribute:
			return fields(v, func(num protowire.Number, v []byte, _ uint64) error {
				switch {
				case num == attributeG:
					return walkGraph(v, branch, found)
				case num == attributeT && strings.Contains(output, branch):
					return keep(output, v, found)
				}
				return nil
			})
		default:
			return nil
		}
	})
}

// keep adds a tensor, if it is one of floats, under its name without the path that the exporter put before
// it.
func keep(name string, raw []byte, found map[string]tensor) error {
	var t tensor
	var kind uint64
	var data []byte
	err := fields(raw, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case tensorDims:
			t.dims = appendDims(t.dims, v, n)
		case tensorType:
			kind = n
		case tensorRaw:
			data = v
		default: // names, other encodings
		}
		return nil
	})
	if err != nil || kind != typeFloat || len(data)%4 != 0 {
		return err
	}
	t.data = make([]float32, len(data)/4)
	for i := range t.data {
		b := data[4*i:]
		t.data[i] = math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
	}
	found[name[strings.LastIndex(name, "__")+2:]] = t
	return nil
}

// appendDims takes dimensions, which may be packed (v) or single (n).
func appendDims(dims []int64, v []byte, n uint64) []int64 {
	if v == nil {
		return append(dims, int64(n))
	}
	for len(v) > 0 {
		d, size := protowire.ConsumeVarint(v)
		if size < 0 {
			return nil
		}
		dims, v = append(dims, int64(d)), v[size:]
	}
	return dims
}

var errModel = errors.New("not an ONNX model")

// fields calls f for every field of a protobuf message: with v for bytes, with n for a number.
func fields(msg []byte, f func(num protowire.Number, v []byte, n uint64) error) error {
	for len(msg) > 0 {
		num, typ, size := protowire.ConsumeTag(msg)
		if size < 0 {
			return fmt.Errorf("%w: %w", errModel, protowire.ParseError(size))
		}
		msg = msg[size:]
		var v []byte
		var n uint64
		switch typ {
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(msg)
			if v == nil {
				v = []byte{}
			}
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(msg)
		default:
			size = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if size < 0 {
			return fmt.Errorf("%w: %w", errModel, protowire.ParseError(size))
		}
		msg = msg[size:]
		if err := f(num, v, n); err != nil {
			return err
		}
	}
	return nil
}
