// Package chaining serves the specification's section 7: a turn of the conversation, spoken or written,
// answered with text and speech.
package chaining

import (
	"context"
	"net/http"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
	"brenda/rest/sound"
)

// Asker starts turns.
type Asker interface {
	// Ask starts a turn of a conversation, which ends the one that runs there. The events end with exactly one
	// DoneEvent, and the channel is then closed. The end of ctx cancels the turn. The receiver reads to the
	// close, or ends ctx.
	Ask(ctx context.Context, session string, q Question) (<-chan pipeline.Event, error)
}

// Question is what the person said or wrote. Sound and text together are one message.
type Question struct {
	Sound    pipeline.Sound // nil for none
	Text     string
	Voice    string // empty means the default, as for the next three
	Language string
	Model    string
	System   string
}

// Config is what a Service needs besides an Asker.
type Config struct {
	Models    func(context.Context) ([]string, error) // the language models
	Voices    func(context.Context) ([]string, error)
	Languages []string // ISO 639-1, that Brenda understands and speaks
	SpoolDir  string   // for sound too long for memory; empty means the system's own
}

// Service answers the routes of this section.
type Service struct {
	asker Asker
	cfg   Config
}

// New returns the service.
func New(asker Asker, cfg Config) *Service { return &Service{asker: asker, cfg: cfg} }

// request is the body of POST /v1/ai/chaining/chat, but for its audio.
type request struct {
	Text     string `json:"text"`
	Voice    string `json:"voice"`
	Language string `json:"language"`
	Model    string `json:"model"`
	System   string `json:"system"`
	Stream   *bool  `json:"stream"`
}

// Chat answers POST /v1/ai/chaining/chat.
func (s *Service) Chat(w http.ResponseWriter, r *http.Request) error {
	req, blobs, err := httpx.ReadBlobs[request](r, s.cfg.SpoolDir, "audio")
	if err != nil {
		return err
	}
	defer blobs.Close()
	q, err := s.question(r.Context(), req, blobs["audio"])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	events, err := s.asker.Ask(ctx, httpx.InfoOf(r).SessionID, q)
	if err != nil {
		cancel()
		return err
	}
	defer func() { // the turn reads the blob: it must be over before that is gone
		cancel()
		for range events {
		}
	}()
	if req.Stream != nil && !*req.Stream {
		return whole(w, r, events)
	}
	return stream(w, r, events)
}

// question checks what was asked: first the fields, then whether what they name exists.
func (s *Service) question(ctx context.Context, req request, blob *httpx.Blob) (Question, error) {
	q := Question{
		Text: req.Text, Voice: req.Voice, Language: req.Language, Model: req.Model, System: req.System,
	}
	if blob == nil && httpx.Blank(req.Text) {
		return q, fault.New(fault.Invalid, "no_input", "send text or audio, or both")
	}
	if err := sound.CheckVoice("voice", req.Voice); err != nil {
		return q, err
	}
	if err := sound.CheckLanguage(req.Language, s.cfg.Languages); err != nil {
		return q, err
	}
	if blob != nil {
		src, err := sound.Open("audio", blob)
		if err != nil {
			return q, err
		}
		q.Sound = src
	}
	if err := exists(ctx, "voice", req.Voice, s.cfg.Voices); err != nil {
		return q, err
	}
	return q, exists(ctx, "model", req.Model, s.cfg.Models)
}

func exists(ctx context.Context, field, name string, list func(context.Context) ([]string, error)) error {
	if name == "" {
		return nil
	}
	names, err := list(ctx)
	if err != nil {
		return err
	}
	return sound.Find(field, name, names)
}

// stream sends the events as they come.
func stream(w http.ResponseWriter, r *http.Request, events <-chan pipeline.Event) error {
	out := httpx.NewStream(w)
	defer out.Close()
	for ev := range events {
		if ev.Kind == pipeline.DoneEvent && ev.Result.Err != nil {
			return out.Fail(r, ev.Result.Err)
		}
		if err := out.Send(sound.Of(ev)); err != nil {
			return gone(err)
		}
		if ev.Kind == pipeline.DoneEvent {
			return gone(out.Finish())
		}
	}
	return out.Fail(r, unfinished(r))
}

// gone is the fault of a client that no longer reads.
func gone(err error) error {
	return fault.Wrap(err, fault.Cancelled, "cancelled", "the client went away")
}

// unfinished is why a turn had no end: its client left, or its time was up.
func unfinished(r *http.Request) error {
	if err := r.Context().Err(); err != nil {
		return err
	}
	return fault.New(fault.Internal, "internal", "the turn had no end")
}

// whole answers with one JSON object when the turn is over.
func whole(w http.ResponseWriter, r *http.Request, events <-chan pipeline.Event) error {
	var pcm []float32
	for ev := range events {
		switch ev.Kind {
		case pipeline.AudioEvent:
			pcm = append(pcm, ev.PCM...)
		case pipeline.DoneEvent:
			return answer(w, ev.Result, pcm)
		default: // the result has the texts
		}
	}
	return unfinished(r)
}

func answer(w http.ResponseWriter, res *pipeline.Result, pcm []float32) error {
	if res.Err != nil {
		return res.Err
	}
	return httpx.Write(w, http.StatusOK, struct {
		Text         string         `json:"text"`
		Audio        []byte         `json:"audio"` // base64 WAV
		Transcript   string         `json:"transcript"`
		Timings      *sound.Timings `json:"timings"`
		Usage        pipeline.Usage `json:"usage"`
		FinishReason string         `json:"finish_reason"`
	}{res.Text, sound.WAV(pcm), res.Transcript, sound.TimingsOf(res.Timings), res.Usage, res.FinishReason})
}
