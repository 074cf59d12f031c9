package realtime

import (
	"context"
	"errors"
	"strings"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/schedule"
	"brenda/realtime/protocol"
)

const (
	maxSide   = 4   // responses out of band at the same time
	maxAhead  = 6   // chunks of sound that may wait for being sent before the voice waits
	shownPart = 0   // the one part of an answer
	slowest   = 0.5 // of the voice; the protocol has 0.25, which nobody understands
)

// response is one answer of the assistant.
type response struct {
	id    string
	cfg   protocol.ResponseConfig
	plan  plan
	began time.Time
	stop  context.CancelCauseFunc
	over  chan struct{} // closed when the client is being told that it has ended
	room  chan struct{} // one entry for each chunk of sound that waits

	held    bool // prepared only: nothing of it is shown yet
	closing bool // its end is decided: nothing more of it is taken
	backlog []pipeline.Event
	result  *pipeline.Result // nil while it is made
	item    *item            // nil until there is something to show
	text    strings.Builder  // all that was written
	play    *playback        // nil for a written answer
	freed   int              // chunks that were sent
	begun   int              // chunks whose sound was begun
	trace   *trace
}

// plan is what a response answers.
type plan struct {
	user  string // said, but not yet part of the conversation; empty for none
	trace *trace
	held  bool
}

// begin starts a response and shows it.
func (c *call) begin(ctx context.Context, cfg protocol.ResponseConfig, p plan) {
	r := c.respond(ctx, cfg, p)
	if cfg.OutOfBand {
		c.side[r.id] = r
	} else {
		c.answer = r
	}
	c.announce(r)
}

// reply answers the conversation as it is, as soon as the response that runs is over.
func (c *call) reply(ctx context.Context, t *trace) {
	if c.answer != nil {
		c.after = func(ctx context.Context) { c.reply(ctx, t) }
		return
	}
	cfg, err := c.cfg.Response(protocol.ResponsePatch{})
	if err != nil {
		c.complain(err, "")
		return
	}
	c.begin(ctx, cfg, plan{trace: t})
}

// respond starts the work on a response.
func (c *call) respond(ctx context.Context, cfg protocol.ResponseConfig, p plan) *response {
	if p.trace == nil {
		p.trace = newTrace(0, 0)
	}
	r := &response{
		id: protocol.NewID("resp"), cfg: cfg, plan: p, began: time.Now(), held: p.held, trace: p.trace,
		over: make(chan struct{}), room: make(chan struct{}, maxAhead),
	}
	ctx, r.stop = context.WithCancelCause(ctx)
	t := &pipeline.Turn{
		Engines: pipeline.Engines{LLM: c.srv.engines.LLM, Voice: c.srv.engines.Voice},
		Compose: c.compose(cfg, p.user), Shorten: shorten,
		Voice: cfg.Output.Voice, Language: c.srv.cfg.Language, Speed: max(cfg.Output.Speed, slowest),
		Mute: cfg.Modality == protocol.TextOut,
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
		if ev.Kind == pipeline.AudioEvent {
			select {
			case r.room <- struct{}{}:
			case <-tracked.Done():
			}
		}
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

// announce shows a response to the client.
func (c *call) announce(r *response) {
	c.send(protocol.ResponseCreated{Response: c.shown(r, ending{status: protocol.InProgress})})
}

// release shows a response that was prepared, with all that is there of it.
func (c *call) release(ctx context.Context, r *response) {
	r.held = false
	c.answer = r
	c.announce(r)
	backlog := r.backlog
	r.backlog = nil
	for _, ev := range backlog {
		c.progress(ctx, r, ev)
	}
	if res := r.result; res != nil {
		c.generated(ctx, r, *res)
	}
}

// abandon ends a response of which nobody is told.
func (c *call) abandon(r *response, why error) {
	if r.closing {
		return
	}
	r.closing, r.backlog = true, nil
	r.stop(why)
	close(r.over)
}

// progress takes the next piece of a response.
func (c *call) progress(ctx context.Context, r *response, ev pipeline.Event) {
	switch {
	case r.closing:
		return
	case r.held:
		r.backlog = append(r.backlog, ev)
		return
	}
	switch ev.Kind {
	case pipeline.TextEvent:
		c.open(r)
		r.text.WriteString(ev.Text)
		if r.play == nil {
			c.send(protocol.OutputTextDelta{PartRef: r.part(), Delta: ev.Text})
			return
		}
		c.send(protocol.OutputTranscriptDelta{PartRef: r.part(), Delta: ev.Text})
	case pipeline.AudioEvent:
		c.open(r)
		r.play.add(ev.PCM, ev.Source)
		c.pace(ctx, r)
	case pipeline.TranscriptEvent, pipeline.DoneEvent: // not from a turn without sound
	}
}

func (r *response) part() protocol.PartRef {
	return protocol.PartRef{ResponseID: r.id, ItemID: r.item.ID, ContentIndex: shownPart}
}

// open shows the beginning of the answer's message.
func (c *call) open(r *response) {
	if r.item != nil {
		return
	}
	r.item = &item{Item: protocol.Item{
		ID: protocol.NewID("item"), Type: protocol.Message, Role: protocol.Assistant, Status: protocol.InProgress,
	}, format: r.cfg.Output.Format}
	c.send(protocol.OutputItemAdded{ResponseID: r.id, Item: r.item.show()})
	if !r.cfg.OutOfBand {
		c.items.insert(r.item, nil)
		c.send(protocol.ItemAdded{PreviousItemID: c.items.before(r.item.ID), Item: r.item.show()})
	}
	part := protocol.Content{Type: protocol.OutputText}
	if r.play != nil {
		part.Type = protocol.OutputAudio
	}
	r.item.Content = []protocol.Content{part}
	c.send(protocol.ContentPartAdded{PartRef: r.part(), Part: protocol.Part{Type: r.cfg.Modality}})
}

// paceAnswer sends what is due of the conversation's answer.
func (c *call) paceAnswer(ctx context.Context) {
	if c.answer != nil {
		c.pace(ctx, c.answer)
	}
}

// pace sends the sound that is due, and ends the response after the last of it.
func (c *call) pace(ctx context.Context, r *response) {
	if r.closing || r == c.answer && c.held {
		return
	}
	for r.play != nil {
		piece := r.play.next(time.Now())
		if piece == nil {
			break
		}
		r.trace.mark(&r.trace.sent)
		c.voiced = true
		c.send(protocol.OutputAudioDelta{PartRef: r.part(), Delta: piece})
		if r == c.answer {
			c.sounding(ctx, r)
		}
		r.free()
	}
	if r.result != nil && (r.play == nil || len(r.play.queue) == 0) {
		c.complete(ctx, r)
	}
}

// sounding tells turn-taking what is being said.
func (c *call) sounding(ctx context.Context, r *response) {
	c.spoken = r.play
	begun := r.begun
	for r.begun < len(r.play.chunks) && (r.begun == 0 || r.play.chunks[r.begun-1].end < r.play.sent) {
		r.begun++
	}
	if r.begun != begun {
		c.said, c.quiet = r.play.said(), time.Time{}
		c.apply(ctx, c.turns.Reply(true, c.said))
	}
}

// free lets the voice go on for each chunk that was sent.
func (r *response) free() {
	for r.freed < len(r.play.chunks) && r.play.chunks[r.freed].end <= r.play.sent {
		r.freed++
		select {
		case <-r.room:
		default:
		}
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

// cancel ends a response before its time.
func (c *call) cancel(ctx context.Context, r *response, reason string) {
	if !r.closing {
		c.finish(ctx, r, ending{status: protocol.Cancelled, reason: reason})
	}
}

// complete ends a response that came to its own end.
func (c *call) complete(ctx context.Context, r *response) {
	e := ending{status: protocol.Completed}
	if r.result.FinishReason == "length" {
		e = ending{status: protocol.Incomplete, reason: protocol.MaxTokens}
	}
	c.finish(ctx, r, e)
}
