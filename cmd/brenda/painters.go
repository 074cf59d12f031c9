package main

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"sync"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/a1111"
	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/engine/openaiimages"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/engine/sdserver"
	"brenda/pipeline/fault"
	"brenda/rest/health"
)

// newPainter returns the configured back end, nil for none, and what ends it.
func newPainter(ctx context.Context, c imageConfig, log *slog.Logger) (pipeline.Painter, func() error, error) {
	none := func() error { return nil }
	if c.Server != "" {
		h := &hostedPainter{ctx: ctx, cfg: c, log: log}
		return h, h.close, nil
	}
	if c.URL == "" {
		return nil, none, nil
	}
	peer := imagepeer.Config{URL: c.URL, Key: string(c.Key)}
	native, err1 := sdserver.New(peer)
	webui, err2 := a1111.New(peer)
	openai, err3 := openaiimages.New(peer, c.Model)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, none, err
	}
	switch c.Kind {
	case "sdcpp":
		return native, none, nil
	case "a1111":
		return webui, none, nil
	case "openai":
		return openai, none, nil
	}
	return &anyPainter{kinds: []pipeline.Painter{native, webui, openai}}, none, nil
}

// anyPainter finds out what the configured server is when it is first needed.
type anyPainter struct {
	kinds []pipeline.Painter // the most capable first

	mu    sync.Mutex
	found pipeline.Painter
}

// Palette implements pipeline.Painter.
func (a *anyPainter) Palette(ctx context.Context) (pipeline.Palette, error) {
	if p := a.known(); p != nil {
		return p.Palette(ctx)
	}
	var last error
	for _, p := range a.kinds {
		palette, err := p.Palette(ctx)
		if err == nil {
			a.mu.Lock()
			a.found = p
			a.mu.Unlock()
			return palette, nil
		}
		if ctx.Err() != nil || fault.KindOf(err) == fault.Unavailable {
			return palette, err // it is not there, or cannot say yet
		}
		last = err
	}
	return pipeline.Palette{}, fault.Wrap(last, fault.Internal, "image_not_compatible",
		"what answers at image.url makes no pictures; check image.url, image.kind and image.key")
}

// Paint implements pipeline.Painter.
func (a *anyPainter) Paint(
	ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error,
) ([]byte, error) {
	if a.known() == nil {
		if _, err := a.Palette(ctx); err != nil {
			return nil, err
		}
	}
	return a.known().Paint(ctx, p, emit)
}

func (a *anyPainter) known() pipeline.Painter {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.found
}

// hostedPainter runs an sd-server when a picture is first asked for.
type hostedPainter struct {
	ctx context.Context //nolint:containedctx // of the program, which the server lives as long as
	cfg imageConfig
	log *slog.Logger

	mu     sync.Mutex
	engine *sdserver.Engine
	host   *proc.Process
	closed bool
}

// process tells what the server's process is doing; stopped before its first use.
func (h *hostedPainter) process() proc.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.host == nil {
		return proc.State{Phase: proc.Stopped}
	}
	return h.host.State()
}

func (h *hostedPainter) start() (*sdserver.Engine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fault.New(fault.Unavailable, "shutting_down", "the server is shutting down")
	}
	if h.engine != nil {
		return h.engine, nil
	}
	args := h.cfg.Args
	if h.cfg.Weights != "" {
		args = append([]string{"-m", h.cfg.Weights}, args...)
	}
	path, err := exec.LookPath(h.cfg.Server)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "engine_missing",
			"the sd-server program is not there; correct image.server (BRENDA_IMAGE_SERVER)")
	}
	h.engine, h.host, err = sdserver.Start(h.ctx, sdserver.HostConfig{Path: path, Args: args, Log: h.log})
	return h.engine, err
}

// Palette implements pipeline.Painter.
func (h *hostedPainter) Palette(ctx context.Context) (pipeline.Palette, error) {
	e, err := h.start()
	if err != nil {
		return pipeline.Palette{}, err
	}
	return e.Palette(ctx)
}

// Paint implements pipeline.Painter.
func (h *hostedPainter) Paint(
	ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error,
) ([]byte, error) {
	e, err := h.start()
	if err != nil {
		return nil, err
	}
	return e.Paint(ctx, p, emit)
}

// state is what /ready tells, without starting anything.
func (h *hostedPainter) state() (health.State, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.host == nil {
		return health.Ready, "starts with the first picture"
	}
	switch s := h.host.State(); s.Phase {
	case proc.Ready:
		return health.Ready, ""
	case proc.Starting:
		return health.Loading, "the model is being loaded"
	default:
		return health.Failed, "sd-server does not run: " + s.Reason
	}
}

func (h *hostedPainter) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.host == nil {
		return nil
	}
	return h.host.Close()
}

// boundedPainter bounds how long one picture may take.
type boundedPainter struct {
	pipeline.Painter
	most time.Duration
}

// Paint implements pipeline.Painter.
func (t boundedPainter) Paint(
	ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error,
) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.most, fault.New(fault.Internal, "engine_stalled",
		"the picture took longer than image.timeout (%s); ask for a smaller one or for fewer steps", t.most))
	defer cancel()
	return t.Painter.Paint(ctx, p, emit)
}
