package session

import (
	"context"
	"time"

	"brenda/pipeline/fault"
)

// live is a session in memory. Only its own goroutine touches the fields below gone.
type live struct {
	hub  *Hub
	id   string
	ops  chan func(*live)
	gone chan struct{}

	rec    *Record // nil until first needed
	last   uint64  // the newest turn's number
	turn   *running
	tracks map[*track]struct{}
	ending bool // the server shuts down
}

// running is the turn that runs now.
type running struct {
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when the turn is over and recorded
}

// track is a generation outside the conversation that Stop ends too.
type track struct{ cancel context.CancelCauseFunc }

func newLive(h *Hub, id string) *live {
	return &live{
		hub: h, id: id, ops: make(chan func(*live)), gone: make(chan struct{}),
		tracks: map[*track]struct{}{},
	}
}

// do hands op to the session's goroutine and waits until it has run.
func (l *live) do(ctx context.Context, op func(*live)) error {
	done := make(chan struct{})
	select {
	case l.ops <- func(l *live) { defer close(done); op(l) }:
		<-done // operations are short, and always run to their end
		return nil
	case <-l.gone:
		return errGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *live) run() {
	defer close(l.gone)
	defer l.hub.retire(l)
	idle := time.NewTimer(l.hub.cfg.Idle)
	defer idle.Stop()
	for {
		select {
		case op := <-l.ops:
			op(l)
			idle.Reset(l.hub.cfg.Idle)
		case <-idle.C:
			if l.turn == nil && len(l.tracks) == 0 {
				return
			}
			idle.Reset(l.hub.cfg.Idle)
		case <-l.hub.closing:
			l.ending = true
			l.stop(fault.ErrDraining)
			l.finishLast()
			return
		}
	}
}

// finishLast serves the operations of what still runs, so that the last turns are recorded, and then ends.
func (l *live) finishLast() {
	for l.turn != nil || len(l.tracks) > 0 {
		op := <-l.ops
		op(l)
	}
}

// stop cancels all that runs and returns how many it was.
func (l *live) stop(why error) int {
	n := 0
	if l.turn != nil {
		l.turn.cancel(why)
		n++
	}
	for t := range l.tracks {
		t.cancel(why)
		n++
	}
	return n
}

// record returns the conversation, from the store at first. A store that fails costs the memory, never the answer.
func (l *live) record(ctx context.Context) *Record {
	if l.rec != nil {
		return l.rec
	}
	rec, err := l.hub.store.Open(ctx, l.id)
	if err != nil {
		l.hub.log.Error("history not readable", "session", l.id, "error", err)
		return &Record{ID: l.id, Created: time.Now()}
	}
	if n := len(rec.Turns); n > 0 {
		l.last = max(l.last, rec.Turns[n-1].Number)
	}
	l.rec = &rec
	return l.rec
}
