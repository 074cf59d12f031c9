// Package speech serves the specification's section 4: text to speech, speech to text, and what there is for
// both.
package speech

import (
	"context"
	"net/http"
	"slices"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
	"brenda/rest/sound"
)

// Speaker speaks texts of any length.
type Speaker interface {
	// Speak emits one AudioEvent for each chunk of l.Text, in order. l.Text is as written: with digits and
	// abbreviations.
	Speak(ctx context.Context, l pipeline.Line, emit func(pipeline.Event) error) error
}

// Catalogue knows what can be asked for by name.
type Catalogue interface {
	// Models returns all models of speech, both ways.
	Models(ctx context.Context) ([]string, error)
	// Voices returns the names of the voices.
	Voices(ctx context.Context) ([]string, error)
	// Sizes returns the installed sizes of the recognizer.
	Sizes(ctx context.Context) ([]string, error)
}

// Config is what a Service needs besides engines.
type Config struct {
	Languages []string          // ISO 639-1, that Brenda speaks
	Hears     []string          // ISO 639-1, that she understands, besides "auto"; empty means Languages
	StandIns  map[string]string // sizes that are not installed, each with the one that openly stands in for it
	SpoolDir  string            // for sound too long for memory; empty means the system's own
}

// Service answers the routes of this section.
type Service struct {
	speaker   Speaker
	listener  pipeline.Listener
	catalogue Catalogue
	cfg       Config
}

// New returns the service.
func New(speaker Speaker, listener pipeline.Listener, catalogue Catalogue, cfg Config) *Service {
	if len(cfg.Hears) == 0 {
		cfg.Hears = cfg.Languages
	}
	return &Service{speaker: speaker, listener: listener, catalogue: catalogue, cfg: cfg}
}

// Models answers GET /v1/ai/speech/models.
func (s *Service) Models(w http.ResponseWriter, r *http.Request) error {
	answer := map[string][]string{}
	for name, list := range map[string]func(context.Context) ([]string, error){
		"models": s.catalogue.Models, "voices": s.catalogue.Voices, "sizes": s.catalogue.Sizes,
	} {
		names, err := list(r.Context())
		if err != nil {
			return err
		}
		answer[name] = append([]string{}, names...)
	}
	return httpx.Write(w, http.StatusOK, answer)
}

// SpeechToText answers POST /v1/ai/speech/speech-to-text.
func (s *Service) SpeechToText(w http.ResponseWriter, r *http.Request) error {
	req, blobs, err := httpx.ReadBlobs[struct {
		Size     string `json:"model_size"`
		Language string `json:"language"`
	}](r, s.cfg.SpoolDir, "audio")
	if err != nil {
		return err
	}
	defer blobs.Close()
	if blobs["audio"] == nil {
		return fault.Field("audio", "audio is missing; it must be a sound in base64")
	}
	if err := sound.CheckLanguage(req.Language, append([]string{"auto"}, s.cfg.Hears...)); err != nil {
		return err
	}
	src, err := sound.Open("audio", blobs["audio"])
	if err != nil {
		return err
	}
	size, err := s.size(r.Context(), req.Size)
	if err != nil {
		return err
	}
	o := pipeline.ListenOptions{Language: req.Language, Model: size}
	alive := func(pipeline.Segment) error { return r.Context().Err() }
	heard, err := s.listener.Listen(r.Context(), src, o, alive)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, transcript(heard))
}

// size returns the size to use for the one that was asked for.
func (s *Service) size(ctx context.Context, asked string) (string, error) {
	if asked == "" {
		return "", nil
	}
	sizes, err := s.catalogue.Sizes(ctx)
	if err != nil {
		return "", err
	}
	if in, ok := s.cfg.StandIns[asked]; ok && !slices.Contains(sizes, asked) {
		return in, nil
	}
	return asked, sound.Find("model_size", asked, sizes)
}

type segment struct {
	Start float64 `json:"start"`
	End   float64 `json:"end"`
	Text  string  `json:"text"`
}

func transcript(h pipeline.Heard) any {
	segments := make([]segment, 0, len(h.Segments))
	for _, g := range h.Segments {
		segments = append(segments, segment{g.Start, g.End, g.Text})
	}
	return struct {
		Text     string    `json:"text"`
		Language string    `json:"language"`
		Duration float64   `json:"duration"` // seconds
		Segments []segment `json:"segments"`
		Model    string    `json:"model"`
	}{h.Text, h.Language, h.Duration.Seconds(), segments, h.Model}
}
