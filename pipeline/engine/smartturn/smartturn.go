// Package smartturn judges from the sound whether a person has finished speaking: Smart Turn v3.2 on ONNX
// Runtime.
//
// The model runs in a supervised child of this binary, because ONNX Runtime may abort its process; the
// spectrogram that it hears is computed by the parent.
package smartturn

import (
	"context"
	"fmt"
	"log/slog"

	"brenda/pipeline"
	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
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
	return &Engine{extractor: newExtractor(), Lazy: ort.Worker{
		Name: engineName, Library: cfg.ORTLib, Files: []ort.File{{Flag: flagModel, Path: cfg.Model}},
		Missing: "the turn detector's model is not installed; run: brenda models pull",
		Threads: cfg.Threads, Exec: cfg.Exec, Env: cfg.Env, Log: cfg.Log,
	}.Lazy(ctx)}
}

const (
	engineName     = "smartturn"
	flagModel      = "model"
	methodFinished = "finished" // payload: features → payload: one probability
)

// Finished returns the probability that the turn is over; see [pipeline.TurnDetector].
func (e *Engine) Finished(ctx context.Context, pcm []float32) (float32, error) {
	if ctx.Err() != nil {
		return 0, fmt.Errorf("smartturn: %w", context.Cause(ctx))
	}
	worker, err := e.Worker()
	if err != nil {
		return 0, err
	}
	_, payload, err := worker.Call(ctx, methodFinished, nil, proc.FloatBytes(e.extractor.features(pcm)), nil)
	if err != nil {
		return 0, fmt.Errorf("smartturn: %w", err)
	}
	p, err := proc.Floats(payload)
	if err != nil || len(p) != 1 || !(p[0] >= 0 && p[0] <= 1) {
		return 0, fmt.Errorf("smartturn: no probability: %.20q", payload)
	}
	return p[0], nil
}

// Warm loads the model and asks it about silence, so that the first real question is not slower than the
// others.
func (e *Engine) Warm(ctx context.Context) error {
	_, err := e.Finished(ctx, nil)
	return err
}

// ChildMain is the child: it loads the model and answers the parent until its pipe ends.
func ChildMain(ctx context.Context, args []string) error {
	return ort.Child{Name: engineName, Flags: []string{flagModel}, Open: func(m *ort.Models) (map[string]proc.Handler, error) {
		s, err := m.Open(m.File(flagModel), []string{"input_features"}, []string{"logits"})
		if err != nil {
			return nil, err
		}
		return map[string]proc.Handler{methodFinished: ort.FloatsHandler(s, 1, mels, frames)}, nil
	}}.Main(ctx, args)
}
