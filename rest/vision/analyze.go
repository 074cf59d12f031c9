package vision

import (
	"cmp"
	"context"
	"image"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
	"brenda/rest/httpx"
)

const (
	maxLabels = 100
	maxLabel  = 200 // characters
	maxColors = 5
)

// label is one line of the answer: with a score, or not supported.
type label struct {
	Label     string   `json:"label"`
	Score     *float64 `json:"score,omitempty"`
	Supported *bool    `json:"supported,omitempty"` // only ever false
}

type swatch struct {
	Hex   string  `json:"hex"`
	Share float64 `json:"share"`
}

type about struct {
	Width  int            `json:"width"`
	Height int            `json:"height"`
	Format picture.Format `json:"format"`
	Size   int64          `json:"size"`
	Colors []swatch       `json:"colors"`
}

// Analyze answers POST /v1/ai/image/analyze.
func (s *Service) Analyze(w http.ResponseWriter, r *http.Request) error {
	type request struct {
		Labels []*string `json:"labels"`
		Engine string    `json:"engine"` // ours
	}
	var labels []string
	req, b, err := upload(s, r, func(q request) (err error) {
		if labels, err = checked(q.Labels); err != nil {
			return err
		}
		_, _, err = choose(s.cfg.Judges, q.Engine, s.cfg.Judge)
		return err
	})
	if err != nil {
		return err
	}
	if len(labels) == 0 {
		labels = s.cfg.Labels
	}
	judge, name, err := choose(s.cfg.Judges, req.Engine, s.cfg.Judge)
	if err != nil {
		return err
	}
	answer := struct {
		Labels []label `json:"labels"`
		Image  about   `json:"image"`
		Engine string  `json:"engine"`
	}{Engine: name}
	err = s.look(r.Context(), b, func(ctx context.Context, img image.Image, info picture.Info) error {
		scores, err := judge.Judge(ctx, img, labels)
		if err != nil {
			return err
		}
		answer.Labels, answer.Image = sorted(scores), describe(img, info)
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, answer)
}

// checked returns the labels of a request, each once.
func checked(given []*string) ([]string, error) {
	if len(given) > maxLabels {
		return nil, fault.Field("labels", "labels has %d entries; at most %d are taken", len(given), maxLabels)
	}
	var out []string
	for _, l := range given {
		switch {
		case l == nil || httpx.Blank(*l):
			return nil, fault.Field("labels", "each of labels must be a text that is not blank")
		case utf8.RuneCountInString(*l) > maxLabel:
			return nil, fault.Field("labels", "each of labels may have at most %d characters", maxLabel)
		}
		if text := strings.TrimSpace(*l); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out, nil
}

// sorted brings the best score first and what is not supported last.
func sorted(scores []picture.Score) []label {
	slices.SortStableFunc(scores, func(a, b picture.Score) int {
		if a.Supported != b.Supported {
			if a.Supported {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Score, a.Score)
	})
	out := make([]label, 0, len(scores))
	for _, g := range scores {
		l := label{Label: g.Label}
		if g.Supported {
			l.Score = &g.Score
		} else {
			l.Supported = new(bool)
		}
		out = append(out, l)
	}
	return out
}

func describe(img image.Image, info picture.Info) about {
	a := about{Width: info.Width, Height: info.Height, Format: info.Format, Size: info.Size, Colors: []swatch{}}
	for _, c := range picture.Colors(img, maxColors) {
		a.Colors = append(a.Colors, swatch(c))
	}
	return a
}
