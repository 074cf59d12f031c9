package ort

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

// File is a file or folder of an engine, and the flag by which its child is told.
type File struct{ Flag, Path string }

// Worker says how an engine's child is run: the parent's half of [Child].
type Worker struct {
	Name    string // of the engine, as in "brenda engine NAME"
	Library string // libonnxruntime.so
	Files   []File
	Missing string   // what a client is told when one of these is not there
	Threads int      // threads of one inference; 0 means 1
	Exec    []string // program and arguments; empty: this binary, "engine", Name
	Env     []string // "KEY=value", added to the child's environment
	Log     *slog.Logger
}

// Lazy returns the worker, not started yet. Files that are missing are told by its first use, so that they may be fetched
// meanwhile.
func (w Worker) Lazy(ctx context.Context) *proc.Lazy {
	exec := slices.Clone(w.Exec)
	if len(exec) == 0 {
		exec = []string{"", "engine", w.Name}
	}
	exec = append(exec, "-ort", w.Library, "-threads", strconv.Itoa(max(1, w.Threads)))
	paths := []string{w.Library}
	for _, f := range w.Files {
		exec = append(exec, "-"+f.Flag, f.Path)
		paths = append(paths, f.Path)
	}
	return proc.NewLazy(func() (*proc.Worker, error) {
		for _, path := range paths {
			if _, err := os.Stat(path); err != nil {
				return nil, fault.Wrap(err, fault.Unavailable, "model_missing", "%s", w.Missing)
			}
		}
		return proc.StartWorker(ctx, proc.WorkerConfig{
			Name: w.Name, Exec: exec, Env: w.Env, Log: w.Log, CancelGrace: time.Second, KillOnStuck: true,
		}), nil
	})
}

// Child is the process in which an engine's models run.
type Child struct {
	Name  string
	Flags []string // those of [Worker].Files
	// Open loads the models and returns what answers the parent.
	Open func(m *Models) (map[string]proc.Handler, error)
}

// Main is the child: it loads ONNX Runtime and the models, and answers the parent until its pipe ends. args are what
// [Worker.Lazy] appends to Worker.Exec.
func (c Child) Main(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	library := flags.String("ort", "", "ONNX Runtime's shared library")
	m := &Models{files: map[string]*string{}}
	flags.IntVar(&m.threads, "threads", 1, "threads of one inference")
	for _, name := range c.Flags {
		m.files[name] = flags.String(name, "", "a file of the engine's")
	}
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	r, w, err := proc.Stdio()
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	if err := Load(*library); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	handlers, err := c.Open(m)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", c.Name, err), m.close())
	}
	return errors.Join(proc.Serve(ctx, r, w, handlers), m.close())
}

// Models opens the models of a child, which closes them at its end.
type Models struct {
	threads  int
	files    map[string]*string // by flag
	sessions []*Session
}

// File returns the path that a flag of the child's gives.
func (m *Models) File(flag string) string { return *m.files[flag] }

// Open loads a model; see [Open].
func (m *Models) Open(path string, inputs, outputs []string) (*Session, error) {
	s, err := Open(path, inputs, outputs, Options{Threads: m.threads})
	if err != nil {
		return nil, err
	}
	m.sessions = append(m.sessions, s)
	return s, nil
}

func (m *Models) close() error {
	var errs []error
	for _, s := range m.sessions {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// FloatsHandler answers a call whose payload is the model's only input, of that shape, with its first output.
func FloatsHandler(s *Session, shape ...int64) proc.Handler {
	return func(ctx context.Context, _ json.RawMessage, payload []byte,
		_ func(meta any, payload []byte) error,
	) (any, []byte, error) {
		out, err := s.RunFloats(ctx, payload, shape...)
		if err != nil {
			return nil, nil, err
		}
		return nil, proc.FloatBytes(out), nil
	}
}

// RunFloats runs a model of one input, which a payload holds, and returns its first output. A payload that is not of that
// shape is an error.
func (s *Session) RunFloats(ctx context.Context, payload []byte, shape ...int64) ([]float32, error) {
	in, err := proc.Floats(payload)
	if err != nil {
		return nil, err
	}
	size := int64(1)
	for _, n := range shape {
		size *= max(0, n)
	}
	if size == 0 || int64(len(in)) != size {
		return nil, fmt.Errorf("%d values for an input of %d", len(in), shape)
	}
	out, err := s.Run(ctx, Tensor{Shape: shape, Floats: in})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}
