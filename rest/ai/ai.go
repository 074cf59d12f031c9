// Package ai serves the specification's section 1: the language models, free generation, and the session.
package ai

import (
	"context"
	"net/http"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
	"brenda/rest/sound"
)

// Models are the language models that can be served.
type Models interface {
	// Models returns the names of what can be loaded.
	Models(ctx context.Context) ([]string, error)
	// Default returns the model of a session that chose none.
	Default() string
	// Load returns when the model can serve. An unknown one is fault.NotFound.
	Load(ctx context.Context, name string) error
	// Loaded tells whether a model can serve at once.
	Loaded(name string) bool
}

// Sessions are the conversations, by their valid ids.
type Sessions interface {
	// Info returns what is known of a conversation, which is made when there is none.
	Info(ctx context.Context, id string) (Info, error)
	// SetModel makes name the model that a conversation uses.
	SetModel(ctx context.Context, id, name string) error
	// Track registers a generation that Stop ends, with fault.ErrStopped as the cause. done is called when it is
	// over.
	Track(ctx context.Context, id string) (tracked context.Context, done func(), err error)
	// Stop ends all that runs in a conversation, and returns how many it ended.
	Stop(ctx context.Context, id string) (int, error)
}

// Info is what is known of a conversation.
type Info struct {
	Created time.Time
	Model   string // empty means the default
	Turns   int
}

// Service answers the routes of this section.
type Service struct {
	models   Models
	sessions Sessions
	llm      pipeline.Generator
}

// New returns the service.
func New(models Models, sessions Sessions, llm pipeline.Generator) *Service {
	return &Service{models: models, sessions: sessions, llm: llm}
}

// Models answers GET /v1/ai/models.
func (s *Service) Models(w http.ResponseWriter, r *http.Request) error {
	names, err := s.models.Models(r.Context())
	if err != nil {
		return err
	}
	if names == nil {
		names = []string{}
	}
	return httpx.Write(w, http.StatusOK, map[string][]string{"models": names})
}

// LoadModel answers POST /v1/ai/load_model when the model can serve.
func (s *Service) LoadModel(w http.ResponseWriter, r *http.Request) error {
	req, err := httpx.Read[struct {
		Model string `json:"model_name"`
	}](r)
	if err != nil {
		return err
	}
	if err := httpx.Require("model_name", req.Model); err != nil {
		return err
	}
	if err := s.find(r.Context(), "model_name", req.Model); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.models.Load(r.Context(), req.Model); err != nil {
		return err
	}
	if err := s.sessions.SetModel(r.Context(), httpx.InfoOf(r).SessionID, req.Model); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, struct {
		Model  string `json:"model"`
		Status string `json:"status"`
		LoadMS int64  `json:"load_ms"`
	}{req.Model, "loaded", time.Since(begin).Milliseconds()})
}

func (s *Service) find(ctx context.Context, field, name string) error {
	if name == "" {
		return nil
	}
	names, err := s.models.Models(ctx)
	if err != nil {
		return err
	}
	return sound.Find(field, name, names)
}

// Session answers GET /v1/ai/session.
func (s *Service) Session(w http.ResponseWriter, r *http.Request) error {
	id := httpx.InfoOf(r).SessionID
	info, err := s.sessions.Info(r.Context(), id)
	if err != nil {
		return err
	}
	model := info.Model
	if model == "" {
		model = s.models.Default()
	}
	return httpx.Write(w, http.StatusOK, struct {
		ID      string    `json:"session_id"`
		Model   string    `json:"current_model"`
		Loaded  bool      `json:"has_model_loaded"`
		Created time.Time `json:"created_at"`
		Turns   int       `json:"turns"`
	}{id, model, model != "" && s.models.Loaded(model), info.Created.UTC(), info.Turns})
}

// Stop answers POST /v1/ai/stop. A session that was made for this very request has nothing to stop.
func (s *Service) Stop(w http.ResponseWriter, r *http.Request) error {
	stopped := 0
	if info := httpx.InfoOf(r); info.Named {
		n, err := s.sessions.Stop(r.Context(), info.SessionID)
		if err != nil {
			return err
		}
		stopped = n
	}
	return httpx.Write(w, http.StatusOK, map[string]int{"stopped": stopped})
}

// cancelled tells whether a generation was ended on purpose while its client still listens.
func cancelled(r *http.Request, err error) bool {
	return r.Context().Err() == nil && fault.KindOf(err) == fault.Cancelled
}
