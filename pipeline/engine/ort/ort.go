// Package ort runs ONNX models: the one ONNX Runtime that all engines of a process share.
//
// ONNX Runtime may abort the process on a bad model or when memory runs out, so models are run in a
// supervised child process (see package proc); this package is what the child calls.
package ort

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// The environment of the C library is one per process by nature; loading guards it.
var loading sync.Mutex //nolint:gochecknoglobals // see above: it guards state of the C library, not ours

// Load loads ONNX Runtime from a shared library, once per process: later calls return nil and change nothing.
func Load(library string) error {
	loading.Lock()
	defer loading.Unlock()
	if onnx.IsInitialized() {
		return nil
	}
	if _, err := os.Stat(library); err != nil {
		return fmt.Errorf("onnxruntime library: %w", err)
	}
	onnx.SetSharedLibraryPath(library)
	if err := onnx.InitializeEnvironment(onnx.WithLogLevelError()); err != nil {
		return fmt.Errorf("load onnxruntime: %w", err)
	}
	return nil
}

// Options says how a model is run.
type Options struct {
	Threads int // threads of one inference; 0 means 1
}

// Session is a loaded model. Its methods may be called from several goroutines at once.
type Session struct {
	mu      sync.RWMutex // held for reading while the model runs, so that Close waits
	session *onnx.DynamicAdvancedSession
	outputs int
}

// Open loads a model from a file, after [Load]. The names of its inputs and outputs fix their order in
// [Session.Run].
//
// Threads that wait do not spin: the stages of the pipeline share few cores, and spinning made everything
// slower.
func Open(model string, inputs, outputs []string, o Options) (*Session, error) {
	so, err := onnx.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	defer func() { _ = so.Destroy() }()
	err = errors.Join(
		so.SetIntraOpNumThreads(max(1, o.Threads)),
		so.SetInterOpNumThreads(1),
		so.SetLogSeverityLevel(onnx.LoggingLevelError),
		so.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		so.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	)
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	s, err := onnx.NewDynamicAdvancedSession(model, inputs, outputs, so)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	return &Session{session: s, outputs: len(outputs)}, nil
}

// Tensor is an input: its shape, and its values in Floats, in Ints, or in Ints32.
type Tensor struct {
	Shape  []int64
	Floats []float32
	Ints   []int64
	Ints32 []int32
}

func (t Tensor) value() (onnx.Value, error) {
	switch {
	case t.Ints != nil:
		return onnx.NewTensor(onnx.NewShape(t.Shape...), t.Ints)
	case t.Ints32 != nil:
		return onnx.NewTensor(onnx.NewShape(t.Shape...), t.Ints32)
	}
	return onnx.NewTensor(onnx.NewShape(t.Shape...), t.Floats)
}

// ErrClosed is returned by [Session.Run] after Close.
var ErrClosed = errors.New("onnx session is closed")

// Run runs the model and returns its outputs, all float32. When ctx ends, the inference is ended in its
// middle and Run returns the context's cause.
func (s *Session) Run(ctx context.Context, in ...Tensor) ([][]float32, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.session == nil:
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	ins := make([]onnx.Value, 0, len(in))
	defer func() { destroy(ins) }()
	for _, t := range in {
		v, err := t.value()
		if err != nil {
			return nil, fmt.Errorf("input tensor: %w", err)
		}
		ins = append(ins, v)
	}
	outs := make([]onnx.Value, s.outputs)
	err := s.run(ctx, ins, outs)
	defer func() { destroy(outs) }()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	res := make([][]float32, len(outs))
	for i, o := range outs {
		t, ok := o.(*onnx.Tensor[float32])
		if !ok {
			return nil, fmt.Errorf("output %d is %T, not float32", i, o)
		}
		res[i] = append([]float32(nil), t.GetData()...) // the memory is the library's
	}
	return res, nil
}

func (s *Session) run(ctx context.Context, ins, outs []onnx.Value) error {
	ro, err := onnx.NewRunOptions()
	if err != nil {
		return fmt.Errorf("run options: %w", err)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = ro.Terminate() // can only fail for options that are destroyed
	})
	err = s.session.RunWithOptions(ins, outs, ro)
	if !stop() {
		<-ended // Terminate must not meet options that are gone
	}
	return errors.Join(err, ro.Destroy())
}

func destroy(vs []onnx.Value) {
	for _, v := range vs {
		if v != nil {
			_ = v.Destroy()
		}
	}
}

// Close waits for inferences that run and frees the model. It may be called twice.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil
	}
	err := s.session.Destroy()
	s.session = nil
	return err
}
