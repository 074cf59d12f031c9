// Package sdserver has stable-diffusion.cpp's server (sd-server) make pictures, through its own interface of jobs under
// /sdcpp/v1.
//
// That interface tells whether a job waits or runs, not how many steps are done, and cancels only jobs that wait
// (capabilities: cancel_generating is false up to August 2026). A server that Brenda runs herself ([Start]) can do both:
// its steps are read from what it prints, and a job that runs is cancelled by starting the server again.
package sdserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

// The pause between two questions for a job's state grows from pollFirst to pollMost.
const (
	pollFirst = 100 * time.Millisecond
	pollMost  = time.Second
	pollFails = 3 // in a row, before a server that does not tell about a job counts as gone
)

// Engine is a pipeline.Painter. It may be used from many goroutines and owns none.
type Engine struct {
	peer *imagepeer.Peer
	host *proc.Process                    // nil for a server that somebody else runs
	own  atomic.Pointer[pipeline.Palette] // of a server of ours, which does not change
}

// New returns the engine of a server that runs. The server need not be up.
func New(cfg imagepeer.Config) (*Engine, error) {
	p, err := imagepeer.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Engine{peer: p}, nil
}

// capabilities is the answer to GET /sdcpp/v1/capabilities, as far as it matters.
type capabilities struct {
	Model *struct {
		Stem string `json:"stem"`
	} `json:"model"`
	Modes    []string `json:"supported_modes"`
	Samplers []string `json:"samplers"`
}

var errNotSD = errors.New("these are no capabilities of an sd-server")

// Palette implements pipeline.Painter. A server of ours is asked once: later it may be just starting again.
func (e *Engine) Palette(ctx context.Context) (pipeline.Palette, error) {
	var c capabilities
	if known := e.own.Load(); known != nil {
		return *known, nil
	}
	if err := e.wait(ctx); err != nil {
		return pipeline.Palette{}, err
	}
	if err := e.peer.Get(ctx, "/sdcpp/v1/capabilities", &c); err != nil {
		return pipeline.Palette{}, fmt.Errorf("image models: %w", err)
	}
	if c.Model == nil || c.Modes == nil {
		return pipeline.Palette{}, imagepeer.Broken(errNotSD)
	}
	p := pipeline.Palette{Models: []string{c.Model.Stem}, Samplers: c.Samplers}
	if e.host != nil {
		e.own.Store(&p)
	}
	return p, nil
}

func (e *Engine) wait(ctx context.Context) error {
	if e.host == nil {
		return nil
	}
	return e.host.Wait(ctx)
}

// job is the state of a job.
type job struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Queue  int    `json:"queue_position"`
	Result *struct {
		Images []struct {
			Base64 string `json:"b64_json"`
		} `json:"images"`
	} `json:"result"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// Paint implements pipeline.Painter. A server without a host finishes a picture that it has begun, even when ctx ends;
// one that waits in its queue is cancelled.
func (e *Engine) Paint(
	ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error,
) ([]byte, error) {
	if err := e.wait(ctx); err != nil {
		return nil, err
	}
	w := watch{Engine: e, emit: emit, last: pipeline.PaintStep{Steps: p.Steps}}
	w.stale, _, _ = lastStep(e.output())
	var j job
	if err := e.peer.Post(ctx, "/sdcpp/v1/img_gen", request(p), &j); err != nil {
		if ctx.Err() != nil { // whether the server took it nobody knows
			e.abandon()
		}
		return nil, fmt.Errorf("paint: %w", err)
	}
	if j.ID == "" {
		return nil, imagepeer.Broken(errors.New("the job has no id"))
	}
	picture, err := w.follow(ctx, j)
	if err != nil && !w.over {
		e.cancel(ctx, j.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("paint: %w", err)
	}
	return picture, nil
}

// cancel takes a job from the server's queue. What the server works on already stops only with the server.
func (e *Engine) cancel(ctx context.Context, id string) {
	if err := e.peer.Tell(ctx, "/sdcpp/v1/jobs/"+url.PathEscape(id)+"/cancel"); err != nil {
		e.abandon()
	}
}

func (e *Engine) output() string {
	if e.host == nil {
		return ""
	}
	return e.host.Output()
}

// request is the body of a job. What is not sent keeps the server's defaults.
func request(p pipeline.Painting) any {
	sample := map[string]any{"sample_steps": p.Steps}
	if p.Sampler != "" {
		sample["sample_method"] = p.Sampler
	}
	if p.Guidance != nil {
		sample["guidance"] = map[string]any{"txt_cfg": *p.Guidance}
	}
	body := map[string]any{
		"prompt": p.Prompt, "negative_prompt": p.Negative, "width": p.Width, "height": p.Height, "seed": p.Seed,
		"batch_count": 1, "sample_params": sample, "output_format": "png", "embed_image_metadata": false,
	}
	if p.Source != nil {
		body["init_image"] = base64.StdEncoding.EncodeToString(p.Source)
		body["strength"] = p.Strength
	}
	return body
}

// watch follows one job.
type watch struct {
	*Engine
	emit  func(pipeline.PaintStep) error
	last  pipeline.PaintStep // that was told
	stale string             // the last step that the server printed before this job
	over  bool               // the server has ended the job
	fails int
}

// follow asks for the job's state until it is over.
func (w *watch) follow(ctx context.Context, j job) ([]byte, error) {
	pause := pollFirst
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		if done, picture, err := w.judge(j); done || err != nil {
			return picture, err
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		next, err := w.ask(ctx, j)
		if err != nil {
			return nil, err
		}
		j = next
		pause = min(pause*5/4, pollMost)
		timer.Reset(pause)
	}
}

// ask gets the job's state anew. One question that fails says little about a job of minutes; a job that the server does
// not know any more is lost.
func (w *watch) ask(ctx context.Context, j job) (job, error) {
	var next job
	err := w.peer.GetPicture(ctx, "/sdcpp/v1/jobs/"+url.PathEscape(j.ID), &next)
	switch status := imagepeer.StatusOf(err); {
	case err == nil:
		w.fails = 0
		return next, nil
	case status == http.StatusNotFound, status == http.StatusGone:
		w.over = true
		return j, fault.Wrap(err, fault.Internal, "engine_failed", "the image server lost this job; try again")
	case ctx.Err() != nil:
		return j, err
	}
	if w.fails++; w.fails >= pollFails {
		return j, err
	}
	return j, nil
}

// judge tells of a state, and whether it is the last one.
func (w *watch) judge(j job) (done bool, picture []byte, err error) {
	switch j.Status {
	case "queued":
		return false, nil, w.tell(pipeline.PaintQueued, 0, w.last.Steps)
	case "generating":
		step, steps := w.step()
		return false, nil, w.tell(pipeline.PaintGenerating, step, steps)
	case "completed":
		w.over = true
		if j.Result == nil || len(j.Result.Images) == 0 {
			return true, nil, imagepeer.Broken(imagepeer.ErrNoPicture)
		}
		if picture, err = imagepeer.Picture(j.Result.Images[0].Base64); err != nil {
			return true, nil, err
		}
		return true, picture, w.tell(pipeline.PaintGenerating, w.last.Steps, w.last.Steps)
	case "failed", "cancelled":
		w.over = true
		why, _ := json.Marshal(j.Error) // of plain strings
		return true, nil, imagepeer.Failed(fmt.Errorf("job %s: %s", j.Status, why))
	}
	return true, nil, imagepeer.Broken(fmt.Errorf("unknown job status %q", j.Status))
}

// tell emits what is news.
func (w *watch) tell(state string, step, steps int) error {
	now := pipeline.PaintStep{State: state, Step: step, Steps: steps}
	if now == w.last {
		return nil
	}
	w.last = now
	return w.emit(now)
}
