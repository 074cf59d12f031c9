package realtime

import (
	"context"
	"errors"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/schedule"
	"brenda/realtime/protocol"
)

// respond starts the work on a response.
func (c *call) respond(ctx context.Context, cfg protocol.ResponseConfig, p plan) *response {
	if p.trace == nil {
		p.trace = newTrace(0, 0)
	}
	r := &response{
		id: protocol.NewID("resp"), cfg: cfg, plan: p, began: time.Now(), held: p.held, trace: p.trace,
		over: make(chan struct{}), room: make(chan struct{}, maxAhead),
	}
	if c.leg == nil { // those whose client is there go first
		ctx = schedule.With(ctx, schedule.Batch)
	}
	ctx, r.stop = context.WithCancelCause(ctx)
	t := &pipeline.Turn{
		Engines: pipeline.Engines{LLM: eager{c.srv.engines.LLM}, Voice: unhurried{c.srv.engines.Voice, r.room}},
		Compose: c.compose(cfg, p.user), Shorten: shorten,
		Voice: cfg.Output.Voice, Language: c.srv.cfg.Language, Speed: max(cfg.Output.Speed, slowest),
		Mute: cfg.Modality == protocol.TextOut,
	}
	if cfg.Cut.Off {
		t.Shorten = nil
	}
	if !t.Mute {
		r.play = newPlayback(cfg.Output.Format)
	}
	c.work.Go(func() { c.generate(ctx, r, t) })
	return r
}

// generate carries the turn out beside the call, and stays until the call is through with the response: so long a stop by
// REST ends it.
func (c *call) generate(ctx context.Context, r *response, t *pipeline.Turn) {
	defer r.stop(nil)
	tracked, untrack, err := c.talk.Track(ctx)
	if err != nil {
		c.post(func(ctx context.Context) { c.generated(ctx, r, pipeline.Result{Err: err}) })
		return
	}
	defer untrack()
	events := make(chan pipeline.Event)
	result := make(chan pipeline.Result, 1)
	c.work.Go(func() {
		defer close(events)
		result <- t.Run(tracked, events)
	})
	for ev := range events {
		c.post(func(ctx context.Context) { c.progress(ctx, r, ev) })
	}
	res := <-result
	if res.FinishReason == "cancelled" && ctx.Err() == nil {
		res.Err = fault.ErrPreempted // an engine was taken from it
		if cause := context.Cause(tracked); cause != nil {
			res.Err = cause // a stop by REST, or the end of the server
		}
	}
	c.post(func(ctx context.Context) { c.generated(ctx, r, res) })
	select {
	case <-r.over:
	case <-c.ended:
	case <-tracked.Done():
		cause := context.Cause(tracked)
		c.post(func(ctx context.Context) { c.generated(ctx, r, pipeline.Result{Err: cause}) })
	}
}

// generated takes the end of the work on a response.
func (c *call) generated(ctx context.Context, r *response, res pipeline.Result) {
	if r.closing {
		return
	}
	if r.held {
		r.result = &res
		if failed(res) { // nobody has been told: it is tried again when it counts
			c.abandon(r, errUnsaid)
			r.held = false
		}
		return
	}
	if failed(res) {
		c.fail(ctx, r, res)
		return
	}
	if res.FinishReason != "length" {
		if err := c.closeCalls(r); err != nil {
			c.finish(ctx, r, ending{status: protocol.Failed, err: err})
			return
		}
	}
	r.result = &res
	r.time(res.Timings)
	if r.play != nil {
		r.play.finish()
	}
	c.pace(ctx, r)
}

func failed(res pipeline.Result) bool { return res.Err != nil || res.FinishReason == "cancelled" }

// time enters the times of the stages, which count from their own beginning.
func (r *response) time(t pipeline.Timings) {
	since := func(d time.Duration) time.Duration {
		if d == 0 {
			return 0
		}
		return max(r.began.Sub(r.trace.begin)+d, 1)
	}
	r.trace.firstToken, r.trace.firstChunk = since(t.FirstToken), since(t.FirstChunk)
	r.trace.firstAudio = since(t.FirstAudio)
}

// fail ends a response that could not be made, or was stopped by somebody else.
func (c *call) fail(ctx context.Context, r *response, res pipeline.Result) {
	switch {
	case errors.Is(res.Err, fault.ErrPreempted) && r.item == nil:
		c.again(ctx, r)
	case errors.Is(res.Err, fault.ErrPreempted):
		c.finish(ctx, r, ending{status: protocol.Failed, err: protocol.FromFault(errFull())})
	case res.Err == nil, errors.Is(res.Err, fault.ErrStopped), errors.Is(res.Err, fault.ErrDraining):
		c.after = nil // what is stopped does not go on with the next response
		c.cancel(ctx, r, protocol.ClientCancelled)
	default:
		if fault.KindOf(res.Err) == fault.Internal {
			c.log.Error("answer failed", "response", r.id, "error", res.Err)
		}
		c.finish(ctx, r, ending{status: protocol.Failed, err: protocol.FromFault(res.Err)})
	}
}

// again makes a response anew that had to give way before it was said to be wanted.
func (c *call) again(ctx context.Context, r *response) {
	anew := c.respond(schedule.With(ctx, schedule.Foreground), r.cfg, plan{user: "", trace: r.trace})
	anew.id = r.id
	c.abandon(r, fault.ErrPreempted)
	if c.answer == r {
		c.answer = anew
	} else {
		c.side[r.id] = anew
	}
}
