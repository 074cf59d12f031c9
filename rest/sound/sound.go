// Package sound is how sound and the events of a turn look in REST: base64 in requests, JSON events with a
// small WAV each in answers.
package sound

import (
	"errors"
	"io"
	"time"

	"brenda/audio"
	"brenda/audio/wav"
	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// Open returns the sound that a request's field holds, at pipeline.InputRate. What is no sound is
// fault.Unsupported. The blob must live as long as the sound is read.
func Open(field string, blob *httpx.Blob) (pipeline.Sound, error) {
	src, err := audio.Open(blob.Open(), blob.Size(), pipeline.InputRate)
	if err != nil {
		return nil, explain(field, err)
	}
	return &upload{Source: src, field: field}, nil
}

// upload is a client's sound: what is wrong with it is the client's to know.
type upload struct {
	audio.Source
	field string
}

func (u *upload) Read(dst []float32) (int, error) {
	n, err := u.Source.Read(dst)
	if err != nil && !errors.Is(err, io.EOF) {
		err = explain(u.field, err)
	}
	return n, err
}

func explain(field string, err error) error {
	f := &fault.Error{Param: field, Err: err}
	switch {
	case errors.Is(err, audio.ErrFormat):
		f.Kind, f.Code = fault.Unsupported, "unsupported_audio"
		f.Msg = field + " is not a sound that can be read; send WAV or MP3"
	case errors.Is(err, audio.ErrTooLong):
		f.Kind, f.Code = fault.TooLarge, "audio_too_long"
		f.Msg = field + " plays for too long; send it in parts"
	default:
		return err
	}
	return f
}

// Event is one server-sent event. Clients that know only "text" and "audio" can ignore the others.
type Event struct {
	Type         string          `json:"type"` // "transcript", "text", "audio" or "done"
	Content      any             `json:"content,omitempty"`
	Text         string          `json:"text,omitempty"`   // of audio: the words as they are spoken
	Source       string          `json:"source,omitempty"` // of audio: the words as they were written
	Timings      *Timings        `json:"timings,omitempty"`
	Usage        *pipeline.Usage `json:"usage,omitempty"`
	FinishReason string          `json:"finish_reason,omitempty"`
}

// Timings says when the stages of a turn had their first result, in milliseconds from its start. A stage that
// the turn did not have is absent.
type Timings struct {
	VAD        int64 `json:"vad,omitempty"`
	STT        int64 `json:"stt,omitempty"`
	FirstToken int64 `json:"llm_first_token,omitempty"`
	FirstChunk int64 `json:"first_chunk,omitempty"`
	FirstAudio int64 `json:"first_audio,omitempty"`
	Total      int64 `json:"total"`
}

// TimingsOf returns t as clients see it.
func TimingsOf(t pipeline.Timings) *Timings {
	return &Timings{
		VAD: ms(t.VAD), STT: ms(t.STT), FirstToken: ms(t.FirstToken),
		FirstChunk: ms(t.FirstChunk), FirstAudio: ms(t.FirstAudio), Total: ms(t.Total),
	}
}

// ms rounds up, so that a stage that was there is not left out.
func ms(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// Of returns a turn's event as clients see it.
func Of(ev pipeline.Event) Event {
	switch ev.Kind {
	case pipeline.TranscriptEvent:
		return Event{Type: "transcript", Content: ev.Text}
	case pipeline.AudioEvent:
		return Event{Type: "audio", Content: WAV(ev.PCM), Text: ev.Text, Source: ev.Source}
	case pipeline.DoneEvent:
		return Event{
			Type: "done", Timings: TimingsOf(ev.Result.Timings), Usage: &ev.Result.Usage,
			FinishReason: ev.Result.FinishReason,
		}
	default:
		return Event{Type: "text", Content: ev.Text}
	}
}

// WAV returns pcm at pipeline.OutputRate as a whole file, which encoding/json writes as base64.
func WAV(pcm []float32) []byte { return wav.Encode(pcm, pipeline.OutputRate) }
