package realtime

import (
	"log/slog"
	"maps"
	"strconv"
	"time"

	"brenda/realtime/protocol"
)

// trace is where the time of a turn went. Times count from the moment when the person fell silent; for a turn that was
// typed, from the request.
type trace struct {
	end   time.Duration // where in the microphone's sound the speech ended; 0 for a turn without speech
	begin time.Time     // when that sound arrived
	why   string        // what made the turn over

	decision, transcript, firstToken, firstChunk, firstAudio, sent, heard time.Duration
}

// newTrace begins at the end of speech, which the microphone has left behind.
func newTrace(end, now time.Duration) *trace {
	return &trace{end: end, begin: time.Now().Add(end - now)}
}

// mark notes that something has happened now.
func (t *trace) mark(at *time.Duration) {
	if t != nil && *at == 0 {
		*at = time.Since(t.begin)
	}
}

// stages are the times by name, in order.
func (t *trace) stages() []slog.Attr {
	return []slog.Attr{
		slog.Duration("decision", t.decision), slog.Duration("transcript", t.transcript),
		slog.Duration("first_token", t.firstToken), slog.Duration("first_chunk", t.firstChunk),
		slog.Duration("first_audio", t.firstAudio), slog.Duration("sent", t.sent),
		slog.Duration("heard", t.heard),
	}
}

// settle fills in what nobody told: a client that does not say what it plays is taken to play what it gets.
func (t *trace) settle() {
	if t.heard == 0 {
		t.heard = t.sent
	}
}

// report tells how long the stages of a spoken turn took.
func (t *trace) report(to Observer) {
	if to == nil || t.end == 0 {
		return
	}
	for _, s := range t.stages() {
		if d := s.Value.Duration(); d > 0 {
			to.CallStage(s.Key, d)
		}
	}
}

// maxMetadata is how many pairs the protocol allows.
const maxMetadata = 16

// metadata returns the client's own pairs and, as far as there is room, the times in milliseconds.
func (t *trace) metadata(own protocol.Metadata) protocol.Metadata {
	if t == nil {
		return own
	}
	all := maps.Clone(own)
	if all == nil {
		all = protocol.Metadata{}
	}
	put := func(name string, d time.Duration) {
		if _, taken := all[name]; !taken && d != 0 && len(all) < maxMetadata {
			all[name] = strconv.FormatInt(d.Milliseconds(), 10)
		}
	}
	put("speech_end", t.end)
	for _, s := range t.stages() {
		put(s.Key, s.Value.Duration())
	}
	return all
}
