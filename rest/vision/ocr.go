package vision

import (
	"context"
	"image"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
	"brenda/rest/httpx"
)

// maxLanguages is how many languages one page may mix: each makes reading slower.
const maxLanguages = 5

type word struct {
	Text       string  `json:"text"`
	Confidence float64 `json:"confidence"`
	Box        [4]int  `json:"box"` // x, y, width, height in pixels of the upright picture
}

// OCR answers POST /v1/ai/image/ocr.
func (s *Service) OCR(w http.ResponseWriter, r *http.Request) error {
	type request struct {
		Lang   string `json:"lang"`
		Engine string `json:"engine"` // ours
	}
	var codes []string
	req, b, err := upload(s, r, func(q request) (err error) {
		codes, err = split(q.Lang, s.cfg.Language)
		if err != nil {
			return err
		}
		_, _, err = choose(s.cfg.Readers, q.Engine, s.cfg.Reader)
		return err
	})
	if err != nil {
		return err
	}
	if strings.TrimSpace(req.Lang) == "" {
		req.Lang = s.cfg.Language
	}
	reader, name, err := choose(s.cfg.Readers, req.Engine, s.cfg.Reader)
	if err != nil {
		return err
	}
	langs, err := installed(r.Context(), reader, codes)
	if err != nil {
		return err
	}
	var page picture.Page
	err = s.look(r.Context(), b, func(ctx context.Context, img image.Image, _ picture.Info) (err error) {
		page, err = reader.Read(ctx, img, langs)
		return err
	})
	if err != nil {
		return err
	}
	words := make([]word, 0, len(page.Words))
	for _, o := range page.Words {
		box := [4]int{o.Box.Min.X, o.Box.Min.Y, o.Box.Dx(), o.Box.Dy()}
		words = append(words, word{Text: o.Text, Confidence: rounded(o.Confidence), Box: box})
	}
	return httpx.Write(w, http.StatusOK, struct {
		Text       string  `json:"text"`
		Lang       string  `json:"lang"`
		Confidence float64 `json:"confidence"`
		Words      []word  `json:"words"`
		Engine     string  `json:"engine"`
	}{page.Text, strings.TrimSpace(req.Lang), rounded(page.Confidence), words, name})
}

// split cuts "fra+eng" into its codes.
func split(lang, usual string) ([]string, error) {
	if strings.TrimSpace(lang) == "" {
		lang = usual
	}
	var codes []string
	for code := range strings.FieldsFuncSeq(lang, func(r rune) bool { return r == '+' || r == ',' || r == ' ' }) {
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	if len(codes) == 0 || len(codes) > maxLanguages {
		return nil, fault.Field("lang", "lang must name 1 to %d languages, such as fr or fra+eng", maxLanguages)
	}
	return codes, nil
}

// installed returns the reader's own codes for those of a request.
func installed(ctx context.Context, r Reader, codes []string) ([]string, error) {
	for _, refresh := range []bool{false, true} { // a language may have been installed since
		known, err := r.Languages(ctx, refresh)
		if err != nil {
			return nil, err
		}
		langs, unknown := match(codes, known)
		switch {
		case unknown == "":
			return langs, nil
		case refresh:
			return nil, fault.Field("lang", "the language %.40q cannot be read here; these can: %s",
				unknown, strings.Join(known, ", "))
		}
	}
	return nil, nil
}

// match finds each code among those known, and returns the first that is not.
func match(codes, known []string) (langs []string, unknown string) {
	for _, code := range codes {
		i := slices.IndexFunc(spellings(code), func(s string) bool { return slices.Contains(known, s) })
		if i < 0 {
			return nil, code
		}
		if name := spellings(code)[i]; !slices.Contains(langs, name) {
			langs = append(langs, name)
		}
	}
	return langs, ""
}

// spellings returns the ways to write a language's code: as it came, and by ISO 639-3. "fre" and "fr-CA" are French.
func spellings(code string) []string {
	out := []string{code, strings.ToLower(code)}
	tag, err := language.Parse(code)
	if err != nil {
		return out
	}
	base, _ := tag.Base()
	if base.ISO3() == "zho" {
		return append(out, "chi_sim", "chi_tra")
	}
	return append(out, base.ISO3())
}

func rounded(v float64) float64 { return math.Round(v*1e4) / 1e4 }

func names[E any](engines map[string]E) string {
	return strings.Join(slices.Sorted(maps.Keys(engines)), ", ")
}
