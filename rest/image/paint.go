package image

import (
	"context"
	"net/http"
	"sync"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/schedule"
	"brenda/rest/httpx"
)

// patience is how long a request waits for its turn before the stream begins to say so. Until then a refusal is still
// an answer with a status of its own.
const patience = 2 * time.Second

// Generate answers POST /v1/ai/image/generate: events by default, or one JSON object for a client that accepts
// application/json.
func (s *Service) Generate(w http.ResponseWriter, r *http.Request) error {
	o, _, err := s.read(r)
	if err != nil {
		return err
	}
	o.Strength = nil // means nothing here
	o.size = size{or(o.Width, defaultSide), or(o.Height, defaultSide)}
	return s.answer(w, r, o)
}

// Refine answers POST /v1/ai/image/refine, likewise.
func (s *Service) Refine(w http.ResponseWriter, r *http.Request) error {
	o, blobs, err := s.read(r, "image")
	if err != nil {
		return err
	}
	defer blobs.Close()
	if blobs["image"] == nil {
		return fault.Field("image", "image is missing; it must be a picture in base64: PNG, JPEG or WebP")
	}
	if err := s.atDesk(r.Context(), func(ctx context.Context) error { return o.start(ctx, blobs["image"]) }); err != nil {
		return err
	}
	blobs.Close()
	return s.answer(w, r, o)
}

// result is what a client gets: the answer in JSON, or the event with a type.
type result struct {
	Type    string   `json:"type,omitempty"`
	Content []byte   `json:"content,omitempty"` // PNG, in base64
	Image   []byte   `json:"image,omitempty"`   // likewise
	Width   int      `json:"width"`
	Height  int      `json:"height"`
	Seed    *int64   `json:"seed,omitempty"`    // with which the same picture can be had again
	Ignored []string `json:"ignored,omitempty"` // fields that the image server has no use for
}

func (s *Service) answer(w http.ResponseWriter, r *http.Request, o *order) error {
	if s.painter == nil {
		return ErrNone()
	}
	if err := s.fit(r.Context(), o); err != nil {
		return err
	}
	const events, object = "text/event-stream", "application/json"
	if httpx.Accepts(r, events, object) == events {
		return s.stream(w, r, o)
	}
	res, err := s.paint(r.Context(), o, func(pipeline.PaintStep) error { return r.Context().Err() })
	if err != nil {
		return err
	}
	res.Image, res.Content = res.Content, nil
	return httpx.Write(w, http.StatusOK, res)
}

// progress is the event of a step.
type progress struct {
	Type  string `json:"type"`
	Step  int    `json:"step"`
	Steps int    `json:"steps"`
	State string `json:"state"` // "queued" or "generating"
}

func (s *Service) stream(w http.ResponseWriter, r *http.Request, o *order) error {
	out := httpx.NewStream(w)
	defer out.Close()
	t := &teller{out: out}
	waiting := time.AfterFunc(patience, func() { t.wait(or(o.Steps, defaultSteps)) })
	res, err := s.paint(r.Context(), o, t.tell)
	waiting.Stop()
	t.end()
	if err != nil {
		return out.Fail(r, err)
	}
	res.Type = "image"
	if err := out.Send(res); err != nil {
		return out.Fail(r, err)
	}
	return out.Finish()
}

// teller sends the progress of one picture.
type teller struct {
	out *httpx.Stream

	mu    sync.Mutex
	begun bool // the painter has told something, or is done: nothing waits any more
}

// tell sends a step of the painter's.
func (t *teller) tell(p pipeline.PaintStep) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = true
	return t.out.Send(progress{"progress", p.Step, p.Steps, p.State})
}

// wait says that the picture waits for its turn, unless it does not.
func (t *teller) wait(steps int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun { // a client that is gone shows at the next event
		_ = t.out.Send(progress{"progress", 0, steps, pipeline.PaintQueued})
	}
}

// end makes wait silent: what comes next may be an answer with a status.
func (t *teller) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = true
}

// paint waits for its turn and has the picture made and checked.
func (s *Service) paint(ctx context.Context, o *order, emit func(pipeline.PaintStep) error) (result, error) {
	p := o.painting()
	var file []byte
	err := s.queue.Do(schedule.With(ctx, schedule.Batch), func(ctx context.Context) (err error) {
		file, err = s.painter.Paint(ctx, p, emit)
		return err
	})
	if err != nil {
		return result{}, err
	}
	var png []byte
	err = s.atDesk(ctx, func(ctx context.Context) (err error) {
		png, err = finish(ctx, file, size{p.Width, p.Height}, o.size)
		return err
	})
	if err != nil {
		return result{}, err
	}
	return result{Content: png, Width: o.size.w, Height: o.size.h, Seed: o.seed(p), Ignored: o.ignored}, nil
}
