package main

import (
	"context"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// absent stands where an engine's files are missing: every request is told what provides it.
type absent struct{ part, mend string }

func (a absent) fault() error {
	return fault.New(fault.Unavailable, "engine_missing", "%s is not installed; run: %s", a.part, a.mend)
}

// Speech implements pipeline.VAD.
func (a absent) Speech(context.Context, *pipeline.VADState, []float32) ([]float32, error) {
	return nil, a.fault()
}

// Transcribe implements pipeline.Recognizer.
func (a absent) Transcribe(context.Context, pipeline.Speech) (pipeline.Transcript, error) {
	return pipeline.Transcript{}, a.fault()
}

// Generate implements pipeline.Generator.
func (a absent) Generate(
	context.Context, pipeline.Prompt, func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	return pipeline.Completion{}, a.fault()
}

// Synthesize implements pipeline.Synthesizer.
func (a absent) Synthesize(context.Context, pipeline.Line, func([]float32) error) error {
	return a.fault()
}
