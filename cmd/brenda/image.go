package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/a1111"
	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/engine/openaiimages"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/engine/sdserver"
	"brenda/pipeline/fault"
	"brenda/pipeline/schedule"
	"brenda/rest/health"
	"brenda/rest/image"
)

type imageConfig struct {
	URL     string        `help:"A server that makes pictures: stable-diffusion.cpp, AUTOMATIC1111 or OpenAI-compatible."`
	Kind    string        `default:"auto" enum:"auto,sdcpp,a1111,openai" help:"What that server is; auto asks it."`
	Key     secret        `help:"Its API key, or USER:PASSWORD."`
	Model   string        `help:"The image model to use when a request names none; empty: the server's own choice."`
	Timeout time.Duration `default:"9m" help:"The longest time that one picture may take."`
	Server  string        `placeholder:"FILE" help:"An sd-server program to run here, instead of image.url."`
	Weights string        `placeholder:"FILE" help:"The model that image.server loads."`
	Args    []string      `sep:"," help:"More arguments for image.server, e.g. --vae,FILE."`
}

func (c imageConfig) check() error {
	var errs []error
	if u, err := url.Parse(c.URL); c.URL != "" &&
		(err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme)) {
		errs = append(errs, errors.New("image.url: this is not an http or https URL")) // it may hold a password
	}
	if c.URL != "" && c.Server != "" {
		errs = append(errs, errors.New("image.url and image.server exclude each other"))
	}
	if c.Server != "" && c.Weights == "" && len(c.Args) == 0 {
		errs = append(errs, errors.New("image.weights: image.server needs a model"))
	}
	if c.Timeout < time.Second {
		errs = append(errs, fmt.Errorf("image.timeout: must be at least 1s, is %s", c.Timeout))
	}
	return errors.Join(errs...)
}

// newImages builds the making of pictures. Without a back end it is there too, and says what is missing.
func (in *instance) newImages(ctx context.Context) (*image.Service, error) {
	c := in.cfg.Image
	queue := in.engines.machine.Queue(schedule.Config{
		Name: "image", Running: 1, Waiting: in.cfg.Limits.Queue, MaxWait: c.Timeout,
	})
	settings := image.Config{Model: c.Model}
	painter, end, err := newPainter(ctx, c, in.log)
	if err != nil {
		return nil, err
	}
	state := &imageState{painter: painter}
	in.told = append(in.told, state.components)
	in.closers = append(in.closers, end)
	if painter == nil {
		return image.New(nil, queue, settings), nil
	}
	return image.New(boundedPainter{painter, c.Timeout}, queue, settings), nil
}

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
	var err error
	h.engine, h.host, err = sdserver.Start(h.ctx, sdserver.HostConfig{Path: h.cfg.Server, Args: args, Log: h.log})
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

// imageState is what /ready tells of the back end: what was last seen of it, not older than imageFresh.
type imageState struct {
	painter pipeline.Painter // nil for none

	mu   sync.Mutex
	seen time.Time
	last health.Component
}

const (
	imageFresh = 15 * time.Second
	imageProbe = time.Second
)

func (s *imageState) components(ctx context.Context) []health.Component {
	c := health.Component{Name: "image", State: health.Ready}
	if s.painter == nil {
		c.State, c.Detail = health.Missing, fault.As(image.ErrNone()).Msg
		return []health.Component{c}
	}
	if h, ok := s.painter.(*hostedPainter); ok {
		c.State, c.Detail = h.state()
		return []health.Component{c}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.seen) < imageFresh {
		return []health.Component{s.last}
	}
	ctx, cancel := context.WithTimeout(ctx, imageProbe)
	defer cancel()
	if _, err := s.painter.Palette(ctx); err != nil {
		c.State, c.Detail = health.Failed, fault.As(err).Msg
	}
	s.seen, s.last = time.Now(), c
	return []health.Component{c}
}

// checkImages is what doctor says of the making of pictures.
func checkImages(ctx context.Context, cfg *config) finding {
	c := cfg.Image
	f := finding{Name: "image", State: fine}
	if c.Server != "" {
		path, err := exec.LookPath(c.Server)
		if err == nil && c.Weights != "" {
			_, err = os.Stat(c.Weights)
		}
		f.Says = path
		if err != nil {
			f.State, f.Says, f.Mend = missing, err.Error(), "correct BRENDA_IMAGE_SERVER and BRENDA_IMAGE_WEIGHTS"
		}
		return f
	}
	if c.URL == "" {
		f.Says, f.Mend = "no server configured: no pictures are made", "set BRENDA_IMAGE_URL, or BRENDA_IMAGE_SERVER"
		return f
	}
	painter, _, err := newPainter(ctx, c, slog.New(slog.DiscardHandler))
	if err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err = painter.Palette(ctx)
	}
	f.Says = "the server at image.url answers"
	if err != nil {
		f.State, f.Says, f.Mend = missing, fault.As(err).Msg, "start that server, or correct BRENDA_IMAGE_URL and BRENDA_IMAGE_KEY"
	}
	return f
}
