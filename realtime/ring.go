package realtime

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"
)

// The most that is kept of what was sent, for a client that resumes. Sound makes room first: it is soon too old to be heard.
const (
	ringEvents = 1024
	ringBytes  = 256 << 10
	soundAge   = patience + 2*time.Second                 // how long sound can be of use
	eventAge   = resumeWithin + pingEvery + pongTimeout*2 // how long an event can have been on its way to nowhere
)

// sent is an event that was put out, whether or not it arrived.
type sent struct {
	id    string    // of the event; empty for a binary frame
	frame []byte    // nil for sound that was dropped, and for a mark
	sound *playback // that it is a piece of; nil for other events
	from  int       // where in it the piece begins, in bytes
	at    time.Time
}

// ring keeps the newest events.
type ring struct {
	list  []sent
	bytes int
	quiet int       // how many at the beginning have no sound any more
	until time.Time // when the last sound is of no more use; zero for no sound
}

// add keeps an event.
func (r *ring) add(s sent) {
	r.list = append(r.list, s)
	r.bytes += len(s.frame)
	if s.sound != nil {
		r.until = s.at.Add(soundAge)
	}
	r.trim(s.at)
}

// trim drops what is too old, and what is too much.
func (r *ring) trim(now time.Time) {
	for ; r.quiet < len(r.list); r.quiet++ {
		e := &r.list[r.quiet]
		if e.sound == nil {
			continue
		}
		if r.bytes <= ringBytes && now.Sub(e.at) < soundAge {
			break
		}
		r.bytes -= len(e.frame)
		e.frame = nil
	}
	if !now.Before(r.until) {
		r.until = time.Time{}
	}
	drop := 0
	for drop < len(r.list) &&
		(len(r.list)-drop > ringEvents || r.bytes > ringBytes || now.Sub(r.list[drop].at) > eventAge) {
		r.bytes -= len(r.list[drop].frame)
		drop++
	}
	r.list = slices.Delete(r.list, 0, drop)
	r.quiet = max(r.quiet-drop, 0)
}

// due returns when trim has something to do.
func (r *ring) due() (time.Time, bool) { return r.until, !r.until.IsZero() }

// after returns what follows the event with this id, and the sound frame with this sequence if that came later; it has to be
// marked with id. whole is false when the event is no longer there: then it is all there is.
func (r *ring) after(id string, seq uint16, heard bool) (at int, whole bool) {
	for i, s := range slices.Backward(r.list) {
		if s.id == id {
			at, whole = i+1, true
			break
		}
	}
	if !whole || !heard {
		return at, whole
	}
	for i := at; i < len(r.list) && i-at < 1<<15; i++ {
		if n, ok := sequenceOf(r.list[i].frame); ok && n == seq {
			return i + 1, true
		}
	}
	return at, true
}

// mark puts a name in front of the event at i: who has got the name has got everything before it.
func (r *ring) mark(i int, id string, now time.Time) {
	r.list = slices.Insert(r.list, i, sent{id: id, at: now})
	if i < r.quiet {
		r.quiet++
	}
}

// sequenceOf returns the sequence of a binary frame.
func sequenceOf(frame []byte) (uint16, bool) {
	if len(frame) < headerSize || frame[0] != speechFrame {
		return 0, false
	}
	return binary.LittleEndian.Uint16(frame[2:]), true
}

// eventID returns the id of an event that was encoded.
func eventID(frame []byte) string {
	_, rest, ok := bytes.Cut(frame, []byte(`"event_id":"`))
	id, _, closed := bytes.Cut(rest, []byte(`"`))
	if len(frame) == 0 || frame[0] != '{' || !ok || !closed {
		return ""
	}
	return string(id)
}
