package realtime

import (
	"context"
	"log/slog"
	"time"

	"brenda/pipeline/fault"
	"brenda/realtime/protocol"
)

// ending is how a response ended.
type ending struct {
	status, reason string
	err            *protocol.Error
}

// finish ends a response: its item first, then, when the exchange is kept, the response itself.
func (c *call) finish(ctx context.Context, r *response, e ending) {
	r.closing = true
	r.stop(fault.ErrBargeIn)
	close(r.over)
	if r.item != nil {
		c.closeItem(r, e)
	}
	if r.play != nil {
		r.play.queue = nil // nothing more of it is sent
	}
	c.breakCalls(r)
	x, ok := c.exchange(r, e)
	switch {
	case ok && e.status != protocol.Cancelled:
		c.keep.add(ctx, c, x, func(ctx context.Context) { c.done(ctx, r, e) })
	case ok: // there was a message
		c.keep.later(ctx, c, x, r.item.ID)
		c.done(ctx, r, e)
	default:
		c.done(ctx, r, e)
	}
}

// closeItem ends the message of a response, with the words that were heard.
func (c *call) closeItem(r *response, e ending) {
	text, it := r.text.String(), r.item
	it.Status = protocol.Incomplete
	switch {
	case e.status == protocol.Completed:
		it.Status = protocol.Completed
	case r.play == nil || e.status == protocol.Incomplete:
	case e.status == protocol.Cancelled:
		text, it.cut = r.play.heard(r.play.position(time.Now())), true
	default: // what was sent will be heard
		text, it.cut = heardOf(r.play.chunks, r.play.sent), true
	}
	it.setText(text)
	if r.play != nil {
		it.chunks = r.play.chunks
		c.send(protocol.OutputAudioDone{PartRef: r.part()})
		c.send(protocol.OutputTranscriptDone{PartRef: r.part(), Transcript: text})
	} else {
		c.send(protocol.OutputTextDone{PartRef: r.part(), Text: text})
	}
	c.send(protocol.ContentPartDone{PartRef: r.part(), Part: protocol.Part{Type: r.cfg.Modality, Text: text}})
	c.sendDone(r, it)
}

// done tells the client that a response is over, and goes on to the next one.
func (c *call) done(ctx context.Context, r *response, e ending) {
	c.served()
	r.trace.settle()
	c.send(protocol.ResponseDone{Response: c.shown(r, e)})
	c.send(protocol.RateLimitsUpdated{})
	c.note(ctx, r, e)
	delete(c.side, r.id)
	if c.answer != r {
		return
	}
	c.answer = nil
	if e.status == protocol.Cancelled && c.spoken == r.play {
		c.spoken, c.quiet = nil, time.Now()
		c.apply(ctx, c.turns.Reply(false, ""))
	}
	if next := c.after; next != nil && c.answer == nil {
		c.after = nil
		next(ctx)
	}
}

// note writes the log line of a response.
func (c *call) note(ctx context.Context, r *response, e ending) {
	attrs := append([]slog.Attr{
		slog.String("response", r.id), slog.String("how", e.status), slog.String("why", e.reason),
		slog.String("turn", r.trace.why),
	}, r.trace.stages()...)
	if e.err != nil {
		attrs = append(attrs, slog.String("code", e.err.Code))
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "response ended", attrs...)
	r.trace.report(c.srv.cfg.Watch)
}

// shown is a response as events carry it.
func (c *call) shown(r *response, e ending) protocol.Response {
	out := protocol.Response{
		ID: r.id, Status: e.status, Reason: e.reason, Error: e.err,
		Modality: r.cfg.Modality, Sound: r.cfg.Output, MaxOutputTokens: r.cfg.MaxOutputTokens,
		Temperature: r.cfg.Temperature, Metadata: r.cfg.Metadata,
	}
	if !r.cfg.OutOfBand {
		out.ConversationID = c.items.conversation
	}
	if e.status == protocol.InProgress {
		return out
	}
	out.Metadata = r.trace.metadata(r.cfg.Metadata)
	out.Usage = &protocol.Usage{Output: r.deltas} // a piece is about a token
	if r.result != nil {
		u := r.result.Usage
		*out.Usage = protocol.Usage{Input: u.PromptTokens, Cached: u.CachedTokens, Output: u.CompletionTokens}
	}
	for _, it := range r.output {
		out.Output = append(out.Output, it.show())
	}
	return out
}
