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
	if h, ok := painter.(*hostedPainter); ok {
		in.later.add("image", h.process)
	}
	state := &imageState{painter: painter}
	in.told = append(in.told, state.components)
	in.closers = append(in.closers, end)
	if painter == nil {
		return image.New(nil, queue, settings), nil
	}
	return image.New(boundedPainter{painter, c.Timeout}, queue, settings), nil
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
			f.State, f.Says, f.Mend = warning, err.Error(), "correct BRENDA_IMAGE_SERVER and BRENDA_IMAGE_WEIGHTS"
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
		f.State, f.Says, f.Mend = warning, fault.As(err).Msg, "start that server, or correct BRENDA_IMAGE_URL and BRENDA_IMAGE_KEY"
	}
	return f
}
