package realtime

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"brenda/realtime/protocol"
)

// drop cuts the connection without a word.
func (p *person) drop() { p.line.Close(nil) }

// last is the place that the client has got to.
func (p *person) last() place {
	got := p.line.events()
	return place{event: got[len(got)-1].str("event_id")}
}

// back comes back on another connection: everything up to a place has arrived.
func (p *person) back(at place) {
	p.t.Helper()
	got := p.line.events()
	n := slices.IndexFunc(got, func(e event) bool { return e.str("event_id") == at.event })
	p.past = append(p.past, got[:n+1]...)
	p.line, p.read = newPipe(protocol.GA), 0
	l := newLeg(p.line)
	if !p.call.post(func(ctx context.Context) { p.call.rejoin(ctx, l, at) }) {
		p.t.Fatal("the call is over")
	}
	go p.call.carry(p.t.Context(), l)
	e := p.wait("session.resumed")
	if e.str("resume", "token") == "" || e.get("resume", "seconds") != 60.0 || e.get("complete") != true {
		p.t.Errorf("got %v", e.body)
	}
}

func sounds(events []event) (bytes int) {
	for _, e := range events {
		bytes += len(e.str("delta")) / 4 * 3 * b2i(e.kind == "response.output_audio.delta")
	}
	return bytes
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestResumeInMidReply drops the line while Brenda speaks: a client that is back soon hears all of the answer, in order.
func TestResumeInMidReply(t *testing.T) {
	whole := 0
	scene(t, script{}, func(p *person) {
		p.types("Quel temps fait-il ?")
		p.wait("response.done")
		whole = sounds(p.line.events())
	})
	scene(t, script{resume: true}, func(p *person) {
		p.types("Quel temps fait-il ?")
		p.wait("response.output_audio.delta")
		time.Sleep(time.Second)
		p.drop()
		time.Sleep(1500 * time.Millisecond)
		p.back(p.last())
		p.wait("response.done")
		if n := sounds(append(p.past, p.line.events()...)); n != whole {
			t.Errorf("%d bytes of sound came, %d are the answer", n, whole)
		}
		if turns := p.store.turns("me"); len(turns) != 1 || turns[0].Cut || turns[0].Assistant != usualAnswer {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// TestResumeReplays has the client miss what the dead connection took: it gets it again, once, in order.
func TestResumeReplays(t *testing.T) {
	scene(t, script{resume: true}, func(p *person) {
		p.types("Quel temps fait-il ?")
		p.wait("response.output_audio.delta")
		time.Sleep(500 * time.Millisecond)
		got := p.line.events()
		at := slices.IndexFunc(got, func(e event) bool { return e.kind == "response.content_part.added" })
		old := p.line
		p.back(place{event: got[at].str("event_id")}) // the server has not noticed that the line is dead
		select {
		case <-old.gone:
		case <-time.After(time.Minute):
			t.Error("the old connection was not closed")
		}
		missed := got[at+1:]
		time.Sleep(100 * time.Millisecond)
		again := p.line.events()[1:]
		for i, e := range missed {
			if i >= len(again) || again[i].str("event_id") != e.str("event_id") {
				t.Fatalf("missed %s, got %s", story(missed), story(again))
			}
		}
		p.wait("response.done")
		if turns := p.store.turns("me"); len(turns) != 1 || turns[0].Cut {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// TestResumeAfterALongSilence finds the answer cut where it was last heard.
func TestResumeAfterALongSilence(t *testing.T) {
	scene(t, script{resume: true}, func(p *person) {
		p.types("Quel temps fait-il ?")
		p.wait("response.output_audio.delta")
		time.Sleep(2 * time.Second)
		p.drop()
		time.Sleep(20 * time.Second)
		p.back(p.last())
		done := p.wait("response.done")
		text := done.str("response", "output", "content", "transcript")
		if done.str("response", "status") != "cancelled" || text == "" || len(text) >= len(usualAnswer) ||
			!strings.HasPrefix(usualAnswer, text) {
			t.Errorf("the answer ended %v with %q", done.str("response", "status"), text)
		}
		if sounds(p.line.events()) > 0 {
			t.Error("old sound came")
		}
		time.Sleep(2 * grace)
		if turns := p.store.turns("me"); len(turns) != 1 || !turns[0].Cut || turns[0].Assistant != text {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// TestResumeToAWaitingAnswer drops the line when the person has just finished: the answer is there when it comes back.
func TestResumeToAWaitingAnswer(t *testing.T) {
	scene(t, script{resume: true, words: []string{"Quel temps fait-il ?"}}, func(p *person) {
		p.quiet(500)
		p.says(0, 1200)
		p.drop()
		time.Sleep(10 * time.Second)
		p.back(p.last())
		p.wait("response.output_audio.delta")
		if e := p.wait("response.done"); e.str("response", "status") != "completed" {
			t.Errorf("got %v", e.body)
		}
	})
}

// TestLateResume has nobody come back: the session ends after a minute, and the history keeps what was heard.
func TestLateResume(t *testing.T) {
	scene(t, script{resume: true}, func(p *person) {
		p.types("Quel temps fait-il ?")
		p.wait("response.output_audio.delta")
		time.Sleep(2 * time.Second)
		p.drop()
		gone := time.Now()
		p.srv.tickets.mu.Lock()
		token := p.srv.tickets.of[p.call]
		p.srv.tickets.mu.Unlock()
		if token == "" {
			t.Error("no token was given")
		}
		<-p.over
		if d := time.Since(gone); d < resumeWithin || d > resumeWithin+2*time.Second {
			t.Errorf("it ended after %v", d)
		}
		if p.srv.tickets.redeem(token, p.call.resume.who) != nil {
			t.Error("the token is still good")
		}
		if turns := p.store.turns("me"); len(turns) != 1 || !turns[0].Cut || turns[0].Assistant == "" {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// TestGoodbyeIsNoDrop ends the session at once when its client says goodbye.
func TestGoodbyeIsNoDrop(t *testing.T) {
	h := newHouse(t, 1)
	conn := h.dial(t, "?resume=1", nil)
	until(t, conn, "session.created")
	conn.Close(websocket.StatusNormalClosure, "")
	for h.srv.Calls() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// TestRandomDrops loses the line 200 times, at any moment, and comes back each time: no event is lost, none comes twice.
func TestRandomDrops(t *testing.T) {
	scene(t, script{resume: true, words: []string{"Quel temps fait-il ?", "Et demain ?"}}, func(p *person) {
		r := rand.New(rand.NewPCG(7, 11))
		for range 200 {
			switch r.IntN(4) {
			case 0:
				p.types("Quel temps fait-il ?")
			case 1:
				p.says(r.IntN(2), 600)
			case 2:
				p.quiet(700)
			}
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
			at := p.last()
			if r.IntN(2) == 0 { // the newest events were on their way
				got := p.line.events()
				at.event = got[r.IntN(len(got))].str("event_id")
			}
			if r.IntN(3) > 0 {
				p.drop()
				time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
			}
			p.back(at)
		}
		p.quiet(20_000)
		all := append(p.past, p.line.events()...)
		if left := open(all); len(left) > 0 {
			t.Errorf("%d responses never ended", len(left))
		}
	})
}

// TestResumeOverSockets goes through the front door.
func TestResumeOverSockets(t *testing.T) {
	h := newHouse(t, 3)
	mine := http.Header{"Authorization": {"Bearer mine"}}
	conn := h.dial(t, "?resume=1", mine)
	first := until(t, conn, "session.created")
	token, last := first.str("resume", "token"), first.str("event_id")
	if token == "" {
		t.Fatalf("got %v", first.body)
	}
	write(t, conn, `{"type":"conversation.item.create","item":{"id":"item_mine","type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}}`)
	until(t, conn, "conversation.item.done")
	conn.CloseNow()
	refused := func(query string, header http.Header, status int, protocols ...string) {
		t.Helper()
		_, resp, err := websocket.Dial(t.Context(), h.url+query, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
		if err == nil || resp == nil || resp.StatusCode != status {
			t.Errorf("%s: %v, %v", query, resp, err)
		}
	}
	path := fmt.Sprintf("?resume=%s&last=%s", token, last)
	refused("?resume=nonsense&last="+last, mine, 404)
	refused("?resume="+token, mine, 400)
	refused(path+"&sound=x", mine, 400)
	refused(path, http.Header{"Authorization": {"Bearer another"}}, 404)
	refused(path, mine, 400, binaryProtocol)

	conn = h.dial(t, path, mine)
	resumed := until(t, conn, "session.resumed")
	if resumed.get("missed") != 2.0 || resumed.get("complete") != true || resumed.str("resume", "token") == token {
		t.Errorf("got %v", resumed.body)
	}
	if id := until(t, conn, "conversation.item.done").str("item", "id"); id != "item_mine" {
		t.Errorf("missed was %s", id)
	}
	refused(path, mine, 404) // a token is good for once
	write(t, conn, `{"type":"conversation.item.retrieve","item_id":"item_mine"}`)
	until(t, conn, "conversation.item.retrieved")
	conn.Close(websocket.StatusNormalClosure, "")
	for h.srv.Calls() > 0 {
		time.Sleep(time.Millisecond)
	}
	refused("?resume="+resumed.str("resume", "token")+"&last="+last, mine, 404)
	plain := h.dial(t, "", nil)
	if e := until(t, plain, "session.created"); e.get("resume") != nil {
		t.Errorf("a client that did not ask got %v", e.body)
	}
}

func TestRingIsBounded(t *testing.T) {
	var r ring
	p := &playback{}
	now := time.Now()
	for i := range 3000 {
		r.add(sent{id: fmt.Sprint("event_", i), frame: make([]byte, 100), at: now})
		r.add(sent{frame: make([]byte, 1000), sound: p, from: i, at: now})
	}
	if len(r.list) > ringEvents || r.bytes > ringBytes {
		t.Errorf("%d events, %d bytes", len(r.list), r.bytes)
	}
	total := 0
	for _, s := range r.list {
		total += len(s.frame)
	}
	if total != r.bytes {
		t.Errorf("%d bytes are counted as %d", total, r.bytes)
	}
	if _, whole := r.after("event_1", 0, false); whole {
		t.Error("an event that is gone was found")
	}
	if at, whole := r.after("event_2999", 0, false); !whole || at != len(r.list)-1 {
		t.Errorf("%d of %d, %v", at, len(r.list), whole)
	}
	if at, ok := r.due(); !ok || !at.Equal(now.Add(soundAge)) {
		t.Errorf("sound is dropped at %v", at)
	}
	r.mark(len(r.list)-1, "event_mark", now)
	if r.trim(now.Add(soundAge)); r.bytes == 0 || r.bytes > 100*(len(r.list)/2) {
		t.Errorf("%d bytes are left of %d events", r.bytes, len(r.list))
	}
	if _, ok := r.due(); ok {
		t.Error("there is more to drop")
	}
	if r.trim(now.Add(2 * eventAge)); len(r.list) != 0 || r.bytes != 0 {
		t.Errorf("%d events are left", len(r.list))
	}
}

func TestEventID(t *testing.T) {
	frame, err := (&protocol.Encoder{}).Encode(protocol.InputCleared{})
	var m map[string]string
	if err != nil || json.Unmarshal(frame, &m) != nil || eventID(frame) != m["event_id"] || eventID([]byte{1, '"'}) != "" {
		t.Errorf("%s: %q", frame, eventID(frame))
	}
}
