// Package image serves the making of pictures of the specification's section 2: from words, and from another picture.
package image

import (
	"context"
	"net/http"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// Queue admits work, as schedule.Queue does.
type Queue interface {
	Do(ctx context.Context, work func(context.Context) error) error
}

// Config is what a Service needs besides its engine.
type Config struct {
	Model    string // asked for when a request names none; empty leaves the choice to the back end
	SpoolDir string // for pictures too big for memory; empty means the system's own
}

// Service answers the routes of this section.
type Service struct {
	painter pipeline.Painter // nil where no back end is configured
	queue   Queue
	cfg     Config
	desk    chan struct{} // room for one picture that is decoded or encoded: one of 50 million pixels takes 400 MB
}

// New returns the service. painter is nil where no back end is configured.
func New(painter pipeline.Painter, queue Queue, cfg Config) *Service {
	return &Service{painter: painter, queue: queue, cfg: cfg, desk: make(chan struct{}, 1)}
}

// atDesk does work on the pixels of a picture, one picture at a time.
func (s *Service) atDesk(ctx context.Context, work func(context.Context) error) error {
	select {
	case s.desk <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.desk }()
	return work(ctx)
}

// Models answers GET /v1/ai/image/models.
func (s *Service) Models(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Models   []string `json:"models"`
		Samplers []string `json:"samplers"`
	}{[]string{}, []string{}}
	if s.painter != nil {
		p, err := s.painter.Palette(r.Context())
		if err != nil {
			return err
		}
		answer.Models = append(answer.Models, p.Models...)
		answer.Samplers = append(answer.Samplers, p.Samplers...)
	}
	return httpx.Write(w, http.StatusOK, answer)
}

// ErrNone is the fault of a request while no back end is configured.
func ErrNone() error {
	return fault.New(fault.Unavailable, "engine_missing", "no image server is configured; set image.url (BRENDA_IMAGE_URL) "+
		"to a stable-diffusion.cpp, AUTOMATIC1111 or OpenAI-compatible server, or image.server to an sd-server program")
}

// fit checks what a request names against what the back end has, and uses the back end's own spelling.
func (s *Service) fit(ctx context.Context, o *order) error {
	p, err := s.painter.Palette(ctx)
	if err != nil {
		return err
	}
	if o.Model == "" {
		o.Model = s.cfg.Model
	}
	if o.Model != "" {
		name, ok := find(o.Model, p.Models)
		if !ok {
			f := fault.New(fault.NotFound, "unknown_model", "there is no image model %q; there are: %s",
				shorten(o.Model), strings.Join(p.Models, ", "))
			f.Param = "model"
			return f
		}
		o.Model = name
	}
	if o.Sampler != "" && p.Samplers != nil {
		name, ok := find(o.Sampler, p.Samplers)
		if !ok {
			return fault.Field("sampler", "there is no sampler %q; there are: %s",
				shorten(o.Sampler), strings.Join(p.Samplers, ", "))
		}
		o.Sampler = name
	}
	return o.leave(p.Lacks)
}

// find looks a name up in whatever case.
func find(name string, in []string) (string, bool) {
	for _, s := range in {
		if strings.EqualFold(s, name) {
			return s, true
		}
	}
	return "", false
}

// shorten keeps a name that a client made up from filling the answer.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
