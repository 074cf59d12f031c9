package media

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html/charset"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/rest/httpx"
)

// A list of media is played from its first entry to its last, as players do: the list of a radio station has one, or the
// same station several times, of which the first that works goes on for ever.

const (
	maxEntries = 100
	maxNested  = 2 // lists within lists; there the first entry stands for all
)

// list returns the entries of an M3U, PLS or XSPF list.
func list(text string, base *url.URL) []Entry {
	raw, ok := spiff(text)
	if !ok {
		raw = lines(text)
	}
	entries := []Entry{}
	for _, e := range raw {
		u, err := base.Parse(e.URL)
		if err != nil {
			continue
		}
		if u, err = outbound.Target(u.String()); err == nil && len(entries) < maxEntries {
			e.URL = u.String()
			entries = append(entries, e)
		}
	}
	return entries
}

// spiff reads XSPF (xspf.org, version 1). ok is false when it is something else.
func spiff(text string) (entries []Entry, ok bool) {
	if !strings.Contains(text[:min(len(text), headBytes)], "<playlist") {
		return nil, false
	}
	var doc struct {
		Tracks []struct {
			Location []string `xml:"location"`
			Title    string   `xml:"title"`
			Duration float64  `xml:"duration"` // ms
		} `xml:"trackList>track"`
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.CharsetReader = false, charset.NewReaderLabel
	_ = d.Decode(&doc) // of a broken list what came before the break is worth having
	for _, t := range doc.Tracks {
		if len(t.Location) > 0 {
			e := Entry{URL: strings.TrimSpace(t.Location[0]), Title: squeeze(t.Title)}
			if t.Duration > 0 {
				e.Duration = t.Duration / 1000
			}
			entries = append(entries, e)
		}
	}
	return entries, true
}

// lines reads M3U and PLS.
func lines(text string) []Entry {
	var entries []Entry
	title, titles := "", map[string]string{} // PLS: by number
	var numbers []string
	for line := range strings.Lines(text) {
		line = strings.ToValidUTF8(strings.TrimSpace(strings.TrimPrefix(line, "\uFEFF")), "\uFFFD")
		if info, ok := strings.CutPrefix(line, "#EXTINF:"); ok {
			_, title, _ = strings.Cut(info, ",")
			continue
		}
		key, value, assigned := strings.Cut(line, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		number := ""
		switch name, isTitle := strings.CutPrefix(key, "title"); {
		case assigned && strings.HasPrefix(key, "file"):
			line, number = strings.TrimSpace(value), key[len("file"):]
		case assigned && isTitle && len(name) < 4:
			titles[name] = strings.TrimSpace(value)
			continue
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") || assigned && !strings.Contains(key, "/"):
			continue
		}
		entries, numbers = append(entries, Entry{URL: line, Title: strings.TrimSpace(title)}), append(numbers, number)
		title = ""
	}
	for i, n := range numbers {
		if n != "" {
			entries[i].Title = cmp.Or(entries[i].Title, titles[n])
		}
	}
	return entries
}

// each visits the media of a list in turn. Those that cannot be reached or played are passed over: the list says why, and
// skip is told. It fails when ctx ends, when visit fails for another reason than its medium, and when no medium could be
// played.
func (s *Service) each(ctx context.Context, of *source, visit func(i int, src *source) error, skip func(i int) error) error {
	var why error
	played := false
	for i := range of.about.Entries {
		e := &of.about.Entries[i]
		src, err := s.entry(ctx, e.URL, 1)
		if err == nil {
			err = visit(i, src)
		}
		var gone *leftError
		switch {
		case errors.As(err, &gone):
			return gone.error
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			p := httpx.Describe(err)
			e.Error, why = &p, err
			if err := skip(i); err != nil {
				return err
			}
		default:
			played = true
		}
	}
	if why != nil && !played {
		return why
	}
	return nil
}

// leftError ends a list: what failed is not the medium.
type leftError struct{ error }

// Unwrap returns the cause.
func (l *leftError) Unwrap() error { return l.error }

// ours marks a failure that every other medium would meet too: of the server that listens, or of the way to the client.
func ours(err error) error {
	if f := fault.As(err); f != nil && (f.Kind == fault.Internal || f.Kind == fault.Unavailable) {
		return &leftError{err}
	}
	return err
}

// entry asks for an entry of a list, and finds out where its sound is to be read.
func (s *Service) entry(ctx context.Context, address string, depth int) (*source, error) {
	u, err := outbound.Target(address)
	if err != nil {
		return nil, err
	}
	src, err := s.open(ctx, u)
	if err != nil {
		return nil, err
	}
	defer src.close()
	if src.status >= http.StatusBadRequest {
		return nil, src.failed()
	}
	if err := s.examine(ctx, src); err != nil {
		return nil, err
	}
	switch {
	case src.lack != nil:
		return nil, src.lack
	case src.about.Kind == Playlist && len(src.about.Entries) > 0 && depth < maxNested:
		return s.entry(ctx, src.about.Entries[0].URL, depth+1)
	case src.sound == nil:
		return nil, src.unsupported()
	}
	return src, nil
}

// readList reads the list that the source is.
func (src *source) readList() error {
	text, err := io.ReadAll(io.LimitReader(src.body, peekBytes))
	if err != nil && fault.KindOf(err) != fault.TooLarge {
		return err
	}
	src.about.Entries = list(string(text), src.final)
	return nil
}
