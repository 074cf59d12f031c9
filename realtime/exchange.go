package realtime

import (
	"context"
	"strings"
	"sync"
	"time"

	"brenda/pipeline/session"
	"brenda/realtime/protocol"
)

// exchange is what a response leaves in the history: what was said since the answer before, what the functions gave that
// it called meanwhile, and the answer as it was heard. Of a response that failed the person's words stay.
func (c *call) exchange(r *response, e ending) (session.Turn, bool) {
	failed := e.status == protocol.Failed
	switch {
	case r.cfg.OutOfBand, r.item == nil && !failed:
		return session.Turn{}, false
	case failed && e.err != nil && e.err.Type == protocol.InvalidRequest: // it would fail again in the next prompt
		return session.Turn{}, false
	}
	x := c.unkept(r.item)
	x.At = r.began.UTC()
	if r.item != nil {
		r.item.kept = true
		x.Assistant, x.Cut = strings.TrimSpace(r.item.text()), r.item.cut
	}
	return x, x.User != "" || x.Assistant != ""
}

// unkept returns what the person said, and what came of functions, since the last answer and before this item, as far as
// it is not in the history yet. Then it counts as being there.
func (c *call) unkept(answer *item) session.Turn {
	var said []string
	var calls []session.Call
	for _, it := range c.items.list {
		if it == answer {
			break
		}
		text := it.text()
		switch {
		case it.Role == protocol.Assistant && text != "":
			said, calls, it.kept = nil, nil, true
		case it.kept:
		case it.Role == protocol.User && text != "":
			said, it.kept = append(said, text), true
		case it.Type == protocol.FunctionCall && it.Status == protocol.Completed:
			if out := c.items.result(it.CallID); out != nil {
				calls = append(calls, session.Call{Name: it.Name, Arguments: it.Arguments, Output: out.Output})
				it.kept = true
			}
		}
	}
	return session.Turn{User: strings.Join(said, "\n"), Calls: calls}
}

// result returns the item with the result of a call, nil for none.
func (l *items) result(call string) *item {
	for _, it := range l.list {
		if it.Type == protocol.FunctionCallOutput && it.CallID == call {
			return it
		}
	}
	return nil
}

// keepRest puts into the history what was said when the call ended, which no response will take there.
func (c *call) keepRest(ctx context.Context) {
	c.keep.flush(ctx, c)
	if c.cfg.Type != protocol.Realtime {
		return
	}
	var x session.Turn
	if r := c.answer; r != nil && !r.closing && r.item != nil {
		text := r.text.String()
		if r.play != nil {
			text = r.play.heard(r.play.position(time.Now()))
		}
		r.item.setText(text)
		x = c.unkept(r.item)
		x.Assistant, x.Cut, r.item.kept = strings.TrimSpace(text), true, true
	} else {
		x = c.unkept(nil)
	}
	if x.User == "" && x.Assistant == "" {
		return
	}
	x.At = time.Now().UTC()
	c.keep.add(ctx, c, x, func(context.Context) {})
}

// others are turns that came into the conversation by another way than this call.
type others struct {
	mu    sync.Mutex
	turns []session.Turn
}

func (o *others) put(t session.Turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turns = append(o.turns, t)
}

func (o *others) take() []session.Turn {
	o.mu.Lock()
	defer o.mu.Unlock()
	turns := o.turns
	o.turns = nil
	return turns
}

// recall reads what the conversation was before this call. It must be followed already: a turn that is added meanwhile is
// then there twice at most, and counted once.
func (c *call) recall(ctx context.Context) {
	rec, err := c.talk.Record(ctx)
	if err != nil {
		c.log.Warn("no history", "error", err)
		return
	}
	c.past = rec.Turns
	last := uint64(0)
	if n := len(rec.Turns); n > 0 {
		last = rec.Turns[n-1].Number
	}
	for _, t := range c.others.take() {
		if t.Number > last {
			c.others.put(t)
		}
	}
}

// catchUp makes items of the turns that REST, or another call, has added to the conversation.
func (c *call) catchUp() {
	for _, t := range c.others.take() {
		c.insertPast(protocol.User, protocol.InputText, t.User, false)
		c.insertPast(protocol.Assistant, protocol.OutputText, t.Assistant, t.Cut)
	}
}

func (c *call) insertPast(role, kind, text string, cut bool) {
	if text == "" {
		return
	}
	c.add(&item{kept: true, cut: cut, Item: protocol.Item{
		ID: protocol.NewID("item"), Type: protocol.Message, Role: role, Status: protocol.Completed,
		Content: []protocol.Content{{Type: kind, Text: text}},
	}}, nil)
}
