package realtime

import (
	"strings"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

const spokenAnswer = "response.created response.output_item.added conversation.item.added response.content_part.added "

func TestTextTurn(t *testing.T) {
	scene(t, script{}, func(p *person) {
		n := p.read
		p.types("Quel temps fait-il ?")
		done := p.wait("response.done")
		got := p.since(n)
		want := "conversation.item.added conversation.item.done " + spokenAnswer
		if !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s…", got, want)
		}
		end := "response.output_audio.done response.output_audio_transcript.done response.content_part.done " +
			"response.output_item.done conversation.item.done response.done(completed) rate_limits.updated"
		if !strings.HasSuffix(got, end) {
			t.Errorf("got  %s\nwant …%s", got, end)
		}
		if s := done.str("response", "output", "content", "transcript"); s != usualAnswer {
			t.Errorf("the answer is %q", s)
		}
		if done.str("response", "metadata", "first_audio") == "" {
			t.Errorf("no times in %v", done.get("response", "metadata"))
		}
		turns := p.store.turns("me")
		if len(turns) != 1 || turns[0].User != "Quel temps fait-il ?" || turns[0].Assistant != usualAnswer || turns[0].Cut {
			t.Errorf("the history has %+v", turns)
		}
		ms := p.llm.last().Messages
		if len(ms) != 2 || ms[0].Content != "Tu es Brenda." || ms[1].Content != "Quel temps fait-il ?" {
			t.Errorf("the prompt was %+v", ms)
		}
	})
}

func TestWrittenAnswer(t *testing.T) {
	scene(t, script{update: `{"type":"realtime","output_modalities":["text"]}`}, func(p *person) {
		n := p.read
		p.types("Bonjour")
		p.wait("response.done")
		got := p.since(n)
		if strings.Contains(got, "audio") {
			t.Errorf("got %s", got)
		}
		if !strings.Contains(got, "response.output_text.delta* response.output_text.done response.content_part.done") {
			t.Errorf("got %s", got)
		}
	})
}

func TestSecondResponseIsRefused(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.created")
		p.send(`{"type":"response.create","event_id":"mine"}`)
		e := p.wait("error")
		if e.str("error", "code") != "conversation_already_has_active_response" || e.str("error", "event_id") != "mine" {
			t.Errorf("got %v", e.body)
		}
		p.wait("response.done")
	})
}

func TestOutOfBand(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.created")
		p.send(`{"type":"response.create","response":{"conversation":"none","output_modalities":["text"],"metadata":{"topic":"x"},` +
			`"instructions":"Classe.","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"salut"}]}]}}`)
		e := p.wait("response.done")
		if e.str("response", "metadata", "topic") != "x" || e.get("response", "conversation_id") != nil {
			t.Errorf("got %v", e.body)
		}
		if ms := p.llm.last().Messages; len(ms) != 2 || ms[0].Content != "Classe." || ms[1].Content != "salut" {
			t.Errorf("the prompt was %+v", ms)
		}
		p.wait("response.done")
		if turns := p.store.turns("me"); len(turns) != 1 {
			t.Errorf("the history has %+v", turns)
		}
	})
}

func TestCancel(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.send(`{"type":"response.cancel","event_id":"early"}`)
		if e := p.wait("error"); e.str("error", "code") != "response_cancel_not_active" || e.str("error", "event_id") != "early" {
			t.Errorf("got %v", e.body)
		}
		p.types("Bonjour")
		p.wait("response.output_audio.delta")
		time.Sleep(time.Second)
		p.send(`{"type":"response.cancel"}`)
		e := p.wait("response.done")
		if e.str("response", "status") != "cancelled" || e.str("response", "status_details", "reason") != "client_cancelled" {
			t.Errorf("got %v", e.body)
		}
		heard := e.str("response", "output", "content", "transcript")
		if heard == "" || !strings.HasPrefix(usualAnswer, heard) || len(heard) > 40 {
			t.Errorf("after a good second %q was heard", heard)
		}
		p.send(`{"type":"response.cancel"}`)
		p.wait("error")
		time.Sleep(2 * time.Second)
		turns := p.store.turns("me")
		if len(turns) != 1 || !turns[0].Cut || turns[0].Assistant != heard {
			t.Errorf("the history has %+v", turns)
		}
	})
}

func TestTruncate(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		item := p.wait("response.output_item.added").str("item", "id")
		p.wait("response.output_audio.delta")
		time.Sleep(2 * time.Second)
		p.send(`{"type":"response.cancel"}`)
		p.wait("response.done")
		p.send(`{"type":"conversation.item.truncate","item_id":"` + item + `","content_index":0,"audio_end_ms":900}`)
		if e := p.wait("conversation.item.truncated"); e.get("audio_end_ms").(float64) != 900 {
			t.Errorf("got %v", e.body)
		}
		p.send(`{"type":"conversation.item.retrieve","item_id":"` + item + `"}`)
		const heard = "Il fait beau" // 15 letters a second
		if e := p.wait("conversation.item.retrieved"); e.str("item", "content", "transcript") != heard {
			t.Errorf("got %v", e.body)
		}
		time.Sleep(2 * time.Second)
		if turns := p.store.turns("me"); len(turns) != 1 || turns[0].Assistant != heard || !turns[0].Cut {
			t.Errorf("the history has %+v", turns)
		}
		p.types("Et demain ?")
		p.wait("response.created")
		time.Sleep(100 * time.Millisecond)
		if ms := p.llm.last().Messages; len(ms) != 4 || ms[2].Content != heard+" …" {
			t.Errorf("the prompt was %+v", ms)
		}
	})
}

func TestItems(t *testing.T) {
	scene(t, script{}, func(p *person) {
		create := func(id, behind string) {
			p.send(`{"type":"conversation.item.create","previous_item_id":` + behind + `,"item":{"id":"` + id +
				`","type":"message","role":"user","content":[{"type":"input_text","text":"` + id + `"}]}}`)
		}
		create("b", "null")
		create("a", `"root"`)
		if e := p.wait("conversation.item.added"); e.get("previous_item_id") != nil {
			t.Errorf("got %v", e.body)
		}
		create("c", `"a"`)
		p.wait("conversation.item.added")
		if e := p.wait("conversation.item.added"); e.str("previous_item_id") != "a" {
			t.Errorf("got %v", e.body)
		}
		for _, c := range []struct{ send, param string }{
			{`{"type":"conversation.item.create","previous_item_id":"z","item":{"type":"message","role":"user","content":[]}}`, "previous_item_id"},
			{`{"type":"conversation.item.create","item":{"id":"a","type":"message","role":"user","content":[]}}`, "item.id"},
			{`{"type":"conversation.item.retrieve","item_id":"z"}`, "item_id"},
			{`{"type":"conversation.item.delete","item_id":"z"}`, "item_id"},
			{`{"type":"conversation.item.truncate","item_id":"z","content_index":0,"audio_end_ms":1}`, "item_id"},
			{`{"type":"conversation.item.truncate","item_id":"a","content_index":0,"audio_end_ms":1}`, "content_index"},
			{`{"type":"input_audio_buffer.append","audio":"***"}`, "audio"},
			{`{"type":"input_audio_buffer.commit"}`, ""},
			{`{"type":"nonsense"}`, "type"},
			{`[]`, ""},
			{`{`, ""},
		} {
			p.send(c.send)
			if e := p.wait("error"); e.str("error", "param") != c.param || e.str("error", "type") != "invalid_request_error" {
				t.Errorf("%s: got %v", c.send, e.body)
			}
		}
		p.send(`{"type":"conversation.item.delete","item_id":"c"}`)
		p.wait("conversation.item.deleted")
		p.send(`{"type":"response.create"}`)
		p.wait("response.done")
		if ms := p.llm.last().Messages; len(ms) != 2 || ms[1].Content != "a\nb" {
			t.Errorf("the prompt was %+v", ms)
		}
	})
}

func TestFailedResponse(t *testing.T) {
	fail := func(pipeline.Prompt) (string, error) {
		return "", fault.New(fault.Unavailable, "overloaded", "too much to do")
	}
	scene(t, script{llm: fail}, func(p *person) {
		p.types("Bonjour")
		e := p.wait("response.done")
		if e.str("response", "status") != "failed" || e.str("response", "status_details", "error", "code") != "overloaded" {
			t.Errorf("got %v", e.body)
		}
		p.send(`{"type":"response.create"}`)
		p.wait("response.done")
		if turns := p.store.turns("me"); len(turns) != 1 || turns[0].User != "Bonjour" || turns[0].Assistant != "" {
			t.Errorf("the history has %+v", turns)
		}
	})
	scene(t, script{voice: evenVoice{fail: fault.New(fault.Unavailable, "engine_missing", "no voice")}}, func(p *person) {
		p.types("Bonjour")
		if e := p.wait("response.done"); e.str("response", "status") != "failed" {
			t.Errorf("got %v", e.body)
		}
	})
}

func TestLongestAnswer(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.send(`{"type":"response.create","response":{"max_output_tokens":5}}`)
		e := p.wait("response.done")
		if e.str("response", "status") != "incomplete" || e.str("response", "status_details", "reason") != "max_output_tokens" {
			t.Errorf("got %v", e.body)
		}
	})
}

func TestStopByREST(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.output_audio.delta")
		if n, err := p.hub.Session("me").Stop(p.t.Context()); n != 1 || err != nil {
			t.Errorf("%d stopped, %v", n, err)
		}
		if e := p.wait("response.done"); e.str("response", "status") != "cancelled" {
			t.Errorf("got %v", e.body)
		}
	})
}

func TestPacing(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.done")
		var sent time.Duration
		var first time.Time
		for _, e := range p.line.events() {
			if e.kind != "response.output_audio.delta" {
				continue
			}
			if first.IsZero() {
				first = e.at
			}
			sent += time.Duration(len(e.str("delta"))*3/4) * time.Second / (2 * 24000)
			if ahead := sent - e.at.Sub(first); ahead > burst+time.Millisecond {
				t.Fatalf("%v of sound were sent %v before their time", sent, ahead)
			}
		}
		if sent < 5*time.Second {
			t.Errorf("%v of sound were sent", sent)
		}
	})
}

func TestClientThatNeverReads(t *testing.T) {
	scene(t, script{stuck: true}, func(p *person) {
		<-p.over
		if p.line.why == nil {
			t.Error("the call ended without a reason")
		}
	})
}
