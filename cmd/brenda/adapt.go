package main

import (
	"context"
	"slices"

	"brenda/pipeline"
	"brenda/pipeline/engine/llamaserver"
	"brenda/pipeline/schedule"
	"brenda/pipeline/session"
	"brenda/rest/ai"
	"brenda/rest/chaining"
)

// Small bridges between what packages offer and what the transports ask for.

// conversations shows the hub to the REST routes.
type conversations struct{ hub *session.Hub }

// Info implements ai.Sessions.
func (c conversations) Info(ctx context.Context, id string) (ai.Info, error) {
	i, err := c.hub.Session(id).Info(ctx)
	return ai.Info{Created: i.Created, Model: i.Model, Turns: i.Turns}, err
}

// SetModel implements ai.Sessions.
func (c conversations) SetModel(ctx context.Context, id, name string) error {
	return c.hub.Session(id).SetModel(ctx, name)
}

// Track implements ai.Sessions.
func (c conversations) Track(ctx context.Context, id string) (context.Context, func(), error) {
	return c.hub.Session(id).Track(ctx)
}

// Stop implements ai.Sessions.
func (c conversations) Stop(ctx context.Context, id string) (int, error) {
	return c.hub.Session(id).Stop(ctx)
}

// Ask implements chaining.Asker.
func (c conversations) Ask(ctx context.Context, id string, q chaining.Question) (<-chan pipeline.Event, error) {
	return c.hub.Session(id).Ask(ctx, session.Question{
		Sound: q.Sound, Text: q.Text, Voice: q.Voice, Language: q.Language, Model: q.Model, System: q.System,
	})
}

// batch runs what nobody is waiting for with an open ear after the turns of conversations.
type batch struct {
	engines  pipeline.Engines
	language string
}

// Speak implements speech.Speaker.
func (b batch) Speak(ctx context.Context, l pipeline.Line, emit func(pipeline.Event) error) error {
	if l.Language == "" {
		l.Language = b.language
	}
	return b.engines.Speak(schedule.With(ctx, schedule.Batch), l, emit)
}

// Listen implements pipeline.Listener.
func (b batch) Listen(
	ctx context.Context, src pipeline.Sound, o pipeline.ListenOptions, emit func(pipeline.Segment) error,
) (pipeline.Heard, error) {
	return b.engines.Ear.Listen(schedule.With(ctx, schedule.Batch), src, o, emit)
}

// endpoint shows the models of a configured endpoint as those that can be loaded.
type endpoint struct {
	client interface {
		Models(ctx context.Context) ([]string, error)
	}
	model string
}

// Models implements ai.Models. The configured model counts even where the endpoint does not list it.
func (e endpoint) Models(ctx context.Context) ([]string, error) {
	names, err := e.client.Models(ctx)
	if err == nil && e.model != "" && !slices.Contains(names, e.model) {
		names = append(names, e.model)
	}
	return names, err
}

// Default implements ai.Models.
func (e endpoint) Default() string { return e.model }

// Load implements ai.Models. An endpoint loads by itself.
func (endpoint) Load(context.Context, string) error { return nil }

// Loaded implements ai.Models.
func (endpoint) Loaded(string) bool { return true }

// local shows the models of this machine.
type local struct {
	*llamaserver.Engine
	model string
}

// Default implements ai.Models.
func (l local) Default() string { return l.model }

// Load implements ai.Models.
func (l local) Load(ctx context.Context, name string) error {
	_, err := l.Engine.Load(ctx, name)
	return err
}

// Loaded implements ai.Models.
func (l local) Loaded(name string) bool { return slices.Contains(l.Engine.Loaded(), name) }

// noModels answers where no language model is installed.
type noModels struct{ absent }

// Models implements ai.Models.
func (noModels) Models(context.Context) ([]string, error) { return nil, nil }

// Default implements ai.Models.
func (noModels) Default() string { return "" }

// Load implements ai.Models.
func (n noModels) Load(context.Context, string) error { return n.fault() }

// Loaded implements ai.Models.
func (noModels) Loaded(string) bool { return false }

// speechNames tells which voices and sizes there are.
type speechNames struct {
	sizes  func() []string
	voices func() []string
}

// Models implements speech.Catalogue.
func (s speechNames) Models(ctx context.Context) ([]string, error) {
	sizes, _ := s.Sizes(ctx)
	out := make([]string, 0, len(sizes)+1)
	for _, size := range sizes {
		out = append(out, "whisper-"+size)
	}
	return append(out, "kokoro"), nil
}

// Voices implements speech.Catalogue.
func (s speechNames) Voices(context.Context) ([]string, error) { return s.voices(), nil }

// Sizes implements speech.Catalogue.
func (s speechNames) Sizes(context.Context) ([]string, error) { return s.sizes(), nil }
