package realtime

import "context"

// A sound that begins a turn takes the answer from what was said before it: an answer that is being prepared is
// cancelled, one that waits is dropped, and a turn whose words are not known yet is to be answered together with the
// new one. When the sound turns out to be a cough, the person still waits.

// interruptible tells whether speech ends an answer.
func (c *call) interruptible() bool {
	t := c.cfg.Input.TurnDetection
	return t != nil && t.InterruptResponse
}

// owes tells whether a turn that begins now takes the place of an answer of which nothing has been heard. One that has
// called functions goes on with the client, who has to ask for the next.
func (c *call) owes() bool {
	if !c.answers() {
		return false
	}
	r := c.answer
	return c.after != nil || r != nil && c.interruptible() && !r.closing && !r.called() && (r.play == nil || r.play.sent == 0)
}

// paid forgets what is owed: a response begins, which answers all of it.
func (c *call) paid() {
	for _, u := range []*utterance{c.turn, c.latest} {
		if u != nil {
			u.before, u.owed = nil, false
		}
	}
}

// makeGood has answered what lost its answer to a turn that came to nothing.
func (c *call) makeGood(ctx context.Context, u *utterance) {
	if !c.answers() {
		return
	}
	for ; u != nil; u = u.before {
		if u.message != nil {
			u.message.noise = true
		}
		before := u.before
		switch {
		case u.owed:
			u.before = nil
			c.reply(ctx, nil)
			return
		case before == nil:
			return
		case before.waits():
			before.mute = false
			c.expects()
			return
		case c.spoke(before.message):
			u.before = nil
			c.reply(ctx, before.trace)
			return
		}
	}
}

// spoke tells whether a message of the conversation has words, or would have them if it could be read.
func (c *call) spoke(it *item) bool {
	there, _ := c.items.find(it.ID)
	return there == it && (it.text() != "" || it.words.err != nil)
}
