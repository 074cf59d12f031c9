package realtime

import (
	"context"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/schedule"
	"brenda/realtime/protocol"
	"brenda/realtime/turntaking"
)

// utterance is one turn of the person, from the first syllable until it has been answered.
type utterance struct {
	item    string  // the message that it becomes
	from    int     // the first frame of its sound, the prefix included
	over    bool    // the turn was taken: what is drafted counts
	seconds float64 // how long it is
	echo    bool    // it may be our own voice
	mute    bool    // it gets no answer: the person spoke on before there was one
	draft   *draft
	trace   *trace
	message *item      // what became of it; nil until it is over
	before  *utterance // a turn that it made mute
	owed    bool       // it took the place of an answer that nobody has heard
}

// turnConfig returns the rules of the session for package turntaking.
func (c *call) turnConfig() turntaking.Config {
	t := c.cfg.Input.TurnDetection
	if t == nil {
		return turntaking.Config{Mode: turntaking.Manual, Words: french{}}
	}
	ms := func(n int) time.Duration { return max(time.Duration(n)*time.Millisecond, 1) } // 0 means the default there
	cfg := turntaking.Config{Interrupt: t.InterruptResponse, Words: french{}}
	if t.Type == protocol.SemanticVAD {
		cfg.Mode = turntaking.Semantic
		cfg.Longest = map[string]time.Duration{"low": 8 * time.Second, "high": 2 * time.Second}[t.Eagerness]
		return cfg
	}
	cfg.Mode = turntaking.ServerVAD
	cfg.Threshold = max(float32(t.Threshold), 0.01)
	cfg.Prefix, cfg.Silence = ms(t.PrefixPaddingMs), ms(t.SilenceDurationMs)
	if t.IdleTimeoutMs != nil {
		cfg.Idle = ms(*t.IdleTimeoutMs)
	}
	return cfg
}

// manual tells whether the client says itself what is a turn.
func (c *call) manual() bool { return c.cfg.Input.TurnDetection == nil }

// hear takes judged sound.
func (c *call) hear(ctx context.Context, in input) {
	if in.err != nil && !c.deaf {
		c.deaf = true
		c.complain(in.err, "")
	}
	const n = pipeline.FrameSamples
	for i, p := range in.probs {
		c.mic.push(in.pcm[i*n:(i+1)*n], p)
		c.apply(ctx, c.turns.Frame(p))
	}
	if c.turn == nil && !c.manual() {
		c.mic.keep(c.turnConfig().Defaults().Prefix + idleSound)
	}
}

// apply carries out what turn-taking has decided.
func (c *call) apply(ctx context.Context, effects []turntaking.Effect) {
	for _, e := range effects {
		switch e.Kind {
		case turntaking.SpeechStarted:
			c.speechStarted(ctx, e)
		case turntaking.Paused:
			c.paused(ctx, e)
		case turntaking.Resumed:
			if c.turn != nil {
				c.drop(c.turn)
			}
		case turntaking.TurnEnded:
			c.turnEnded(ctx, e)
		case turntaking.Duck:
			c.held = !c.echoes // a reply that stops at its own echo would never come to its end
			c.until = time.Now().Add(maxHold)
		case turntaking.Unduck:
			c.held = false
			c.paceAnswer(ctx)
		case turntaking.Probe:
			c.probe(ctx, e)
		case turntaking.Interrupted:
			c.log.Debug("interrupted", "why", e.Why, "words", e.Text)
			c.interrupted(ctx)
		case turntaking.TimedOut:
			c.timedOut(ctx, e)
		case turntaking.Echo:
			c.log.Debug("heard our own voice", "words", e.Text)
			c.echoes, c.held = true, false
			c.paceAnswer(ctx)
		case turntaking.Backchannel:
			c.log.Debug("heard over the reply", "words", e.Text)
		}
	}
}

// interrupted stops the answer that is being heard.
func (c *call) interrupted(ctx context.Context) {
	c.held = false
	c.spoken, c.quiet = nil, time.Now()
	c.supersede()
	if c.answer != nil {
		c.cancel(ctx, c.answer, protocol.TurnDetected)
	}
}

// supersede drops the response that waits when a turn of the person begins: that turn's own answer will have all that it
// would have answered.
func (c *call) supersede() {
	if c.answers() {
		c.after = nil
	}
}

func (c *call) speechStarted(ctx context.Context, e turntaking.Effect) {
	u := &utterance{item: protocol.NewID("item"), from: frameAt(e.At), owed: c.owes()}
	c.supersede()
	if c.interruptible() && c.answer != nil {
		c.interrupted(ctx) // it was being prepared, and nothing had been heard of it
	}
	if c.latest != nil && c.latest.waits() && !c.latest.mute {
		c.latest.mute = true // it will be answered together with what is said now
		if c.answers() {
			u.before = c.latest
		}
	}
	c.held = false
	c.turn = u
	c.turn.echo = c.said != "" && (c.quiet.IsZero() || time.Since(c.quiet) < echoAfter)
	c.send(protocol.SpeechStarted{ItemID: c.turn.item, AudioStartMs: int(e.At.Milliseconds())})
}

// echoAfter is how long after the end of an answer its last words may still come back.
const echoAfter = time.Second

// paused begins to prepare an answer.
func (c *call) paused(ctx context.Context, e turntaking.Effect) {
	u := c.turn
	if u == nil {
		return
	}
	u.trace = newTrace(e.At, c.turns.Now())
	ctx, urgent := schedule.Later(ctx)
	c.listen(ctx, u, e.Rev, urgent)
}

// turnEnded takes the turn: what was prepared for it counts now.
func (c *call) turnEnded(ctx context.Context, e turntaking.Effect) {
	u := c.turn
	if u == nil {
		return
	}
	c.turn, c.latest, u.over = nil, u, true
	c.send(protocol.SpeechStopped{ItemID: u.item, AudioEndMs: int(e.At.Milliseconds())})
	if u.draft == nil || u.draft.rev != e.Rev {
		u.trace = newTrace(e.At, c.turns.Now())
		c.listen(ctx, u, e.Rev, func() {})
	}
	u.trace.mark(&u.trace.decision)
	u.trace.why = e.Why
	c.expects()
	c.commit(ctx, u)
	u.draft.urgent()
	if u.draft.done {
		c.conclude(ctx, u)
	}
}

// commit makes a message of the turn.
func (c *call) commit(_ context.Context, u *utterance) {
	it := spoken(u.item)
	u.message = it
	it.seconds = u.seconds
	c.catchUp()
	version := c.items.version
	c.send(protocol.InputCommitted{ItemID: u.item, PreviousItemID: c.items.last()})
	c.add(it, nil)
	if d := u.draft; d != nil && d.answer != nil && d.version == version {
		d.version = c.items.version // the answer was made with these words in mind
	}
	c.mic.keep(c.turnConfig().Defaults().Prefix + idleSound)
}

// add puts an item into the conversation and tells the client.
func (c *call) add(it *item, behind *string) bool {
	if !c.items.insert(it, behind) {
		return false
	}
	before := c.items.before(it.ID)
	c.send(protocol.ItemAdded{PreviousItemID: before, Item: it.show()})
	c.send(protocol.ItemDone{PreviousItemID: before, Item: it.show()})
	return true
}

// probe finds out what is being said over the answer.
func (c *call) probe(ctx context.Context, e turntaking.Effect) {
	said := c.mic.from(frameAt(e.From))
	o := c.hearingOptions()
	c.work.Go(func() {
		text, err := c.recognize(ctx, said, o)
		if err != nil {
			text = ""
		}
		c.post(func(ctx context.Context) { c.apply(ctx, c.turns.Heard(e.Rev, text)) })
	})
}

// timedOut has Brenda say something to a person who has been silent.
func (c *call) timedOut(ctx context.Context, e turntaking.Effect) {
	if c.answer != nil || !c.answers() || c.leg == nil {
		return
	}
	it := spoken(protocol.NewID("item"))
	c.send(protocol.TimeoutTriggered{
		ItemID: it.ID, AudioStartMs: int(e.From.Milliseconds()), AudioEndMs: int(e.At.Milliseconds()),
	})
	c.send(protocol.InputCommitted{ItemID: it.ID, PreviousItemID: c.items.last()})
	c.add(it, nil)
	it.words.known("", nil)
	cfg, err := c.cfg.Response(protocol.ResponsePatch{})
	if err != nil {
		return
	}
	c.begin(ctx, cfg, plan{user: "…"})
}
