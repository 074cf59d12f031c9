package protocol

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// appendOf reads the event of which there are fifty a second for each person who talks, an input_audio_buffer.append of
// nothing but plain strings, without looking at its sound more than once. ok is false for everything else, which is then
// read with all care.
func appendOf(frame []byte) (ev *InputAudioAppend, ok bool) {
	ev = &InputAudioAppend{}
	var sound, kind []byte
	rest := skip(frame, '{')
	for rest != nil {
		var name, value []byte
		name, rest = plain(rest)
		value, rest = plain(skip(rest, ':'))
		switch {
		case rest == nil:
			return nil, false
		case string(name) == `"type"` && kind == nil:
			kind = value
		case string(name) == `"audio"` && sound == nil:
			sound = value
		case string(name) == `"event_id"` && ev.EventID == "" && len(value) < 64:
			ev.EventID = string(value[1 : len(value)-1])
		default:
			return nil, false
		}
		if end := skip(rest, '}'); end != nil {
			ok = len(bytes.TrimLeft(end, " \t\r\n")) == 0 && sound != nil && string(kind) == `"input_audio_buffer.append"` &&
				ev.Audio.decodeAt(sound, "", rule{}) == nil
			return ev, ok
		}
		rest = skip(rest, ',')
	}
	return nil, false
}

// skip returns what follows a byte that may have blanks in front, nil when something else is there.
func skip(b []byte, want byte) []byte {
	for i, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		case want:
			return b[i+1:]
		default:
			return nil
		}
	}
	return nil
}

// plain returns a string without escapes and control characters, in its quotes.
func plain(b []byte) (value, rest []byte) {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 || b[0] != '"' {
		return nil, nil
	}
	n := bytes.IndexByte(b[1:], '"')
	if n < 0 {
		return nil, nil
	}
	value, rest = b[:n+2], b[n+2:]
	if bytes.IndexByte(value, '\\') >= 0 || bytes.IndexByte(value, '\n') >= 0 || bytes.IndexByte(value, '\r') >= 0 {
		return nil, nil
	}
	if n < 64 && (!utf8.Valid(value) || bytes.ContainsFunc(value, unicode.IsControl)) {
		return nil, nil // something longer is sound, and no base64 has such bytes
	}
	return value, rest
}
