package realtime

import (
	"fmt"
	"slices"
	"strings"
)

// The rules of order, checked on all that a client got in any scene. Those of ids, and of responses that run or have ended, are in
// violations; those of function calls in badCalls.

// disorder finds what comes too early, too late, twice, or not at all.
func disorder(events []event) []error {
	w := &watch{
		parts: map[string]string{}, texts: map[string]string{}, items: map[string]bool{}, words: map[string]string{},
		outputs: map[string]int{}, old: map[string]bool{}, interrupts: true,
	}
	var errs []error
	for i, e := range events {
		if e.kind == "session.resumed" || e.kind == "error" { // they may come anywhere
			continue
		}
		for _, what := range []string{w.follows(e), w.speech(e), w.item(e), w.response(e), w.transcription(e)} {
			if what != "" {
				errs = append(errs, fmt.Errorf("event %d, %s: %s", i, e.kind, what))
			}
		}
		w.before = e
	}
	return errs
}

// watch is what the rules remember.
type watch struct {
	before     event
	turn       string            // the item of the turn that goes on
	stopped    string            // the item of the turn that ended last
	interrupts bool              // speech ends answers
	running    string            // the response of the conversation
	old        map[string]bool   // responses that speech has ended
	parts      map[string]string // how far each answer's message has got
	texts      map[string]string // what was shown of it
	outputs    map[string]int    // items by response
	items      map[string]bool   // in the conversation
	words      map[string]string // how far the transcription of each message has got
}

// next lists the events that stand right behind another, always.
var next = map[string][]string{
	"input_audio_buffer.speech_stopped":     {"input_audio_buffer.committed"},
	"input_audio_buffer.committed":          {"conversation.item.added"},
	"response.output_audio.done":            {"response.output_audio_transcript.done"},
	"response.output_audio_transcript.done": {"response.content_part.done"},
	"response.output_text.done":             {"response.content_part.done"},
	"response.content_part.done":            {"response.output_item.done"},
	"response.done":                         {"rate_limits.updated"},
	"response.function_call_arguments.done": {"response.output_item.done"},
}

// follows checks what stands right behind what.
func (w *watch) follows(e event) string {
	if want := next[w.before.kind]; want != nil && !slices.Contains(want, e.kind) {
		return "right behind " + w.before.kind
	}
	if e.kind == "rate_limits.updated" && w.before.kind != "response.done" {
		return "without a response"
	}
	return ""
}

// speech checks the turns of the person.
func (w *watch) speech(e event) string {
	id := e.str("item_id")
	switch e.kind {
	case "session.created", "session.updated":
		if t, ok := e.get("session", "audio", "input", "turn_detection").(map[string]any); ok {
			w.interrupts = t["interrupt_response"] == true
		}
		if e.get("session", "audio", "input", "turn_detection") == nil {
			w.turn = "" // push to talk: what was being said is forgotten
		}
	case "input_audio_buffer.speech_started":
		if w.turn != "" {
			return "within a turn"
		}
		if w.turn = id; w.interrupts && w.running != "" {
			w.old[w.running] = true
		}
	case "input_audio_buffer.speech_stopped":
		if w.turn != id {
			return "of no turn"
		}
		w.turn, w.stopped = "", id
	case "input_audio_buffer.committed":
		if w.before.kind == "input_audio_buffer.speech_stopped" && w.stopped != id {
			return "another item than that of the turn"
		}
		w.turn, w.words[id] = "", "asked"
	case "input_audio_buffer.cleared":
		w.turn = ""
	}
	return ""
}

// item checks the items of the conversation.
func (w *watch) item(e event) string {
	id := e.str("item", "id")
	switch e.kind {
	case "conversation.item.added":
		if before, ok := e.get("previous_item_id").(string); ok && !w.items[before] {
			return "behind an item that is not there"
		}
		if w.before.kind == "input_audio_buffer.committed" && w.before.str("item_id") != id {
			return "another item than the one committed"
		}
		w.items[id] = true
	case "conversation.item.done":
		if !w.items[id] {
			return "before it was added"
		}
		if e.str("item", "role") == "assistant" && w.parts[id] != "" && w.before.kind != "response.output_item.done" {
			return "before it was done in the response"
		}
	case "conversation.item.deleted":
		delete(w.items, e.str("item_id"))
	}
	return ""
}

// How far the message of an answer has got.
const (
	added = "added"
	begun = "its part was added"
	ended = "its part is done"
	whole = "done"
)

// response checks the order within a response.
func (w *watch) response(e event) string {
	id, r := e.str("item_id"), e.str("response_id")
	if w.old[r] && strings.HasSuffix(e.kind, ".delta") {
		return "of an answer that speech has ended"
	}
	switch e.kind {
	case "response.created":
		if e.get("response", "conversation_id") != nil {
			w.running = e.str("response", "id")
		}
	case "response.done":
		return w.done(e)
	case "response.output_item.added":
		if n, _ := e.get("output_index").(float64); int(n) != w.outputs[r] {
			return fmt.Sprintf("is number %v, after %d", n, w.outputs[r])
		}
		w.outputs[r]++
		w.parts[e.str("item", "id")] = added
	case "response.output_item.done":
		w.parts[e.str("item", "id")] = whole
	case "response.content_part.added":
		return w.step(id, added, begun)
	case "response.output_audio.done", "response.output_text.done":
		return w.step(id, begun, ended)
	case "response.output_audio.delta":
		return w.step(id, begun, begun)
	case "response.output_text.delta", "response.output_audio_transcript.delta":
		w.texts[id] += e.str("delta")
		return w.step(id, begun, begun)
	case "response.output_audio_transcript.done":
		if !strings.HasPrefix(strings.TrimSpace(w.texts[id]), strings.TrimSpace(e.str("transcript"))) {
			return fmt.Sprintf("%q, and %q was shown", e.str("transcript"), w.texts[id])
		}
	}
	return ""
}

func (w *watch) step(id, from, to string) string {
	if w.parts[id] != from {
		return "when its message is " + w.parts[id]
	}
	w.parts[id] = to
	return ""
}

// done checks the end of a response: all of its items have ended, as it says.
func (w *watch) done(e event) string {
	if w.running == e.str("response", "id") {
		w.running = ""
	}
	out, _ := e.get("response", "output").([]any)
	if n := w.outputs[e.str("response", "id")]; len(out) != n {
		return fmt.Sprintf("has %d items, %d were added", len(out), n)
	}
	for _, o := range out {
		it, _ := o.(map[string]any)
		id, _ := it["id"].(string)
		if w.parts[id] != whole {
			return "its item is " + w.parts[id]
		}
		if e.str("response", "status") == "completed" && it["status"] != "completed" {
			return fmt.Sprintf("completed, and its item is %v", it["status"])
		}
	}
	return ""
}

// transcription checks that the words of a message come once, and after it.
func (w *watch) transcription(e event) string {
	what, ok := strings.CutPrefix(e.kind, "conversation.item.input_audio_transcription.")
	if !ok {
		return ""
	}
	id := e.str("item_id")
	if !w.items[id] {
		return "before its item"
	}
	if state := w.words[id]; state == "completed" || state == "failed" {
		return "after " + state
	}
	w.words[id] = what
	return ""
}
