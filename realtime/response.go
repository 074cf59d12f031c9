package realtime

import (
	"context"
	"slices"
	"strings"
	"time"

	"brenda/pipeline"
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
	room  chan struct{} // one entry for each chunk of sound that is made or waits

	held    bool // prepared only: nothing of it is shown yet
	replay  bool // what was prepared is being shown
	closing bool // its end is decided: nothing more of it is taken
	backlog []pipeline.Event
	result  *pipeline.Result // nil while it is made
	item    *item            // its message; nil until there is something to show
	calls   []*item          // the functions that it calls
	output  []*item          // all of these, in order
	deltas  int              // pieces that the model wrote
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
		c.paid()
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

// announce shows a response to the client.
func (c *call) announce(r *response) {
	c.expects()
	c.send(protocol.ResponseCreated{Response: c.shown(r, ending{status: protocol.InProgress})})
}

// release shows a response that was prepared, with all that is there of it.
func (c *call) release(ctx context.Context, r *response) {
	r.held = false
	c.answer = r
	c.paid()
	c.announce(r)
	backlog := r.backlog
	r.backlog, r.replay = nil, true
	for _, ev := range backlog {
		c.progress(ctx, r, ev)
	}
	r.replay = false
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
	if r.closing {
		return
	}
	if !r.replay {
		r.clock(ev)
	}
	if r.held {
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
	case pipeline.CallEvent:
		if err := c.invoke(r, *ev.Call); err != nil {
			c.finish(ctx, r, ending{status: protocol.Failed, err: err})
		}
	case pipeline.TranscriptEvent, pipeline.DoneEvent: // not from a turn without sound
	}
}

// clock notes when a stage had its first result: a response that is cancelled has no others.
func (r *response) clock(ev pipeline.Event) {
	switch ev.Kind {
	case pipeline.AudioEvent:
		if r.trace.firstChunk == 0 {
			r.trace.firstChunk = max(r.began.Sub(r.trace.begin)+ev.Handed, 1)
		}
		r.trace.mark(&r.trace.firstAudio)
	case pipeline.TextEvent, pipeline.CallEvent:
		r.deltas++
		r.trace.mark(&r.trace.firstToken)
	case pipeline.TranscriptEvent, pipeline.DoneEvent:
	}
}

func (r *response) part() protocol.PartRef {
	return protocol.PartRef{
		ResponseID: r.id, ItemID: r.item.ID, OutputIndex: r.index(r.item), ContentIndex: shownPart,
	}
}

func (r *response) index(it *item) int { return slices.Index(r.output, it) }

// show adds an item to the output of a response, and to the conversation.
func (c *call) show(r *response, it *item) {
	r.output = append(r.output, it)
	c.send(protocol.OutputItemAdded{ResponseID: r.id, OutputIndex: r.index(it), Item: it.show()})
	if !r.cfg.OutOfBand {
		c.items.insert(it, nil)
		c.send(protocol.ItemAdded{PreviousItemID: c.items.before(it.ID), Item: it.show()})
	}
}

// sendDone tells the client that an item of a response is complete.
func (c *call) sendDone(r *response, it *item) {
	c.send(protocol.OutputItemDone{ResponseID: r.id, OutputIndex: r.index(it), Item: it.show()})
	if there, _ := c.items.find(it.ID); there == it { // it is neither out of band nor deleted
		c.items.version++
		c.send(protocol.ItemDone{PreviousItemID: c.items.before(it.ID), Item: it.show()})
	}
}

// open shows the beginning of the answer's message.
func (c *call) open(r *response) {
	if r.item != nil {
		return
	}
	r.item = &item{Item: protocol.Item{
		ID: protocol.NewID("item"), Type: protocol.Message, Role: protocol.Assistant, Status: protocol.InProgress,
	}, format: r.cfg.Output.Format}
	c.show(r, r.item)
	part := protocol.Content{Type: protocol.OutputText}
	if r.play != nil {
		part.Type = protocol.OutputAudio
		r.play.item, r.play.trace = r.item.ID, r.trace
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
	if r.closing || r == c.answer && c.held || c.leg == nil {
		return
	}
	for r.play != nil {
		piece := r.play.next(time.Now())
		if piece == nil {
			break
		}
		r.trace.mark(&r.trace.sent)
		c.voiced = true
		c.served()
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
