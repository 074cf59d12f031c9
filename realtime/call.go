package realtime

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/session"
	"brenda/realtime/protocol"
	"brenda/realtime/turntaking"
)

// call is one conversation on one connection. Only its own goroutine, which runs loop, touches the fields below the
// channels.
type call struct {
	srv   *Server
	id    string // of the conversation, shared with REST
	talk  *session.Session
	log   *slog.Logger
	line  wire         // that the call has, or had last
	leg   *leg         // the connection; nil while the client is away
	from  string       // the client's machine
	gone  atomic.Bool  // nobody is connected
	waits atomic.Int64 // since when a person waits for an answer, in Unix nanoseconds; 0 for nobody

	resume resumption

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
	others others         // what came to it by other ways since
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
		srv: s, id: id, talk: s.hub.Session(id), log: log.With("conversation", id),
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

// run carries out a call that has one connection, from the upgrade to the goodbye.
func (c *call) run(ctx context.Context, w wire) {
	l := newLeg(w)
	c.leg, c.line = l, w
	over := make(chan struct{})
	go func() { defer close(over); c.carry(ctx, l) }()
	c.live(ctx)
	<-over
}

// live carries the call out, whatever becomes of its connections.
func (c *call) live(ctx context.Context) {
	c.format.Store(&c.cfg.Input.Format)
	began := time.Now()
	why := c.loop(ctx)
	close(c.ended)
	c.srv.tickets.void(c)
	if c.leg != nil {
		c.leg.end(why)
	}
	c.keepRest(ctx)
	c.stopAll(why)
	c.work.Wait()
	c.log.Info("call ended", "why", why, "lasted", time.Since(began).Round(time.Millisecond))
}

// loop is the call's goroutine.
func (c *call) loop(ctx context.Context) error {
	c.clock = time.NewTimer(time.Hour)
	defer c.clock.Stop()
	c.turns = turntaking.New(c.turnConfig())
	c.cfg.ID = protocol.NewID("sess")
	c.items.conversation = protocol.NewID("conv")
	c.send(c.created())
	defer c.talk.Follow(c.others.put)()
	c.recall(ctx)
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
		if !c.post(func(context.Context) { idle <- c.leg == nil || c.answer == nil && c.turn == nil }) {
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
	c.remember(ev, frame)
	if c.leg != nil && !c.leg.out.put(frame) {
		c.slow()
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
