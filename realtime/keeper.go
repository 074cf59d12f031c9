package realtime

import (
	"context"
	"time"

	"brenda/pipeline/session"
)

// grace is how long a cut exchange waits for the client's word on how much of it was heard.
const grace = time.Second

// keeper puts exchanges into the history, one after the other.
type keeper struct {
	last    chan struct{} // closed when the newest one is there
	pending *session.Turn // cut, and not yet put there
	item    string        // its answer
	until   time.Time
}

// add puts an exchange into the history, and calls then.
func (k *keeper) add(ctx context.Context, c *call, t session.Turn, then func(ctx context.Context)) {
	k.flush(ctx, c)
	before, now := k.last, make(chan struct{})
	k.last = now
	keep := context.WithoutCancel(ctx)
	c.work.Go(func() {
		if before != nil {
			<-before
		}
		_ = c.talk.Append(keep, t) // has been logged; the answer was given all the same
		close(now)
		c.post(then)
	})
}

// later puts an exchange there when the client has had time to say what was heard.
func (k *keeper) later(ctx context.Context, c *call, t session.Turn, item string) {
	k.flush(ctx, c)
	k.pending, k.item, k.until = &t, item, time.Now().Add(grace)
}

// heard is the client's word on what was heard of an answer.
func (k *keeper) heard(item, text string) {
	if k.pending != nil && k.item == item {
		k.pending.Assistant = text
	}
}

// flush puts there what waits.
func (k *keeper) flush(ctx context.Context, c *call) {
	if t := k.pending; t != nil {
		k.pending = nil
		k.add(ctx, c, *t, func(context.Context) {})
	}
}

func (k *keeper) tick(ctx context.Context, c *call, now time.Time) {
	if k.pending != nil && !now.Before(k.until) {
		k.flush(ctx, c)
	}
}

// due returns when tick has something to do.
func (k *keeper) due() (time.Time, bool) { return k.until, k.pending != nil }
