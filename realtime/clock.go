package realtime

import (
	"context"
	"time"
)

// tick does what is due.
func (c *call) tick(ctx context.Context) {
	now := time.Now()
	for _, r := range c.responses() {
		c.pace(ctx, r)
	}
	if c.spoken != nil && c.silentAt() && !now.Before(c.quietAt()) {
		c.spoken, c.quiet = nil, now
		c.apply(ctx, c.turns.Reply(false, ""))
	}
	if c.held && !now.Before(c.until) { // the microphone has been turned off in the midst of it
		c.held = false
		c.paceAnswer(ctx)
	}
	c.keep.tick(ctx, c, now)
	c.away(ctx, now)
	c.resume.ring.trim(now)
}

// maxHold is how long sound is held back at most: turn-taking decides sooner than that, as long as it hears anything.
const maxHold = 3 * time.Second

// silentAt tells whether no more sound of the present answer can follow.
func (c *call) silentAt() bool { return c.answer == nil || c.answer.play != c.spoken }

// roomTail is how long a room, and the way through the network, go on with a sound that has ended here.
const roomTail = 400 * time.Millisecond

// quietAt returns when nothing is heard any more of what was sent.
func (c *call) quietAt() time.Time {
	if c.echoes {
		return c.spoken.ends().Add(roomTail)
	}
	return c.spoken.ends()
}

// arm sets the clock to what is due next.
func (c *call) arm() {
	var next time.Time
	at := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, r := range c.responses() {
		if c.held && r == c.answer || c.leg == nil {
			continue
		}
		if t, ok := r.due(); ok {
			at(t)
		}
	}
	if c.spoken != nil && c.silentAt() {
		at(c.quietAt())
	}
	if c.held {
		at(c.until)
	}
	if t, ok := c.keep.due(); ok {
		at(t)
	}
	if t, ok := c.awaits(); ok {
		at(t)
	}
	if t, ok := c.resume.ring.due(); ok {
		at(t)
	}
	if next.IsZero() {
		c.clock.Stop()
		return
	}
	c.clock.Reset(max(time.Until(next), 0))
}

// due returns when pace has something to do.
func (r *response) due() (time.Time, bool) {
	switch {
	case r.closing:
		return time.Time{}, false
	case r.play != nil && len(r.play.queue) > 0:
		return r.play.due()
	}
	return r.began, r.result != nil // its end was held back
}
