package speech

import (
	"io"
	"net/http"
	"time"

	"brenda/audio/mp3"
	"brenda/audio/wav"
	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
	"brenda/rest/sound"
)

// writeTimeout is how long a client may take for one chunk of sound before it counts as gone.
const writeTimeout = 30 * time.Second

// TextToSpeech answers POST /v1/ai/speech/text-to-speech: events by default, or the sound itself for a client
// that accepts audio/wav or audio/mpeg.
func (s *Service) TextToSpeech(w http.ResponseWriter, r *http.Request) error {
	line, err := s.line(r)
	if err != nil {
		return err
	}
	const events, asWAV, asMP3 = "text/event-stream", "audio/wav", "audio/mpeg"
	switch kind := httpx.Accepts(r, events, asWAV, asMP3, "audio/x-wav", "audio/wave", "audio/mp3"); kind {
	case events:
		return s.events(w, r, line)
	case asMP3, "audio/mp3":
		return s.file(w, r, line, asMP3, func(w io.Writer) (encoder, error) {
			return mp3.NewWriter(w, pipeline.OutputRate)
		})
	default:
		return s.file(w, r, line, asWAV, func(w io.Writer) (encoder, error) {
			return wav.NewWriter(w, pipeline.OutputRate), nil
		})
	}
}

// line reads and checks what is to be said.
func (s *Service) line(r *http.Request) (pipeline.Line, error) {
	req, err := httpx.Read[struct {
		Text     string   `json:"text"`
		Voice    string   `json:"voice_path"`
		Language string   `json:"language"`
		Speed    *float64 `json:"speed"` // ours: 0.5…2
	}](r)
	line := pipeline.Line{Text: req.Text, Voice: req.Voice, Language: req.Language}
	if err != nil {
		return line, err
	}
	if err := httpx.Require("text", req.Text); err != nil {
		return line, err
	}
	if err := sound.CheckVoice("voice_path", req.Voice); err != nil {
		return line, err
	}
	if err := sound.CheckLanguage(req.Language, s.cfg.Languages); err != nil {
		return line, err
	}
	if v := req.Speed; v != nil {
		if *v < 0.5 || *v > 2 {
			return line, fault.Field("speed", "speed must be between 0.5 and 2")
		}
		line.Speed = *v
	}
	if req.Voice == "" {
		return line, nil
	}
	voices, err := s.catalogue.Voices(r.Context())
	if err != nil {
		return line, err
	}
	return line, sound.Find("voice_path", req.Voice, voices)
}

// errNothing is the fault of a text that has no words, only signs.
func errNothing() error {
	return fault.Field("text", "text has nothing that can be spoken")
}

// events sends each chunk as an event.
func (s *Service) events(w http.ResponseWriter, r *http.Request, l pipeline.Line) error {
	out := httpx.NewStream(w)
	defer out.Close()
	err := s.speaker.Speak(r.Context(), l, func(ev pipeline.Event) error { return out.Send(sound.Of(ev)) })
	if err == nil && !out.Started() {
		err = errNothing()
	}
	if err != nil {
		return out.Fail(r, err)
	}
	return out.Finish()
}

// encoder writes sound in some format.
type encoder interface {
	Write(pcm []float32) error
	Close() error
}

// file sends the sound itself, each chunk as soon as it is there. Nothing is sent before the first one, so
// that a failure until then is an ordinary error.
func (s *Service) file(
	w http.ResponseWriter, r *http.Request, l pipeline.Line, kind string, open func(io.Writer) (encoder, error),
) error {
	var enc encoder
	rc := http.NewResponseController(w)
	err := s.speaker.Speak(r.Context(), l, func(ev pipeline.Event) (err error) {
		if enc == nil {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("X-Accel-Buffering", "no")
			if enc, err = open(w); err != nil {
				return err
			}
		}
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
		if err := enc.Write(ev.PCM); err != nil {
			return err
		}
		return rc.Flush()
	})
	switch {
	case err != nil:
		return err
	case enc == nil:
		return errNothing()
	}
	return enc.Close()
}
