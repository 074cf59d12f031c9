// Package smartturn judges from the sound whether a person has finished speaking: Smart Turn v3.2 on ONNX
// Runtime.
//
// The model runs in a supervised child of this binary, because ONNX Runtime may abort its process; the
// spectrogram that it hears is computed by the parent.
package smartturn

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

	"brenda/pipeline"
	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

// Config says where the engine's files are and how it runs.
type Config struct {
	ORTLib  string   // libonnxruntime.so
	Model   string   // smart-turn-v3.2-cpu.onnx
	Threads int      // threads of one inference; 0 means 1
	Exec    []string // how this binary is started as a child: program, subcommand; see [ChildMain]
	Env     []string // "KEY=value", added to the child's environment
	Log     *slog.Logger
}

// Engine implements [pipeline.TurnDetector]. Its methods may be called from several goroutines at once.
type Engine struct {
	*proc.Lazy
	extractor *extractor
}

var _ pipeline.TurnDetector = (*Engine)(nil)

// New returns an engine that lives until ctx ends or Close is called. A model that is missing is told by the
// first call; nothing is loaded before it.
func New(ctx context.Context, cfg Config) *Engine {
	exec := slices.Clone(cfg.Exec)
	if len(exec) == 0 {
		exec = []string{"", "engine", "smartturn"}
	}
	exec = append(exec, "-ort", cfg.ORTLib, "-model", cfg.Model, "-threads", strconv.Itoa(max(1, cfg.Threads)))
	return &Engine{extractor: newExtractor(), Lazy: proc.NewLazy(func() (*proc.Worker, error) {
		for _, path := range []string{cfg.ORTLib, cfg.Model} {
			if _, err := os.Stat(path); err != nil {
				return nil, fault.Wrap(err, fault.Unavailable, "model_missing",
					"the turn detector's model is not installed; run: brenda models pull")
			}
		}
		return proc.StartWorker(ctx, proc.WorkerConfig{
			Name: "smartturn", Exec: exec, Env: cfg.Env, Log: cfg.Log,
			CancelGrace: time.Second, KillOnStuck: true,
		}), nil
	})}
}

const methodFinished = "finished"

// Finished returns the probability that the turn is over; see [pipeline.TurnDetector].
func (e *Engine) Finished(ctx context.Context, pcm []float32) (float32, error) {
	if ctx.Err() != nil {
		return 0, fmt.Errorf("smartturn: %w", context.Cause(ctx))
	}
	worker, err := e.Worker()
	if err != nil {
		return 0, err
	}
	meta, _, err := worker.Call(ctx, methodFinished, nil, proc.FloatBytes(e.extractor.features(pcm)), nil)
	if err != nil {
		return 0, fmt.Errorf("smartturn: %w", err)
	}
	var p float32
	if err := json.Unmarshal(meta, &p); err != nil || !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("smartturn: no probability: %.20q", meta)
	}
	return p, nil
}

// Warm loads the model and asks it about silence, so that the first real question is not slower than the
// others.
func (e *Engine) Warm(ctx context.Context) error {
	_, err := e.Finished(ctx, nil)
	return err
}

// ChildMain is the child: it loads the model and answers the parent until its pipe ends. args are what [New]
// appends to Config.Exec: -ort, -model and -threads.
func ChildMain(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("smartturn", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	library := flags.String("ort", "", "ONNX Runtime's shared library")
	model := flags.String("model", "", "the model's file")
	threads := flags.Int("threads", 1, "threads of one inference")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("smartturn: %w", err)
	}
	r, w, err := proc.Stdio()
	if err != nil {
		return fmt.Errorf("smartturn: %w", err)
	}
	if err := ort.Load(*library); err != nil {
		return fmt.Errorf("smartturn: %w", err)
	}
	s, err := ort.Open(*model, []string{"input_features"}, []string{"logits"}, ort.Options{Threads: *threads})
	if err != nil {
		return fmt.Errorf("smartturn: %w", err)
	}
	err = proc.Serve(ctx, r, w, map[string]proc.Handler{methodFinished: handler(s)})
	return errors.Join(err, s.Close())
}

func handler(s *ort.Session) proc.Handler {
	return func(ctx context.Context, _ json.RawMessage, payload []byte,
		_ func(meta any, payload []byte) error,
	) (any, []byte, error) {
		in, err := proc.Floats(payload)
		if err != nil {
			return nil, nil, err
		}
		if len(in) != mels*frames {
			return nil, nil, fmt.Errorf("%d features, not %d", len(in), mels*frames)
		}
		out, err := s.Run(ctx, ort.Tensor{Shape: []int64{1, mels, frames}, Floats: in})
		if err != nil {
			return nil, nil, err
		}
		if len(out[0]) != 1 {
			return nil, nil, fmt.Errorf("%d outputs, not 1", len(out[0]))
		}
		return out[0][0], nil, nil
	}
}
