package realtime

import (
	"context"
	"time"

	"brenda/realtime/protocol"
)

// take carries out what the reader brought.
func (c *call) take(ctx context.Context, in input) {
	if in.from != c.leg {
		return // that connection is over
	}
	if in.bad != nil {
		c.complain(in.bad, "")
		return
	}
	if in.event == nil {
		c.hear(ctx, in)
		return
	}
	if err := c.obey(ctx, in.event); err != nil {
		c.complain(err, in.event.ID())
	}
}

// obey carries out an event of the client. Its error is what the client is told.
func (c *call) obey(ctx context.Context, ev protocol.ClientEvent) error {
	switch ev := ev.(type) {
	case *protocol.SessionUpdate:
		return c.update(ev)
	case *protocol.InputAudioCommit:
		return c.commitNow(ctx)
	case *protocol.InputAudioClear:
		u := c.forget()
		c.send(protocol.InputCleared{})
		c.makeGood(ctx, u)
	case *protocol.ItemCreate:
		return c.create(ctx, ev)
	case *protocol.ItemRetrieve:
		it, err := c.named(ev.ItemID)
		if err != nil {
			return err
		}
		c.send(protocol.ItemRetrieved{Item: it.show()})
	case *protocol.ItemDelete:
		if !c.items.remove(ev.ItemID) {
			return errNoItem(ev.ItemID)
		}
		c.send(protocol.ItemDeleted{ItemID: ev.ItemID})
	case *protocol.ItemTruncate:
		return c.truncate(ctx, ev)
	case *protocol.ResponseCreate:
		return c.requested(ctx, ev)
	case *protocol.ResponseCancel:
		return c.cancelled(ctx, ev)
	case *played:
		c.played(ev)
	case *protocol.OutputAudioClear: // the client holds the sound
	}
	return nil
}

func errNoItem(id string) error {
	return protocol.Invalid(protocol.CodeItemNotFound, "item_id", "There is no item with the id '%.64s'.", id)
}

func (c *call) named(id string) (*item, error) {
	it, _ := c.items.find(id)
	if it == nil {
		return nil, errNoItem(id)
	}
	return it, nil
}

// update changes the session.
func (c *call) update(ev *protocol.SessionUpdate) error {
	next, err := c.cfg.Merge(ev.Session, c.voiced)
	if err != nil {
		return err
	}
	if err := c.names.Resolve(&next); err != nil {
		return err
	}
	next.Output.Speed = max(next.Output.Speed, slowest) // what is in effect is what the client is told
	wasManual := c.manual()
	c.cfg = next
	c.format.Store(&next.Input.Format)
	if c.manual() != wasManual {
		c.forget()
	}
	c.turns.Configure(c.turnConfig())
	c.items.version++ // what was prepared was made with the old settings
	c.send(protocol.SessionUpdated{Session: c.cfg})
	return nil
}

// forget throws away the sound that is no message yet, and returns the turn that it was, nil for none.
func (c *call) forget() *utterance {
	c.discardTurn()
	u := c.turn
	if u != nil {
		c.drop(u)
		c.turn = nil
	}
	c.mic.clear()
	return u
}

// discardTurn has turn-taking begin anew. A sound that held the answer back holds it no longer.
func (c *call) discardTurn() {
	c.turns.Discard()
	c.held = false
}

// commitNow makes a message of the sound so far.
func (c *call) commitNow(ctx context.Context) error {
	if c.mic.length() < minCommit {
		return protocol.Invalid(protocol.CodeCommitEmpty, "", "The input audio buffer is too small: it has %d ms, "+
			"and %d ms are needed.", c.mic.length().Milliseconds(), minCommit.Milliseconds())
	}
	u := c.turn
	if u == nil {
		u = &utterance{item: protocol.NewID("item"), from: c.mic.first}
	}
	c.turn, u.over = nil, true
	u.mute = true // an answer to a commit is asked for apart
	u.trace = newTrace(c.turns.Now(), c.turns.Now())
	c.listen(ctx, u, -1, func() {})
	c.commit(ctx, u)
	c.discardTurn()
	c.mic.clear()
	c.latest = u
	return nil
}

// create puts a client's item into the conversation.
func (c *call) create(ctx context.Context, ev *protocol.ItemCreate) error {
	it := &item{Item: ev.Item}
	if it.ID == "" {
		it.ID = protocol.NewID("item")
	}
	if it.Type == protocol.ItemReference {
		return protocol.Invalid(protocol.CodeInvalidValue, "item.type", "A reference is no item of a conversation.")
	}
	if old, _ := c.items.find(it.ID); old != nil {
		return protocol.Invalid(protocol.CodeInvalidValue, "item.id", "There is an item with the id '%.64s' already.", it.ID)
	}
	if err := c.checkTool(it); err != nil {
		return err
	}
	it.Status = protocol.Completed
	c.catchUp()
	sound := it.unheard()
	if sound != nil {
		it.words = newWords()
	}
	var behind *string
	if id, ok := ev.PreviousItemID.Get(); ok {
		behind = &id
	}
	if !c.add(it, behind) {
		return protocol.Invalid(protocol.CodeItemNotFound, "previous_item_id", "There is no item with the id '%.64s'.", *behind)
	}
	if sound != nil {
		c.listenTo(ctx, it, sound)
	}
	return nil
}

// unheard returns the sound of a message whose words are not known.
func (it *item) unheard() []byte {
	for i := range it.Content {
		if p := &it.Content[i]; p.Type == protocol.InputAudio && p.Transcript == nil && len(p.Audio) > 0 {
			sound := p.Audio
			p.Audio = nil
			return sound
		}
	}
	return nil
}

// listenTo has the sound that came with an item written down.
func (c *call) listenTo(ctx context.Context, it *item, recording []byte) {
	format, o := c.cfg.Input.Format, c.hearingOptions()
	it.seconds = float64(len(recording)) / float64(format.BytesPerSecond())
	c.work.Go(func() {
		m, in := microphone{vad: c.srv.engines.VAD}, input{}
		m.hear(ctx, &in, format, recording)
		text, err := "", in.err
		if err == nil {
			text, err = c.recognize(ctx, speech{pcm: in.pcm, probs: in.probs}, o)
		}
		c.post(func(context.Context) { c.settle(it, text, err) })
	})
}

// truncate takes the client's word on how much of an answer was heard.
func (c *call) truncate(ctx context.Context, ev *protocol.ItemTruncate) error {
	it, err := c.named(ev.ItemID)
	if err != nil {
		return err
	}
	if it.Role != protocol.Assistant || ev.ContentIndex != shownPart {
		return protocol.Invalid(protocol.CodeInvalidValue, "content_index", "Only the sound of an answer can be cut.")
	}
	if r := c.answer; r != nil && r.item == it {
		c.cancel(ctx, r, protocol.ClientCancelled)
	}
	c.cutItem(it, time.Duration(ev.AudioEndMs)*time.Millisecond)
	return nil
}

// cutItem leaves of an answer what was heard of it.
func (c *call) cutItem(it *item, at time.Duration) {
	if n := len(it.chunks); n > 0 {
		p := playback{format: it.format}
		whole := p.duration(it.chunks[n-1].end)
		if at < whole {
			text := heardOf(it.chunks, p.bytes(at))
			it.setText(text)
			it.cut, it.Status = true, protocol.Incomplete
			c.keep.heard(it.ID, text)
		}
		at = min(at, whole)
	}
	c.items.version++
	c.send(protocol.ItemTruncated{ItemID: it.ID, ContentIndex: shownPart, AudioEndMs: int(at.Milliseconds())})
}

// requested begins the response that the client asks for.
func (c *call) requested(ctx context.Context, ev *protocol.ResponseCreate) error {
	if c.cfg.Type == protocol.Transcription {
		return protocol.Invalid("invalid_session_type", "", "A transcription session gives no answers.")
	}
	cfg, err := c.cfg.Response(ev.Response)
	if err != nil {
		return err
	}
	if cfg.Output.Voice, err = c.names.ResolveVoice(cfg.Output.Voice); err != nil {
		return err
	}
	for _, it := range cfg.Input {
		if it.Type == protocol.ItemReference {
			if _, err := c.named(it.ID); err != nil {
				return err
			}
		}
	}
	switch {
	case !cfg.OutOfBand && c.follow(cfg):
		return nil
	case !cfg.OutOfBand && c.answer != nil:
		return protocol.Invalid(protocol.CodeActiveResponse, "",
			"Conversation already has an active response in progress: %s. Wait until the response is finished before "+
				"creating a new one.", c.answer.id)
	case cfg.OutOfBand && len(c.side) >= maxSide:
		return protocol.Invalid(protocol.CodeActiveResponse, "",
			"At most %d responses out of band can be in progress at the same time.", maxSide)
	}
	c.begin(ctx, cfg, plan{})
	return nil
}

// cancelled ends the response that the client wants ended.
func (c *call) cancelled(ctx context.Context, ev *protocol.ResponseCancel) error {
	r := c.answer
	if ev.ResponseID != "" && (r == nil || r.id != ev.ResponseID) {
		r = c.side[ev.ResponseID]
	}
	if r == nil || r.closing {
		return protocol.Invalid(protocol.CodeCancelInactive, "", "Cancellation failed: no active response found.")
	}
	c.held = false
	c.cancel(ctx, r, protocol.ClientCancelled)
	return nil
}
