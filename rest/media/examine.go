package media

import (
	"bytes"
	"context"
	"image"
	"io"
	"net/http"
	"slices"

	"brenda/pipeline/fault"
)

// examine finds out the rest: of a page from its beginning, of a medium from its tracks.
func (s *Service) examine(ctx context.Context, src *source) error {
	switch src.about.Kind {
	case Page:
		return s.examinePage(ctx, src)
	case Audio, Video:
		return s.examineMedium(ctx, src)
	case Image:
		if c, name, err := image.DecodeConfig(bytes.NewReader(src.head)); err == nil {
			src.about.Formats = append(src.about.Formats, Format{Ext: name, Width: c.Width, Height: c.Height})
		}
	case Playlist:
		return src.readList()
	case File:
	}
	return nil
}

// examinePage reads the beginning of a page.
func (s *Service) examinePage(ctx context.Context, src *source) error {
	beginning, err := io.ReadAll(io.LimitReader(src.body, peekBytes))
	if err != nil {
		return err
	}
	if src.about.Size == nil && len(beginning) < peekBytes {
		n := int64(len(beginning))
		src.about.Size = &n
	}
	p := newPage(bytes.NewReader(beginning), src.charset(beginning), src.final)
	p.readAll()
	p.describe(&src.about)
	if p.isMedium() && src.status < http.StatusBadRequest {
		return s.findMedium(ctx, src, p)
	}
	src.about.Formats = append(src.about.Formats, p.formats()...)
	return nil
}

// findMedium asks what sound or video a page shows. What the page itself says stays the stronger; where nobody can be
// asked it is all there is.
func (s *Service) findMedium(ctx context.Context, src *source, p *page) error {
	src.about.Kind = p.mediumKind()
	found, err := s.find.Find(ctx, src.about.Final)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil || len(found.Formats) == 0 && len(found.Entries) == 0:
		src.about.Formats = append(src.about.Formats, p.formats()...)
		switch {
		case len(p.media) > 0:
			src.sound = &Input{URL: p.media[0].url, Header: map[string]string{"Referer": src.about.Final}}
		case err == nil || fault.KindOf(err) == fault.Unsupported:
			src.about.Kind = Page // it only said so
		default:
			src.lack = err
		}
		return nil
	}
	src.about.add(found)
	src.sound = found.Sound
	if found.Playlist && (len(found.Entries) > 1 || found.Sound == nil) {
		src.about.Kind = Playlist
	}
	return nil
}

// add fills in what was not known yet.
func (a *About) add(f Found) {
	fill(&a.Title, f.Title)
	fill(&a.Description, f.Description)
	fill(&a.Author, f.Author)
	fill(&a.SiteName, f.Site)
	fill(&a.Published, f.Published)
	fill(&a.Language, f.Language)
	fill(&a.Image, f.Image)
	if f.Duration > 0 {
		a.Duration = &f.Duration
	}
	a.Live = f.Live
	a.Formats = append(a.Formats, f.Formats...)
	a.Entries = append(a.Entries, f.Entries...)
}

func fill(at *string, with string) {
	if *at == "" {
		*at = with
	}
}

// examineManifest asks the finder what files a DASH manifest names. The player has no network, and reads what it is given.
func (s *Service) examineManifest(ctx context.Context, src *source) error {
	found, err := s.find.Find(ctx, src.about.Final)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		src.lack = err // that it is a video is all there is
		return nil     //nolint:nilerr // told by those who want to play it
	}
	found.Title = "" // that of the file's name
	src.about.add(found)
	if src.sound = found.Sound; found.Live {
		src.sound, src.lack = nil, fault.New(fault.Unsupported, "unsupported_media",
			"a live DASH stream cannot be read; give the URL of the same station's HLS playlist (.m3u8)")
	}
	if !slices.ContainsFunc(found.Formats, func(f Format) bool { return f.VCodec != "none" }) {
		src.about.Kind = Audio
	}
	return nil
}

// examineMedium asks ffprobe. Without it, or where it fails, what the server says is all there is.
func (s *Service) examineMedium(ctx context.Context, src *source) error {
	in := Input{URL: src.about.Final}
	src.sound = &in
	if sniff(src.head) == typeDASH {
		return s.examineManifest(ctx, src)
	}
	probe, err := s.play.Probe(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch fault.KindOf(err) {
		case fault.Unsupported:
			src.about.Kind, src.sound = File, nil
			return nil
		case fault.Unavailable, fault.TooLarge:
			return nil // what the server says is all there is
		default:
			return err
		}
	}
	src.about.add(Found{
		Title: probe.Title, Author: probe.Author, Site: probe.Site, Description: probe.Description,
		Published: probe.Published, Language: probe.Language, Duration: probe.Duration, Live: probe.Live,
		Formats: probe.Formats,
	})
	switch {
	case probe.Video:
		src.about.Kind = Video
	case probe.Audio:
		src.about.Kind = Audio
	}
	if !probe.Audio {
		src.sound = nil
	}
	return nil
}
