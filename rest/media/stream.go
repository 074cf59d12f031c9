package media

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"brenda/audio/wav"
	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// event is one server-sent event of a stream.
type event struct {
	Type    string   `json:"type"` // "metadata", "text" or "audio"
	Content any      `json:"content"`
	Level   int      `json:"level,omitempty"` // of a heading, 1…6
	Start   *float64 `json:"start,omitempty"` // seconds
	End     *float64 `json:"end,omitempty"`
	Entry   *int     `json:"entry,omitempty"` // of a list: which one; the times are those within it
}

const (
	longest      = 4 * time.Hour          // of one stream: also a live one ends at last
	pieceSamples = pipeline.InputRate / 4 // what is read of a sound at once
	pieces       = 240                    // how far reading may run ahead of writing down: 60 s
	chunkSamples = 2 * pipeline.InputRate // of one audio event
)

// Stream answers POST /v1/ai/media/url/stream: what is known first, then paragraphs or the transcript, and the sound when
// asked for it, each as soon as it has been read.
func (s *Service) Stream(w http.ResponseWriter, r *http.Request) error {
	req, src, leave, err := s.reach(r)
	if err != nil {
		return err
	}
	defer leave()
	if src.status >= http.StatusBadRequest {
		return src.failed()
	}
	out := httpx.NewStream(w)
	defer out.Close()
	if err := s.stream(r.Context(), out, src, req); err != nil {
		return out.Fail(r, err)
	}
	return out.Finish()
}

func (s *Service) stream(ctx context.Context, out *httpx.Stream, src *source, req request) error {
	switch src.about.Kind {
	case Page:
		return s.streamPage(ctx, out, src, req)
	case File:
		return s.streamText(out, src)
	case Audio, Video, Playlist, Image:
	}
	if err := s.examine(ctx, src); err != nil {
		return err
	}
	switch {
	case src.about.Kind == File:
		return src.unsupported() // it looked like a medium, and is none
	case src.lack != nil:
		return src.lack
	}
	src.close() // the player asks for itself
	return s.streamSound(ctx, out, src, req)
}

// streamText sends the lines of a plain text.
func (s *Service) streamText(out *httpx.Stream, src *source) error {
	if !strings.HasPrefix(http.DetectContentType(src.head), "text/") {
		_, err := s.extractText(src)
		return err
	}
	if err := out.Send(event{Type: "metadata", Content: src.about}); err != nil {
		return err
	}
	for {
		line, err := src.body.ReadString('\n')
		if text := strings.TrimSpace(strings.ToValidUTF8(line, "\uFFFD")); text != "" {
			if err := out.Send(event{Type: "text", Content: text}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// streamPage sends paragraphs while the page arrives. A page that turns out to be a medium is played then.
func (s *Service) streamPage(ctx context.Context, out *httpx.Stream, src *source, req request) error {
	p := newPage(src.body, src.charset(src.head), src.final)
	p.readHead()
	p.describe(&src.about)
	if strings.HasPrefix(p.meta["og:type"], "video") || strings.HasPrefix(p.meta["og:type"], "music.song") {
		return s.streamMedium(ctx, out, src, req, p)
	}
	if err := out.Send(event{Type: "metadata", Content: src.about}); err != nil {
		return err
	}
	for {
		b, ok := p.next()
		if !ok {
			break
		}
		if err := out.Send(event{Type: "text", Content: b.text, Level: b.level}); err != nil {
			return err
		}
	}
	switch {
	case fault.KindOf(p.err) != fault.Internal: // the server's end of it; io.EOF and an endless tag are no faults
		return p.err
	case p.isMedium():
		return s.streamMedium(ctx, out, src, req, p)
	}
	return nil
}

func (s *Service) streamMedium(ctx context.Context, out *httpx.Stream, src *source, req request, p *page) error {
	if err := s.findMedium(ctx, src, p); err != nil {
		return err
	}
	if src.lack != nil {
		return src.lack
	}
	src.close()
	return s.streamSound(ctx, out, src, req)
}

// streamSound sends what is said in a medium, or in those of a list, and the sound when that is wanted.
func (s *Service) streamSound(ctx context.Context, out *httpx.Stream, src *source, req request) error {
	limited, cancel := context.WithTimeoutCause(ctx, longest, errPatience)
	defer cancel()
	var err error
	switch {
	case src.sound != nil:
		err = s.streamOne(limited, out, src, req, nil)
	case src.about.Kind == Playlist:
		err = s.streamList(limited, out, src, req)
	default:
		return out.Send(event{Type: "metadata", Content: src.about})
	}
	if ctx.Err() == nil && errors.Is(context.Cause(limited), errPatience) {
		return nil
	}
	return err
}

// streamList sends what a list holds, then its media in turn, each after what is known of it.
func (s *Service) streamList(ctx context.Context, out *httpx.Stream, src *source, req request) error {
	if err := out.Send(event{Type: "metadata", Content: src.about}); err != nil {
		return err
	}
	return s.each(ctx, src, func(i int, one *source) error {
		return ours(s.streamOne(ctx, out, one, req, &i))
	}, func(i int) error {
		return out.Send(event{Type: "metadata", Content: src.about.Entries[i], Entry: &i})
	})
}

// streamOne sends one medium, which is an entry of a list unless that is nil. Reading runs ahead of writing down, so that
// the sound does not wait for the words; it does wait when the words are a minute behind.
func (s *Service) streamOne(ctx context.Context, out *httpx.Stream, src *source, req request, entry *int) error {
	g, within := errgroup.WithContext(ctx)
	snd, err := s.play.Play(within, *src.sound)
	if err != nil {
		return err
	}
	defer snd.Close()
	if err := out.Send(event{Type: "metadata", Content: src.about, Entry: entry}); err != nil {
		return err
	}
	q := &queue{ctx: within, pieces: make(chan []float32, pieces)}
	var early error // why the medium ended before its end: told when what was read is written down
	g.Go(func() error {
		defer close(q.pieces)
		early = q.fill(snd, func(at int64, pcm []float32) error {
			if !req.audio() {
				return nil
			}
			start, end := seconds(at), seconds(at+int64(len(pcm)))
			sound := wav.Encode(pcm, pipeline.InputRate)
			return out.Send(event{Type: "audio", Content: sound, Start: &start, End: &end, Entry: entry})
		})
		return nil
	})
	g.Go(func() error {
		o := pipeline.ListenOptions{Language: req.Language, Quick: true}
		_, err := s.listener.Listen(within, q, o, func(t pipeline.Segment) error {
			return out.Send(event{Type: "text", Content: t.Text, Start: &t.Start, End: &t.End, Entry: entry})
		})
		if f := fault.As(err); f != nil && f.Code == "no_speech" {
			return nil
		}
		return err
	})
	if err = g.Wait(); err == nil {
		err = early
	}
	return err
}

func seconds(samples int64) float64 { return float64(samples) / pipeline.InputRate }
