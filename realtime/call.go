package realtime

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"brenda/pipeline/fault"
	"brenda/pipeline/session"
	"brenda/realtime/protocol"
	"brenda/realtime/turntaking"
)

// call is one conversation on one connection. Only its own goroutine, which runs loop, touches the fields below the
// channels.
type call struct {
	srv  *Server
	id   string // of the conversation, shared with REST
	talk *session.Session
	log  *slog.Logger
	out  *outbox
	line wire

	in      chan input                     // from the reader
	posts   chan func(ctx context.Context) // from work that is done beside the call
	hang    chan error                     // why the call must end
	goodbye chan struct{}                  // closed: end when nothing is being said any more
	ended   chan struct{}                  // closed when loop has returned
	work    sync.WaitGroup
	once    sync.Once
	format  atomic.Pointer[protocol.Format] // of the microphone, for the reader

	cfg    protocol.Session
	names  protocol.Names
	past   []session.Turn // what the conversation was before this call
	items  items
	mic    sound
	turns  *turntaking.Machine
	turn   *utterance            // what the person is saying; nil when nobody speaks
	latest *utterance            // the turn that was taken last
	answer *response             // the response of the conversation that runs
	side   map[string]*response  // those out of band
	after  func(context.Context) // makes the response that waits for the present one to end
	spoken *playback             // what is being heard
	said   string                // the words that were heard last
	quiet  time.Time             // when the last of them had been said; zero while they are
	held   bool                  // sound is held back: somebody may be interrupting
	until  time.Time             // when held sound goes on in any case
	echoes bool                  // our own voice comes back through the microphone
	voiced bool                  // sound has been sent, so that the voice is fixed
	keep   keeper
	clock  *time.Timer
	fatal  error // ends the call
	deaf   bool  // the microphone's judge has failed, and the client was told
}

func newCall(s *Server, id string, log *slog.Logger) *call {
	if log == nil {
		log = s.log
	}
	return &call{
		srv: s, id: id, talk: s.hub.Session(id), log: log.With("conversation", id), out: newOutbox(),
		in: make(chan input), posts: make(chan func(context.Context)), hang: make(chan error, 1),
		goodbye: make(chan struct{}), ended: make(chan struct{}), side: map[string]*response{},
	}
}

// hangUp ends the call.
func (c *call) hangUp(why error) {
	select {
	case c.hang <- why:
	default: // it is ending already
	}
}

// drain ends the call when nothing is being said.
func (c *call) drain() { c.once.Do(func() { close(c.goodbye) }) }

// run carries the call out, from the upgrade to the goodbye.
func (c *call) run(ctx context.Context, w wire) {
	c.line = w
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.format.Store(&c.cfg.Input.Format)
	var g errgroup.Group
	g.Go(func() error { c.hangUp(c.read(ctx, w)); return nil })
	g.Go(func() error { c.hangUp(c.ping(ctx, w)); return nil })
	var said error // why; read after ended is closed
	g.Go(func() error {
		err := c.write(ctx, w)
		if err != nil {
			c.hangUp(err)
		}
		<-c.ended
		why := said
		if err != nil {
			why = errSlow
		}
		w.Close(why)
		return nil
	})
	began := time.Now()
	said = c.loop(ctx)
	c.out.close()
	close(c.ended)
	if errors.Is(said, errSlow) {
		w.Close(said) // the writer is stuck
	}
	c.stopAll(said)
	c.work.Wait()
	c.keep.flush(ctx, c)
	// The reader must be there for the goodbye; it ends with the connection. The end of ctx is for a client that says none.
	bye := time.AfterFunc(2*writeTimeout, func() { cancel(said) })
	defer bye.Stop()
	_ = g.Wait()
	c.log.Info("call ended", "why", said, "lasted", time.Since(began).Round(time.Millisecond))
}

// write sends what the call has put out, until it is over.
func (c *call) write(ctx context.Context, w wire) error {
	for {
		frames, more := c.out.take()
		for _, f := range frames {
			if err := w.Write(ctx, f); err != nil {
				return err
			}
		}
		switch {
		case len(frames) > 0:
		case !more:
			return nil
		default:
			<-c.out.wake
		}
	}
}

// ping notices clients that vanished without a word.
func (c *call) ping(ctx context.Context, w wire) error {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := w.Ping(ctx); err != nil {
				return err
			}
		case <-c.ended:
			return nil
		}
	}
}

// loop is the call's goroutine.
func (c *call) loop(ctx context.Context) error {
	c.clock = time.NewTimer(time.Hour)
	defer c.clock.Stop()
	c.turns = turntaking.New(c.turnConfig())
	c.cfg.ID = protocol.NewID("sess")
	c.items.conversation = protocol.NewID("conv")
	c.send(protocol.SessionCreated{Session: c.cfg})
	if rec, err := c.talk.Record(ctx); err == nil {
		c.past = rec.Turns
	} else {
		c.log.Warn("no history", "error", err)
	}
	goodbye := c.goodbye
	for c.fatal == nil {
		select {
		case in := <-c.in:
			c.take(ctx, in)
			if in.done != nil {
				close(in.done)
			}
		case then := <-c.posts:
			then(ctx)
		case <-c.clock.C:
			c.tick(ctx)
		case why := <-c.hang:
			return why
		case <-goodbye:
			goodbye = nil
			c.work.Go(func() { c.finishing() })
		}
		c.arm()
	}
	return c.fatal
}

// finishing ends the call as soon as no answer is going on.
func (c *call) finishing() {
	for {
		idle := make(chan bool, 1)
		if !c.post(func(context.Context) { idle <- c.answer == nil && c.turn == nil }) {
			return
		}
		if <-idle {
			c.hangUp(errClosing)
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-c.ended:
			return
		}
	}
}

// post has the call's goroutine carry f out; false means that the call is over.
func (c *call) post(f func(ctx context.Context)) bool {
	select {
	case c.posts <- f:
		return true
	case <-c.ended:
		return false
	}
}

// send puts an event out.
func (c *call) send(ev protocol.ServerEvent) {
	frame, err := c.line.Encode(ev)
	if err != nil {
		c.log.Error("event not written", "type", protocol.TypeOf(ev), "error", err)
		return
	}
	if frame == nil { // this wire has no such event
		return
	}
	if !c.out.put(frame) {
		c.fatal = errSlow
	}
}

// complain tells the client what is wrong with its event.
func (c *call) complain(err error, event string) {
	var bad *protocol.Error
	if !errors.As(err, &bad) {
		if fault.KindOf(err) == fault.Internal {
			c.log.Error("call", "error", err)
		}
		bad = protocol.FromFault(err)
	}
	c.send(protocol.ErrorEvent{Error: bad.For(event)})
}

// stopAll ends what still runs when the call is over.
func (c *call) stopAll(why error) {
	if c.turn != nil {
		c.drop(c.turn)
	}
	if c.latest != nil {
		c.drop(c.latest)
	}
	for _, r := range c.responses() {
		c.abandon(r, why)
	}
}

// responses returns those that run.
func (c *call) responses() []*response {
	var all []*response
	if c.answer != nil {
		all = append(all, c.answer)
	}
	for _, r := range c.side {
		all = append(all, r)
	}
	return all
}
