package proc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"brenda/pipeline/fault"
)

// The protocol between a worker and its child. A frame is a header of 20 bytes, little-endian, then meta
// (JSON), then payload (bytes):
//
//	0 magic 'B'   1 type   2 version (u16)   4 length of meta (u32)   8 length of payload (u32)   12 id (u64)
const (
	headerBytes  = 20
	frameMagic   = 'B'
	protoVersion = 1

	maxMeta    = 1 << 20  // bytes
	maxPayload = 64 << 20 // bytes: 17 minutes of sound at 16 kHz
	trusted    = 1 << 20  // a longer payload is allocated as it arrives, not as it is announced

	// window is how many emits a child may be ahead of the receiver: enough to keep it computing while the
	// receiver works on the last piece, few enough to be back-pressure.
	window = 4
)

type frameType byte

const (
	frameHello  frameType = iota + 1 // child: ready to serve
	frameCall                        // parent: callMeta
	frameEmit                        // child: a piece of the result
	frameAck                         // parent: an emit was taken
	frameCancel                      // parent: stop this call
	frameResult                      // child: the end, well
	frameError                       // child: the end, badly: errorMeta
	frameEnd                         // not a type
)

type frame struct {
	typ     frameType
	id      uint64
	meta    []byte
	payload []byte
}

type callMeta struct {
	Method string          `json:"method"`
	Meta   json.RawMessage `json:"meta,omitempty"`
}

// errorMeta is a fault.Error on its way.
type errorMeta struct {
	Kind       fault.Kind    `json:"kind"`
	Code       string        `json:"code,omitempty"`
	Msg        string        `json:"msg,omitempty"`
	Param      string        `json:"param,omitempty"`
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	Cause      string        `json:"cause,omitempty"`
}

// remoteError is the cause of an error in the child, as text.
type remoteError string

func (e remoteError) Error() string { return string(e) }

func encodeError(err error) []byte {
	f := fault.As(err)
	m := errorMeta{Kind: f.Kind, Code: f.Code, Msg: f.Msg, Param: f.Param, RetryAfter: f.RetryAfter}
	if f.Err != nil {
		m.Cause = f.Err.Error()
	}
	const enough = 16 << 10
	if len(m.Cause) > enough {
		m.Cause = m.Cause[:enough]
	}
	b, err := json.Marshal(m)
	if err != nil {
		return []byte(`{}`)
	}
	return b
}

func decodeError(meta []byte) error {
	var m errorMeta
	if err := json.Unmarshal(meta, &m); err != nil {
		return fmt.Errorf("reading the child's error: %w", err)
	}
	e := &fault.Error{Kind: m.Kind, Code: m.Code, Msg: m.Msg, Param: m.Param, RetryAfter: m.RetryAfter}
	if m.Cause != "" {
		e.Err = remoteError(m.Cause)
	}
	return e
}

var errFrame = errors.New("broken frame")

// readFrame reads one frame. A lying length costs no more memory than the bytes that really come.
func readFrame(r io.Reader) (frame, error) {
	var h [headerBytes]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	f := frame{typ: frameType(h[1]), id: binary.LittleEndian.Uint64(h[12:])}
	metaLen, payloadLen := binary.LittleEndian.Uint32(h[4:]), binary.LittleEndian.Uint32(h[8:])
	switch {
	case h[0] != frameMagic:
		return frame{}, fmt.Errorf("%w: no frame starts with byte %#x", errFrame, h[0])
	case binary.LittleEndian.Uint16(h[2:]) != protoVersion:
		return frame{}, fmt.Errorf("%w: another version of the protocol", errFrame)
	case f.typ == 0 || f.typ >= frameEnd:
		return frame{}, fmt.Errorf("%w: unknown type %d", errFrame, f.typ)
	case metaLen > maxMeta || payloadLen > maxPayload:
		return frame{}, fmt.Errorf("%w: too long (meta %d, payload %d)", errFrame, metaLen, payloadLen)
	}
	var err error
	if f.meta, err = readExactly(r, int(metaLen)); err != nil {
		return frame{}, err
	}
	f.payload, err = readExactly(r, int(payloadLen))
	return f, err
}

func readExactly(r io.Reader, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if n <= trusted {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		return b, unexpected(err)
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, int64(n))
	return b.Bytes(), unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// check refuses a frame that the other side would refuse.
func (f frame) check() error {
	if len(f.meta) > maxMeta || len(f.payload) > maxPayload {
		return fault.New(fault.TooLarge, "too_large", "more than an engine takes at once")
	}
	return nil
}

// writeFrame writes f. The caller sees to it that frames do not mix.
func writeFrame(w io.Writer, f frame) error {
	h := make([]byte, headerBytes, headerBytes+len(f.meta))
	h[0], h[1] = frameMagic, byte(f.typ)
	binary.LittleEndian.PutUint16(h[2:], protoVersion)
	binary.LittleEndian.PutUint32(h[4:], uint32(len(f.meta)))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(f.payload)))
	binary.LittleEndian.PutUint64(h[12:], f.id)
	if _, err := w.Write(append(h, f.meta...)); err != nil {
		return err
	}
	if len(f.payload) == 0 {
		return nil
	}
	_, err := w.Write(f.payload)
	return err
}

// FloatBytes returns samples as a payload: 32-bit floats, little-endian. The result shares nothing with
// samples.
func FloatBytes(samples []float32) []byte {
	b := make([]byte, 4*len(samples))
	for i, v := range samples {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return b
}

// Floats returns the samples of a payload made by FloatBytes. The result shares nothing with payload.
func Floats(payload []byte) ([]float32, error) {
	if len(payload)%4 != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of samples", len(payload))
	}
	out := make([]float32, len(payload)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(payload[4*i:]))
	}
	return out, nil
}
