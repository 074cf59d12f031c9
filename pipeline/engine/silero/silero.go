// Package silero is the voice activity detector: Silero VAD v5, computed in Brenda's own process.
//
// Every listening session asks for 31 frames a second, so the cost of a frame bounds how many people one
// machine can hear. The network is small (0.6 million products a frame) and ONNX Runtime spends most of its
// time between the operators; the loops in kernel.c give the same probabilities (checked against ONNX Runtime
// in the tests) for a fraction of the cost. Fixed loops over weights whose shapes were checked cannot abort
// the process, so no child is needed.
package silero

/*
#cgo CFLAGS: -O3 -std=gnu11 -Wno-psabi
#cgo LDFLAGS: -lm
#include "kernel.h"
*/
import "C"

import (
	"context"
	"fmt"
	"math"
	"os"

	"brenda/pipeline"
)

// batch is how many frames are judged between two looks at the context: about a millisecond's worth.
const batch = 32

// Engine implements [pipeline.VAD]. It is safe for concurrent use: all memory between calls is the caller's.
type Engine struct {
	weights []float32
}

var _ pipeline.VAD = (*Engine)(nil)

// Open reads the weights out of silero_vad.onnx (version 5; the 16 kHz half is used).
func Open(path string) (*Engine, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("silero: %w", err)
	}
	return parse(raw)
}

func parse(raw []byte) (*Engine, error) {
	found, err := constants(raw, "then_branch__Inline_0__")
	if err != nil {
		return nil, fmt.Errorf("silero: %w", err)
	}
	weights, err := pack(found)
	if err != nil {
		return nil, fmt.Errorf("silero: %w", err)
	}
	if want := int(C.silero_weights()); len(weights) != want {
		return nil, fmt.Errorf("silero: packed %d weights, the kernel wants %d", len(weights), want)
	}
	return &Engine{weights: weights}, nil
}

// Speech judges the frames of pcm; see [pipeline.VAD]. Samples that are no numbers count as silence from the
// start of a new stream, so that they cannot deafen it for good.
func (e *Engine) Speech(ctx context.Context, st *pipeline.VADState, pcm []float32) ([]float32, error) {
	if len(pcm)%pipeline.FrameSamples != 0 {
		return nil, fmt.Errorf("silero: %d samples are no whole frames of %d", len(pcm), pipeline.FrameSamples)
	}
	probs := make([]float32, len(pcm)/pipeline.FrameSamples)
	for first := 0; first < len(probs); first += batch {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("silero: %w", context.Cause(ctx))
		}
		part := probs[first:min(first+batch, len(probs))]
		e.run(st, pcm[first*pipeline.FrameSamples:], part)
		if !finite(st) {
			*st = pipeline.VADState{}
			clear(part)
		}
	}
	return probs, nil
}

func (e *Engine) run(st *pipeline.VADState, pcm, probs []float32) {
	C.silero_run((*C.float)(&e.weights[0]), (*C.float)(&st.Hidden[0]), (*C.float)(&st.Tail[0]),
		(*C.float)(&pcm[0]), C.int(len(probs)), (*C.float)(&probs[0]))
}

// finite tells whether the state is usable: one sample that is not a number shows in all of it.
func finite(st *pipeline.VADState) bool {
	for _, v := range st.Hidden {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	for _, v := range st.Tail {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}
