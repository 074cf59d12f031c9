// Package a1111 has servers make pictures that speak the interface of AUTOMATIC1111's Stable Diffusion WebUI, under
// /sdapi/v1: the WebUI itself, Forge, SD.Next, and stable-diffusion.cpp's server as far as it imitates it.
package a1111

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/imagepeer"
)

const (
	pollEvery = 500 * time.Millisecond // as the WebUI's own page does
	pollFails = 6                      // questions in a row without an answer, before the server counts as gone
)

// Engine is a pipeline.Painter. It may be used from many goroutines, and leaves none behind.
type Engine struct{ peer *imagepeer.Peer }

// New returns the engine of a server. The server need not be up.
func New(cfg imagepeer.Config) (*Engine, error) {
	p, err := imagepeer.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Engine{peer: p}, nil
}

// Palette implements pipeline.Painter.
func (e *Engine) Palette(ctx context.Context) (pipeline.Palette, error) {
	var out pipeline.Palette
	var models []struct {
		Title string `json:"title"`
		Name  string `json:"model_name"`
	}
	if err := e.peer.Get(ctx, "/sdapi/v1/sd-models", &models); err != nil {
		return out, fmt.Errorf("image models: %w", err)
	}
	for _, m := range models {
		if m.Name == "" {
			m.Name = m.Title
		}
		out.Models = append(out.Models, m.Name)
	}
	var samplers []struct {
		Name string `json:"name"`
	}
	if err := e.peer.Get(ctx, "/sdapi/v1/samplers", &samplers); err != nil {
		return out, fmt.Errorf("image samplers: %w", err)
	}
	for _, s := range samplers {
		out.Samplers = append(out.Samplers, s.Name)
	}
	return out, nil
}

// answer of txt2img and img2img, as far as it matters.
type answer struct {
	Images []string `json:"images"`
}

// Paint implements pipeline.Painter. Its cancellation interrupts what the server is working on: the interface names no
// job.
func (e *Engine) Paint(
	ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error,
) ([]byte, error) {
	path, body := request(p)
	var out answer
	post, cancel := context.WithCancel(ctx)
	defer cancel()
	a := asked{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = e.peer.Post(post, path, body, &out)
	}()
	ended, err := e.watch(ctx, p, emit, &a)
	if !ended {
		cancel()
		<-a.done
	}
	if ctx.Err() != nil || !ended {
		_ = e.peer.Tell(ctx, "/sdapi/v1/interrupt") // a server that cannot do it works on for nobody
	}
	if err != nil {
		return nil, fmt.Errorf("paint: %w", err)
	}
	if len(out.Images) == 0 {
		return nil, imagepeer.Broken(imagepeer.ErrNoPicture)
	}
	return imagepeer.Picture(out.Images[0])
}

// asked is a request under way.
type asked struct {
	done chan struct{}
	err  error // valid after done
}

// watch tells of the progress until the answer is there. ended is false when something else came first.
func (e *Engine) watch(
	ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error, a *asked,
) (ended bool, err error) {
	ticks := time.NewTicker(pollEvery)
	defer ticks.Stop()
	w := watch{Engine: e, last: pipeline.PaintStep{State: pipeline.PaintGenerating, Steps: p.Steps}, tick: ticks.C}
	if err := emit(w.last); err != nil {
		return false, err
	}
	for {
		select {
		case <-a.done:
			if a.err != nil {
				return true, a.err
			}
			w.last.Step = w.last.Steps
			return true, emit(w.last)
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-w.tick:
			if err := w.tell(ctx, emit); err != nil {
				return false, err
			}
		}
	}
}

type watch struct {
	*Engine
	last  pipeline.PaintStep
	tick  <-chan time.Time // nil when the server tells nothing
	fails int
}

// tell asks for the progress and emits what is news.
func (w *watch) tell(ctx context.Context, emit func(pipeline.PaintStep) error) error {
	var now struct {
		State struct {
			Jobs  *int `json:"job_count"`
			Step  int  `json:"sampling_step"`
			Steps int  `json:"sampling_steps"`
		} `json:"state"`
	}
	err := w.peer.Get(ctx, "/sdapi/v1/progress?skip_current_image=true", &now)
	switch status := imagepeer.StatusOf(err); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		w.tick = nil
		return nil
	case err != nil:
		if w.fails++; w.fails >= pollFails {
			return imagepeer.Silent(err)
		}
		return nil
	}
	w.fails = 0
	s := pipeline.PaintStep{State: pipeline.PaintGenerating, Step: now.State.Step, Steps: now.State.Steps}
	idle := now.State.Jobs != nil && *now.State.Jobs == 0 // ours has not begun: the steps are those of the last picture
	if idle || s.Step <= 0 || s.Step > s.Steps || s == w.last {
		return nil
	}
	w.last = s
	return emit(s)
}

func request(p pipeline.Painting) (path string, body map[string]any) {
	body = map[string]any{
		"prompt": p.Prompt, "negative_prompt": p.Negative, "width": p.Width, "height": p.Height,
		"steps": p.Steps, "seed": p.Seed, "batch_size": 1, "n_iter": 1, "send_images": true, "save_images": false,
	}
	if p.Guidance != nil {
		body["cfg_scale"] = *p.Guidance
	}
	if p.Sampler != "" {
		body["sampler_name"] = p.Sampler
	}
	if p.Model != "" {
		body["override_settings"] = map[string]any{"sd_model_checkpoint": p.Model}
	}
	if p.Source == nil {
		return "/sdapi/v1/txt2img", body
	}
	body["init_images"] = []string{base64.StdEncoding.EncodeToString(p.Source)}
	body["denoising_strength"] = p.Strength
	return "/sdapi/v1/img2img", body
}
