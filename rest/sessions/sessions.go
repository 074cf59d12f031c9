// Package sessions serves the conversations that are kept: who wants to know what Brenda remembers can see
// it, and have it forgotten.
//
//	GET    /v1/ai/sessions?offset&limit   the conversations, the newest first
//	GET    /v1/ai/sessions/:id            one of them, with its turns
//	DELETE /v1/ai/sessions/:id            forgets it
//
// The routes belong into the guarded zone: they show everybody's conversations.
package sessions

import (
	"context"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"

	"brenda/pipeline/session"
	"brenda/rest/httpx"
)

// How many conversations one answer lists.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Archive is where conversations are kept. An id that is not 1–128 of A-Z a-z 0-9 . _ - is fault.Invalid,
// one that is not there fault.NotFound.
type Archive interface {
	// List returns the newest conversations first, at most limit of them after the first offset.
	List(ctx context.Context, offset, limit int) ([]Summary, error)
	// Show returns one conversation without creating it.
	Show(ctx context.Context, id string) (session.Record, error)
	// Remove deletes one conversation with all its turns.
	Remove(ctx context.Context, id string) error
}

// Summary is one conversation in a list.
type Summary struct {
	ID      string    `json:"session_id"`
	Created time.Time `json:"created_at"`
	Model   string    `json:"model,omitempty"`
	Turns   int       `json:"turns"`            // how many are kept
	LastAt  time.Time `json:"last_at,omitzero"` // when the newest was; absent without one
}

// Page is the answer of the list.
type Page struct {
	Sessions []Summary `json:"sessions"`
	Offset   int       `json:"offset"`
	Limit    int       `json:"limit"`
}

// Service answers the routes of this package.
type Service struct{ archive Archive }

// New returns the service.
func New(a Archive) *Service { return &Service{archive: a} }

// List answers GET /v1/ai/sessions.
func (s *Service) List(w http.ResponseWriter, r *http.Request) error {
	offset, err := httpx.QueryInt(r, "offset", 0, 0, 1<<31)
	if err != nil {
		return err
	}
	limit, err := httpx.QueryInt(r, "limit", DefaultLimit, 1, MaxLimit)
	if err != nil {
		return err
	}
	list, err := s.archive.List(r.Context(), offset, limit)
	if err != nil {
		return err
	}
	if list == nil {
		list = []Summary{}
	}
	return httpx.Write(w, http.StatusOK, Page{Sessions: list, Offset: offset, Limit: limit})
}

// Show answers GET /v1/ai/sessions/:id.
func (s *Service) Show(w http.ResponseWriter, r *http.Request) error {
	rec, err := s.archive.Show(r.Context(), id(r))
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, rec)
}

// Remove answers DELETE /v1/ai/sessions/:id.
func (s *Service) Remove(w http.ResponseWriter, r *http.Request) error {
	if err := s.archive.Remove(r.Context(), id(r)); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]string{"session_id": id(r), "status": "removed"})
}

func id(r *http.Request) string { return httprouter.ParamsFromContext(r.Context()).ByName("id") }
