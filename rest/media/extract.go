package media

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// transcript is what is said in a medium.
type transcript struct {
	Text     string    `json:"text"`
	Segments []segment `json:"segments"`
	Model    string    `json:"model,omitempty"`
	Complete bool      `json:"complete"` // false: there was no time to hear it all
}

type segment struct {
	Start float64 `json:"start"` // seconds
	End   float64 `json:"end"`
	Text  string  `json:"text"`
	Entry *int    `json:"entry,omitempty"` // of a list: which one; the times are those within it
}

// Extract answers POST /v1/ai/media/url/extract: a page's article, a medium's transcript, the transcripts of a list's
// entries.
func (s *Service) Extract(w http.ResponseWriter, r *http.Request) error {
	req, src, leave, err := s.reach(r)
	if err != nil {
		return err
	}
	defer leave()
	if src.status >= http.StatusBadRequest {
		return src.failed()
	}
	answer, err := s.extract(r.Context(), src, req)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, answer)
}

func (s *Service) extract(ctx context.Context, src *source, req request) (any, error) {
	switch src.about.Kind {
	case Page:
		return s.extractPage(ctx, src, req)
	case File, Image:
		return s.extractText(src)
	case Audio, Video, Playlist:
	}
	if err := s.examine(ctx, src); err != nil {
		return nil, err
	}
	switch {
	case src.about.Kind == File:
		return nil, src.unsupported() // it looked like a medium, and is none
	case src.lack != nil:
		return nil, src.lack
	}
	return s.extractSound(ctx, src, req)
}

func (s *Service) extractPage(ctx context.Context, src *source, req request) (any, error) {
	content, err := s.all(src)
	if err != nil {
		return nil, err
	}
	enc := src.charset(content)
	p := newPage(bytes.NewReader(content), enc, src.final)
	p.readAll()
	p.describe(&src.about)
	if p.isMedium() {
		if err := s.findMedium(ctx, src, p); err != nil {
			return nil, err
		}
		if src.lack != nil {
			return nil, src.lack
		}
		if src.sound != nil || src.about.Kind == Playlist {
			return s.extractSound(ctx, src, req)
		}
	} else {
		src.about.Formats = append(src.about.Formats, p.formats()...)
	}
	art := readArticle(content, enc, src.final, &src.about)
	return struct {
		About
		article
	}{src.about, art}, nil
}

// all reads a page whole, if it is not too large for that.
func (s *Service) all(src *source) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(src.body, s.cfg.PageBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > s.cfg.PageBytes {
		return nil, fault.New(fault.TooLarge, "too_large", "the page is larger than %d bytes", s.cfg.PageBytes)
	}
	n := int64(len(content))
	src.about.Size = &n
	return content, nil
}

// extractText returns a plain text as it is; other files have nothing that can be read.
func (s *Service) extractText(src *source) (any, error) {
	if src.about.Kind == Image || !strings.HasPrefix(http.DetectContentType(src.head), "text/") {
		return nil, src.unsupported()
	}
	content, err := s.all(src)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(content) {
		if e, _ := charset.Lookup(src.charset(content)); e != nil {
			if decoded, err := e.NewDecoder().Bytes(content); err == nil {
				content = decoded
			}
		}
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(content), "\uFFFD"))
	return struct {
		About
		article
	}{src.about, article{Text: text, Markdown: text, Links: []link{}, Images: []still{}}}, nil
}

func (src *source) unsupported() error {
	return fault.New(fault.Unsupported, "unsupported_media",
		"what is behind the URL is neither a page nor sound nor video (%s)", src.about.ContentType)
}

// errPatience is why a long medium is not heard to its end.
var errPatience = errors.New("no more time to listen")

// extractSound writes down what is said in a medium.
func (s *Service) extractSound(ctx context.Context, src *source, req request) (any, error) {
	said := transcript{Segments: []segment{}, Complete: true}
	patient, cancel := context.WithTimeoutCause(ctx, s.cfg.Patience, errPatience)
	defer cancel()
	var err error
	switch {
	case src.sound != nil:
		err = s.transcribe(patient, src, req, &said, nil)
	case src.about.Kind == Playlist:
		err = s.each(patient, src, func(i int, one *source) error {
			return s.transcribe(patient, one, req, &said, &i)
		}, func(int) error { return nil })
		if ctx.Err() == nil && errors.Is(err, errPatience) {
			said.Complete, err = false, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return struct {
		About
		transcript
	}{src.about, said}, nil
}

// transcribe adds what is said in a medium, which is an entry of a list unless that is nil. The end of patience, the cause
// of ctx, is no failure.
func (s *Service) transcribe(ctx context.Context, src *source, req request, said *transcript, entry *int) error {
	snd, err := s.play.Play(ctx, *src.sound)
	if err != nil {
		return err
	}
	defer snd.Close()
	o := pipeline.ListenOptions{Language: req.Language}
	var texts []string
	heard, err := s.listener.Listen(ctx, snd, o, func(g pipeline.Segment) error {
		said.Segments = append(said.Segments, segment{g.Start, g.End, g.Text, entry})
		texts = append(texts, g.Text)
		return ctx.Err()
	})
	f := fault.As(err)
	switch {
	case err == nil, f.Code == "no_speech":
	case errors.Is(context.Cause(ctx), errPatience):
		said.Complete = false
	case ctx.Err() == nil && len(texts) > 0 && f.Kind != fault.Internal && f.Kind != fault.Unavailable:
		said.Complete = false // the medium ended before its end: what was heard of it is worth having
	default:
		return ours(err)
	}
	said.Text, said.Model = join(said.Text, strings.Join(texts, " ")), cmp.Or(heard.Model, said.Model)
	if heard.Language != "" {
		src.about.Language = heard.Language
	}
	if d := heard.Duration.Seconds(); src.about.Duration == nil && d > 0 && said.Complete {
		src.about.Duration = &d
	}
	return nil
}

// join puts the texts of a list's entries one below the other.
func join(before, text string) string { return strings.TrimSpace(before + "\n\n" + text) }
