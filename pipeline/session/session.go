package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// appendTimeout bounds how long a finished turn waits for the store. The answer has been heard by then.
const appendTimeout = 5 * time.Second

// Session is a handle on one conversation.
type Session struct {
	hub *Hub
	id  string
}

// Info tells of a conversation.
type Info struct {
	ID      string
	Created time.Time
	Model   string // empty means the default
	Turns   int
}

// Question is what the person said or wrote. Sound and Text together are one message.
type Question struct {
	Sound    pipeline.Sound // at InputRate; nil for none
	Text     string
	Voice    string // empty means the default, as for the next three
	Language string
	Model    string
	System   string
	Mute     bool // no speech wanted
}

// Info returns what is known of the conversation.
func (s *Session) Info(ctx context.Context) (Info, error) {
	var info Info
	err := s.hub.do(ctx, s.id, func(l *live) {
		r := l.record(ctx)
		info = Info{ID: s.id, Created: r.Created, Model: r.Model, Turns: len(r.Turns)}
	})
	return info, err
}

// SetModel makes model the one that this conversation uses.
func (s *Session) SetModel(ctx context.Context, model string) error {
	var failed error
	err := s.hub.do(ctx, s.id, func(l *live) {
		l.record(ctx).Model = model
		failed = s.hub.store.SetModel(ctx, s.id, model)
	})
	if err != nil {
		return err
	}
	return failed
}

// Record returns a copy of the conversation as it is now.
func (s *Session) Record(ctx context.Context) (Record, error) {
	var rec Record
	err := s.hub.do(ctx, s.id, func(l *live) {
		rec = *l.record(ctx)
		rec.Turns = slices.Clone(rec.Turns)
	})
	return rec, err
}

// Append adds an exchange that another transport's turn had; its number is the session's next one.
func (s *Session) Append(ctx context.Context, t Turn) error {
	var failed error
	err := s.hub.do(ctx, s.id, func(l *live) {
		l.record(ctx)
		l.last++
		t.Number = l.last
		failed = l.keep(ctx, t, s)
	})
	if err != nil {
		return err
	}
	return failed
}

// Follow has f called for each turn that somebody else adds to the conversation from now on, until stop is called. f must
// not block, and may be called once more while stop returns.
func (s *Session) Follow(f func(Turn)) (stop func()) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.follow[s.id] == nil {
		h.follow[s.id] = map[*Session]func(Turn){}
	}
	h.follow[s.id][s] = f
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.follow[s.id], s)
		if len(h.follow[s.id]) == 0 {
			delete(h.follow, s.id)
		}
	}
}

// Forget drops what is held in memory of the conversation, so that the next turn begins with what the store has.
func (s *Session) Forget(ctx context.Context) error {
	return s.hub.do(ctx, s.id, func(l *live) { l.rec = nil })
}

// Stop ends everything that runs in this session and returns how many it was.
func (s *Session) Stop(ctx context.Context) (int, error) {
	var n int
	err := s.hub.do(ctx, s.id, func(l *live) { n = l.stop(fault.ErrStopped) })
	return n, err
}

// Track registers a generation outside the conversation, so that Stop ends it. done must be called when it is over.
func (s *Session) Track(ctx context.Context) (tracked context.Context, done func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &track{cancel: cancel}
	var at *live
	if err := s.hub.do(ctx, s.id, func(l *live) { at, l.tracks[t] = l, struct{}{} }); err != nil {
		cancel(err)
		return nil, nil, err
	}
	return ctx, func() {
		cancel(nil)
		_ = at.do(context.WithoutCancel(ctx), func(l *live) { delete(l.tracks, t) }) // a session that is gone has no tracks
	}, nil
}

// Ask starts a turn, which ends the one that runs. The events end with exactly one DoneEvent, which comes when the turn is
// in the store, and the channel is then closed. The end of ctx cancels the turn. The receiver must read to the close, or
// end ctx.
func (s *Session) Ask(ctx context.Context, q Question) (<-chan pipeline.Event, error) {
	events := make(chan pipeline.Event, s.hub.cfg.EventBuffer)
	if err := s.hub.do(ctx, s.id, func(l *live) { l.begin(ctx, q, events) }); err != nil {
		return nil, err
	}
	return events, nil
}

// begin makes the next turn the running one.
func (l *live) begin(caller context.Context, q Question, events chan<- pipeline.Event) {
	rec := *l.record(caller) // the turn's own snapshot
	before := l.turn
	if before != nil {
		before.cancel(fault.ErrSuperseded)
	}
	l.last++
	ctx, cancel := context.WithCancelCause(caller)
	now := &running{cancel: cancel, ended: make(chan struct{})}
	l.turn = now
	l.hub.running.Add(1)
	if l.ending {
		cancel(fault.ErrDraining)
	}
	t := l.newTurn(q, &rec, before)
	t.ID = pipeline.TurnID(l.last)
	l.hub.wg.Go(func() { l.carryOut(ctx, caller, now, t, q, events) })
}

// carryOut runs a turn, has it recorded, and sends its last event.
func (l *live) carryOut(
	ctx, caller context.Context, now *running, t *pipeline.Turn, q Question, events chan<- pipeline.Event,
) {
	defer close(events)
	asked := time.Now()
	passing := make(chan pipeline.Event)
	account := make(chan heard, 1)
	l.hub.wg.Go(func() { account <- relay(ctx, passing, events) })
	res := t.Run(ctx, passing)
	close(passing)
	got := <-account
	now.cancel(nil)
	last := exchange(t, q, asked, res, got)
	keep := context.WithoutCancel(caller)
	_ = l.do(keep, func(l *live) { l.finish(keep, now, last) })
	l.hub.watch.TurnEnded(l.id, res)
	ev := pipeline.Event{Turn: t.ID, Kind: pipeline.DoneEvent, Result: &res}
	select {
	case events <- ev: // nearly always there is room
		return
	default:
	}
	select {
	case events <- ev:
	case <-caller.Done():
	case <-l.hub.closing:
	}
}

// heard is how much of the answer was handed to the client.
type heard struct{ written, spoken string }

// relay passes the events on and keeps account of what the client got, which is what an interrupted turn leaves in the
// history. What comes after the turn was cancelled is dropped, however slowly the client reads.
func relay(ctx context.Context, from <-chan pipeline.Event, to chan<- pipeline.Event) heard {
	var written, spoken strings.Builder
	for ev := range from {
		if ctx.Err() != nil {
			continue
		}
		select {
		case to <- ev:
		case <-ctx.Done():
			continue
		}
		switch ev.Kind {
		case pipeline.TextEvent:
			written.WriteString(ev.Text)
		case pipeline.AudioEvent:
			spoken.WriteString(ev.Source)
		case pipeline.TranscriptEvent, pipeline.CallEvent, pipeline.DoneEvent:
		}
	}
	return heard{written.String(), spoken.String()}
}

// exchange is what a turn leaves in the history: nil when nothing was said, or when it was refused for what it asked. Of a
// turn that failed the person's words stay, and what was heard of the answer.
func exchange(t *pipeline.Turn, q Question, asked time.Time, res pipeline.Result, got heard) *Turn {
	user := strings.TrimSpace(res.Transcript + "\n" + q.Text)
	if user == "" || refused(res.Err) {
		return nil
	}
	x := &Turn{Number: uint64(t.ID), At: asked.UTC(), User: user, Assistant: res.Text}
	if res.FinishReason == "cancelled" || res.Err != nil {
		x.Cut = true
		x.Assistant = strings.TrimSpace(got.spoken)
		if q.Mute {
			x.Assistant = strings.TrimSpace(got.written)
		}
	}
	return x
}

// refused tells whether a turn failed by what the client asked for: it would fail again, and again in the next prompt.
func refused(err error) bool {
	if err == nil {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Upstream, fault.Unavailable, fault.Timeout:
		return false
	default:
		return true
	}
}

// finish takes the turn off and keeps what was said.
func (l *live) finish(ctx context.Context, now *running, t *Turn) {
	defer close(now.ended)
	l.hub.running.Add(-1)
	if l.turn == now {
		l.turn = nil
	}
	if t == nil {
		return
	}
	_ = l.keep(ctx, *t, nil) // has been logged; the answer was given all the same
}

// keep puts a turn into the store, and into the memory even where the store fails, and tells everybody but by, who knows.
func (l *live) keep(ctx context.Context, t Turn, by *Session) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	err := l.hub.store.Append(ctx, l.id, t)
	if err != nil {
		l.hub.log.Error("turn not stored", "session", l.id, "turn", t.Number, "error", err)
	}
	if l.rec != nil {
		l.rec.Turns = append(l.rec.Turns, t)
	}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	for who, f := range l.hub.follow[l.id] {
		if who != by {
			f(t)
		}
	}
	return err
}
