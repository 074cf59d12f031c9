package realtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// leg is one connection of a call: most calls have just one, those that are resumed have one after the other.
type leg struct {
	wire

	out  *outbox
	once sync.Once
	over chan struct{} // closed when the call is through with it
	why  error         // read after that
}

func newLeg(w wire) *leg { return &leg{wire: w, out: newOutbox(), over: make(chan struct{})} }

// end has what waits sent, and then a goodbye.
func (l *leg) end(why error) {
	l.once.Do(func() {
		l.why = why
		l.out.close()
		close(l.over)
	})
}

// carry serves a connection until it is closed.
func (c *call) carry(ctx context.Context, l *leg) {
	var g errgroup.Group
	g.Go(func() error { c.lost(l, c.read(ctx, l)); return nil })
	g.Go(func() error { c.lost(l, l.pings(ctx)); return nil })
	g.Go(func() error {
		err := l.write(ctx)
		if err != nil {
			c.lost(l, err)
		}
		<-l.over
		why := l.why
		if err != nil {
			why = errSlow
		}
		l.Close(why)
		return nil
	})
	<-l.over
	if errors.Is(l.why, errSlow) {
		l.Close(l.why) // the writer is stuck
	}
	// The reader must be there for the goodbye, and ends with the connection: at last with that of a client that says none.
	bye := time.AfterFunc(2*writeTimeout, func() { l.Close(errSlow) })
	defer bye.Stop()
	_ = g.Wait()
	if a, ok := l.wire.(interface{ account() (lost, late int) }); ok {
		if lost, late := a.account(); lost+late > 0 {
			c.srv.count.lost.Add(uint64(lost)) //nolint:gosec // counts up
			c.log.Warn("sound frames out of order", "lost", lost, "late", late)
		}
	}
}

// write sends what the call has put out, until the leg is over.
func (l *leg) write(ctx context.Context) error {
	for {
		frames, more := l.out.take()
		for _, f := range frames {
			if err := l.Write(ctx, f); err != nil {
				return err
			}
		}
		switch {
		case len(frames) > 0:
		case !more:
			return nil
		default:
			<-l.out.wake
		}
	}
}

// pings notices a client that vanished without a word.
func (l *leg) pings(ctx context.Context) error {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := l.Ping(ctx); err != nil {
				return err
			}
		case <-l.over:
			return nil
		}
	}
}
