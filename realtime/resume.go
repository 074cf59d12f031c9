package realtime

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"brenda/pipeline"
	"brenda/realtime/protocol"
	"brenda/realtime/turntaking"
)

const (
	// resumeWithin is how long a session waits for its client to come back.
	resumeWithin = 60 * time.Second
	// patience is how long an answer may have been silent to go on where it stopped. After a longer silence the thread is
	// lost: the answer ends where it was last heard.
	patience = 3 * time.Second
	// hush is how often a person who is not connected is taken to be silent, so that a turn comes to its end.
	hush = 10 * turntaking.Frame
)

// Why a leg ends of which the call goes on.
var (
	errLost  = errors.New("the connection was lost")
	errTaken = errors.New("the session goes on on another connection")
)

// errGone ends a call whose client did not come back.
var errGone = errors.New("the client did not come back")

// resumption is what a call needs to outlive its connections. The zero value is a call that does not.
type resumption struct {
	on    bool
	who   credential   // that may resume
	coder *binaryCoder // of a device; nil for JSON
	ring  ring
	until time.Time // while nobody is connected: when the call ends
	heard time.Time // while nobody is connected: until when the person has been silent
}

// farewell tells whether a client has left on purpose.
func farewell(err error) bool {
	code := websocket.CloseStatus(err)
	return code == websocket.StatusNormalClosure || code == websocket.StatusGoingAway
}

// lost takes the end of a connection.
func (c *call) lost(l *leg, why error) {
	if !c.resume.on || farewell(why) {
		c.hangUpOn(l, why)
		return
	}
	c.post(func(context.Context) { c.left(l, why) })
}

// hangUpOn ends the call, unless it goes on elsewhere.
func (c *call) hangUpOn(l *leg, why error) {
	if !c.resume.on {
		c.hangUp(why)
		return
	}
	c.post(func(context.Context) {
		if c.leg == l {
			c.fatal = why
		}
	})
}

// slow gives a connection up whose client does not read.
func (c *call) slow() {
	if c.resume.on {
		c.left(c.leg, errSlow)
		return
	}
	c.fatal = errSlow
}

// left has the call wait for its client.
func (c *call) left(l *leg, why error) {
	if c.leg != l {
		return // it is back already
	}
	c.log.Info("connection lost", "why", why)
	if !errors.Is(why, errSlow) {
		why = errLost
	}
	c.leg = nil
	c.gone.Store(true)
	l.end(why)
	now := time.Now()
	c.resume.until, c.resume.heard = now.Add(resumeWithin), now
}

// away does what is due while nobody is connected.
func (c *call) away(ctx context.Context, now time.Time) {
	if c.leg != nil {
		return
	}
	if !now.Before(c.resume.until) {
		if r := c.answer; r != nil {
			c.cancel(ctx, r, protocol.ClientCancelled) // the history keeps what was heard
		}
		c.fatal = errGone
		return
	}
	if n := int(now.Sub(c.resume.heard) / turntaking.Frame); c.turn != nil && n > 0 {
		c.resume.heard = c.resume.heard.Add(time.Duration(n) * turntaking.Frame)
		c.hear(ctx, input{pcm: make([]float32, n*pipeline.FrameSamples), probs: make([]float32, n)})
	}
}

// awaits returns when away has something to do.
func (c *call) awaits() (time.Time, bool) {
	if c.leg != nil {
		return time.Time{}, false
	}
	next := c.resume.until
	if t := c.resume.heard.Add(hush); c.turn != nil && t.Before(next) {
		next = t
	}
	return next, true
}

// remember keeps an event for a client that resumes.
func (c *call) remember(ev protocol.ServerEvent, frame []byte) {
	if !c.resume.on {
		return
	}
	s := sent{id: eventID(frame), frame: frame, at: time.Now()}
	if d, ok := ev.(protocol.OutputAudioDelta); ok {
		if p := c.playing(d.ItemID); p != nil {
			s.sound, s.from = p, p.sent-len(d.Delta)
		}
	}
	c.resume.ring.add(s)
}

// created greets the client.
func (c *call) created() protocol.ServerEvent {
	first := protocol.SessionCreated{Session: c.cfg}
	if !c.resume.on {
		return first
	}
	return protocol.SessionResumable{SessionCreated: first, Resume: c.ticket()}
}

// ticket returns a new token for the next connection.
func (c *call) ticket() protocol.Resume {
	return protocol.Resume{Token: c.srv.tickets.issue(c), Seconds: int(resumeWithin.Seconds())}
}

// place is how far a client has got.
type place struct {
	event string // the last one that arrived
	sound uint16 // the sequence of the last binary frame …
	heard bool   // … if it names one
}

// rejoin goes on with a client that has come back.
func (c *call) rejoin(ctx context.Context, l *leg, at place) {
	now := time.Now()
	if c.leg != nil {
		c.leg.end(errTaken) // it has not noticed yet that the client is gone
	}
	c.leg, c.line = l, l.wire
	c.gone.Store(false)
	c.srv.count.resumed.Add(1)
	first, whole := c.resume.ring.after(at.event, at.sound, at.heard)
	missed := append([]sent(nil), c.resume.ring.list[first:]...)
	stop := c.stale(missed, now)
	missed = worth(missed, stop)
	hello, err := l.Encode(protocol.SessionResumed{
		Session: c.cfg, Resume: c.ticket(), Missed: len(missed), Complete: whole,
	})
	if err != nil {
		c.fatal = err
		return
	}
	c.resume.ring.mark(first, eventID(hello), now)
	frames := [][]byte{hello}
	for _, s := range missed {
		frames = append(frames, s.frame)
	}
	for _, f := range frames {
		if !l.out.put(f) {
			c.left(l, errSlow)
			return
		}
	}
	c.log.Info("resumed", "missed", len(missed), "complete", whole, "cut", stop != nil)
	if stop != nil {
		c.cutAt(ctx, stop.sound, stop.from)
		return
	}
	for i, s := range missed { // what was missed is heard from now on
		if s.sound != nil && (i == 0 || missed[i-1].sound != s.sound) {
			s.sound.base, s.sound.device = now.Add(-s.sound.duration(s.from)), device{}
		}
	}
	c.paceAnswer(ctx)
}

// stale returns where the answer fell silent, if that was too long ago for it to go on; nil otherwise.
func (c *call) stale(missed []sent, now time.Time) *sent {
	for _, s := range missed {
		if s.sound != nil {
			if now.Sub(s.sound.base)-s.sound.duration(s.from) > patience {
				return &s
			}
			return nil
		}
	}
	if r := c.answer; r != nil && r.play != nil && r.play.sent > 0 && now.Sub(r.play.ends()) > patience {
		return &sent{sound: r.play, from: r.play.sent}
	}
	return nil
}

// worth returns what is still of use: no sound of an answer that does not go on.
func worth(missed []sent, stop *sent) []sent {
	var out []sent
	for _, s := range missed {
		if s.frame != nil && (stop == nil || s.sound == nil) {
			out = append(out, s)
		}
	}
	return out
}

// cutAt ends an answer where it was last heard.
func (c *call) cutAt(ctx context.Context, p *playback, bytes int) {
	at := p.duration(bytes)
	p.device = device{told: true, at: min(at, p.duration(p.sent)), when: time.Now()}
	p.queue, p.sent = nil, min(bytes, p.sent)
	if r := c.answer; r != nil && r.play == p {
		c.cancel(ctx, r, protocol.ClientCancelled)
		return
	}
	if it, _ := c.items.find(p.item); it != nil {
		c.cutItem(it, at)
	}
}
