// Package translate serves the specification's section 3: which languages there are, and translations between them.
package translate

import (
	"context"
	"net/http"
	"slices"

	"brenda/pipeline/translation"
	"brenda/rest/httpx"
)

// Translator translates texts.
type Translator interface {
	// Ways returns all pairs that can be translated now, sorted.
	Ways(ctx context.Context) []translation.Way
	// Translate translates a text of any length up to its limit.
	Translate(ctx context.Context, q translation.Request) (translation.Answer, error)
}

// Service answers the routes of this section.
type Service struct{ translator Translator }

// New returns the service.
func New(t Translator) *Service { return &Service{t} }

// Languages answers GET /v1/ai/translation/languages. Without an engine the lists are empty.
func (s *Service) Languages(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Languages []string    `json:"languages"`
		Pairs     [][2]string `json:"pairs"`
	}{[]string{}, [][2]string{}}
	ways := s.translator.Ways(r.Context())
	for _, way := range ways {
		answer.Pairs = append(answer.Pairs, [2]string{way.From, way.To})
		if !slices.Contains(answer.Languages, way.From) {
			answer.Languages = append(answer.Languages, way.From)
		}
	}
	for _, way := range ways { // languages that are only translated into come last
		if !slices.Contains(answer.Languages, way.To) {
			answer.Languages = append(answer.Languages, way.To)
		}
	}
	return httpx.Write(w, http.StatusOK, answer)
}

// Translate answers POST /v1/ai/translation/translate.
func (s *Service) Translate(w http.ResponseWriter, r *http.Request) error {
	req, err := httpx.Read[struct {
		Text string `json:"text"`
		From string `json:"from_lang"`
		To   string `json:"to_lang"`
	}](r)
	if err != nil {
		return err
	}
	for _, field := range [][2]string{{"text", req.Text}, {"from_lang", req.From}, {"to_lang", req.To}} {
		if err := httpx.Require(field[0], field[1]); err != nil {
			return err
		}
	}
	got, err := s.translator.Translate(r.Context(), translation.Request{Text: req.Text, From: req.From, To: req.To})
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, struct {
		Text   string   `json:"text"`
		From   string   `json:"from_lang"`
		To     string   `json:"to_lang"`
		Engine string   `json:"engine"`
		Pivot  []string `json:"pivot,omitempty"`
	}{got.Text, got.From, got.To, got.Engine, got.Pivot})
}
