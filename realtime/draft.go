package realtime

import (
	"context"
	"errors"
	"strings"

	"brenda/pipeline/fault"
	"brenda/pipeline/hearing"
	"brenda/pipeline/schedule"
	"brenda/realtime/protocol"
)

// draft is what is prepared in a pause, before it is known that the turn is over.
type draft struct {
	rev     int
	cancel  context.CancelCauseFunc
	urgent  func() // makes its work foreground work
	done    bool   // text and err are known
	text    string
	err     error
	answer  *response // held back; nil for none
	version int       // of the items that the answer was made from
}

// drop throws away what was prepared for a turn.
func (c *call) drop(u *utterance) {
	if d := u.draft; d != nil {
		u.draft = nil
		d.cancel(errUnsaid)
		c.discard(d)
	}
}

// errUnsaid ends work on a pause after which the person went on.
var errUnsaid = errors.New("the person went on")

// waits tells whether the words of a turn are not known yet.
func (u *utterance) waits() bool { return u.draft != nil && !u.draft.done }

// listen has the sound of the turn written down, and judged.
func (c *call) listen(ctx context.Context, u *utterance, rev int, urgent func()) {
	c.drop(u)
	ctx, cancel := context.WithCancelCause(ctx)
	d := &draft{rev: rev, cancel: cancel, urgent: urgent}
	u.draft = d
	said := c.mic.from(u.from)
	u.seconds = said.seconds()
	if detector := c.srv.engines.Turn; detector != nil && !u.over && c.semantic() {
		c.work.Go(func() {
			p, err := detector.Finished(ctx, said.pcm)
			if err != nil {
				return // silence and words decide alone
			}
			c.post(func(context.Context) { c.turns.Judged(rev, p) })
		})
	}
	o := c.hearingOptions()
	c.work.Go(func() {
		text, err := c.recognize(ctx, said, o)
		c.post(func(ctx context.Context) { c.transcribed(ctx, u, d, text, err) })
	})
}

// semantic tells whether words and melody count for the end of a turn.
func (c *call) semantic() bool {
	t := c.cfg.Input.TurnDetection
	return t != nil && t.Type == protocol.SemanticVAD
}

func (c *call) hearingOptions() hearing.Options {
	o := hearing.Options{Language: c.srv.cfg.Language, Quick: true}
	if t := c.cfg.Input.Transcription; t != nil {
		switch {
		case t.Language != "":
			o.Language = t.Language
		case len(t.Languages) == 1:
			o.Language = t.Languages[0]
		case len(t.Languages) > 1:
			o.Language = "auto"
		}
		if t.Model != c.names.Transcriber {
			o.Model = t.Model
		}
		o.Prompt = strings.TrimSpace(t.Prompt + " " + strings.Join(t.Keywords, ", "))
	}
	return o
}

// recognize writes a stretch of sound down. It runs beside the call.
func (c *call) recognize(ctx context.Context, s speech, o hearing.Options) (string, error) {
	var texts []string
	for _, u := range s.utterances() {
		t, err := c.srv.engines.Ear.Recognize(ctx, u, o)
		switch {
		case err == nil:
			texts = append(texts, t.Text)
		case !silent(err):
			return "", err
		}
	}
	return strings.TrimSpace(strings.Join(texts, " ")), nil
}

// silent tells whether an error only says that nobody spoke.
func silent(err error) bool { f := fault.As(err); return f != nil && f.Code == "no_speech" }

// transcribed takes the words of a draft.
func (c *call) transcribed(ctx context.Context, u *utterance, d *draft, text string, err error) {
	if u.draft != d {
		return // the person went on
	}
	if errors.Is(err, fault.ErrPreempted) {
		u.draft = nil
		if u.over {
			c.listen(ctx, u, d.rev, func() {})
		}
		return
	}
	if u.echo && text != "" && (french{}).Echo(text, c.said) {
		c.echoes, text = true, "" // an answer too short to be known for an echo while it was said
	}
	d.done, d.text, d.err = true, text, err
	u.trace.mark(&u.trace.transcript)
	if u.over {
		c.conclude(ctx, u)
		return
	}
	c.apply(ctx, c.turns.Heard(d.rev, text))
	if text != "" && c.answers() && c.answer == nil && u.draft == d {
		c.prepare(ctx, u, d)
	}
}

// answers tells whether a turn is answered without being asked to.
func (c *call) answers() bool {
	t := c.cfg.Input.TurnDetection
	return t != nil && t.CreateResponse && c.cfg.Type == protocol.Realtime
}

// prepare begins the answer to a turn that may be over, and holds it back.
func (c *call) prepare(ctx context.Context, u *utterance, d *draft) {
	cfg, err := c.cfg.Response(protocol.ResponsePatch{})
	if err != nil {
		return
	}
	c.catchUp()
	ctx, urgent := schedule.Later(ctx)
	before := d.urgent
	d.urgent = func() { before(); urgent() }
	d.version = c.items.version
	d.answer = c.respond(ctx, cfg, plan{user: d.text, trace: u.trace, held: true})
}

// conclude has a turn that was taken answered, now that its words are known.
func (c *call) conclude(ctx context.Context, u *utterance) {
	d := u.draft
	u.draft = nil
	c.settle(u.message, d.text, d.err)
	switch {
	case u.mute || !c.answers() || d.text == "" && d.err == nil:
		c.discard(d)
		c.served()
		if !u.mute && d.text == "" {
			c.makeGood(ctx, u)
		}
	case d.answer != nil && d.answer.held && d.version == c.items.version && c.answer == nil:
		c.release(ctx, d.answer)
	default:
		c.discard(d)
		c.reply(ctx, u.trace)
	}
}

// discard ends an answer that was prepared in vain.
func (c *call) discard(d *draft) {
	if d.answer != nil {
		c.abandon(d.answer, errUnsaid)
	}
}

// settle gives a message of sound its words, and tells the client. A message that was deleted meanwhile gets them too: a
// response may wait for them.
func (c *call) settle(it *item, text string, err error) {
	if err == nil {
		it.setText(text)
	}
	it.words.known(text, err)
	id := it.ID
	if there, _ := c.items.find(id); there != it || c.cfg.Input.Transcription == nil {
		return
	}
	if err != nil {
		e := protocol.FromFault(err)
		c.send(protocol.TranscriptionFailed{ItemID: id, Error: protocol.TranscriptionError{
			Type: e.Type, Code: e.Code, Message: e.Message, Param: e.Param,
		}})
		return
	}
	if text != "" {
		c.send(protocol.TranscriptionDelta{ItemID: id, Delta: text})
	}
	c.send(protocol.TranscriptionCompleted{ItemID: id, Transcript: text, Usage: protocol.DurationUsage(it.seconds)})
}
