package media

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"image"
	_ "image/gif"  // for their size
	_ "image/jpeg" // for their size
	_ "image/png"  // for their size
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

// Kind is what is behind a URL.
type Kind string

// The kinds.
const (
	Page     Kind = "page"
	Audio    Kind = "audio"
	Video    Kind = "video"
	Image    Kind = "image"
	Playlist Kind = "playlist"
	File     Kind = "file"
)

// About is what is known of a URL. What is unknown is empty, or null.
type About struct {
	URL         string   `json:"url"`
	Final       string   `json:"final_url"`
	Status      int      `json:"status"`
	Kind        Kind     `json:"kind"`
	ContentType string   `json:"content_type"`
	Size        *int64   `json:"size"` // bytes
	Title       string   `json:"title"`
	Description string   `json:"description"`
	SiteName    string   `json:"site_name"`
	Author      string   `json:"author"`
	Published   string   `json:"published"` // RFC 3339, or as the page has it
	Language    string   `json:"language"`
	Image       string   `json:"image"`
	Duration    *float64 `json:"duration"` // seconds
	Live        bool     `json:"live,omitempty"`
	Formats     []Format `json:"formats"`
	Entries     []Entry  `json:"entries,omitempty"`
}

// source is a URL that was asked for: what is known of it, and its body from the first byte.
type source struct {
	about  About
	status int
	final  *url.URL
	header http.Header
	body   *bufio.Reader
	head   []byte // the first bytes
	sound  *Input // where sound is to be read, once known
	lack   error  // why it is not known where sound is to be read
	close  func()
}

const (
	headBytes   = 3072    // what mimetype looks at
	enoughBytes = 64      // tells most kinds apart
	peekBytes   = 2 << 20 // of a page, for analyze
)

// open asks for u and tells the kind of what comes.
func (s *Service) open(ctx context.Context, u *url.URL) (*source, error) {
	ans, err := s.fetch.Get(ctx, u)
	if err != nil {
		return nil, err
	}
	src := &source{
		final: ans.URL, status: ans.Status, header: ans.Header, close: func() { _ = ans.Body.Close() },
		body:  bufio.NewReaderSize(ans.Body, 64<<10),
		about: About{URL: u.String(), Final: ans.URL.String(), Status: ans.Status, Formats: []Format{}},
	}
	if ans.Status >= http.StatusInternalServerError {
		src.close()
		return nil, src.failed()
	}
	if src.head, err = peek(src.body); err != nil {
		src.close()
		return nil, err
	}
	if ans.Size >= 0 {
		src.about.Size = &ans.Size
	}
	src.about.ContentType, src.about.Kind = classify(ans.Header.Get("Content-Type"), ans.URL.Path, src.head)
	return src, nil
}

// failed is the fault of a server that answers with a status of failure.
func (src *source) failed() error {
	return fault.New(fault.Upstream, "upstream_failed", "the server behind the URL answered %d %s",
		src.status, http.StatusText(src.status))
}

// peek returns the first bytes as soon as there are enough to tell what they are.
func peek(r *bufio.Reader) ([]byte, error) {
	_, err := r.Peek(1)
	if err == nil && r.Buffered() < enoughBytes {
		_, err = r.Peek(enoughBytes)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head, err := r.Peek(min(r.Buffered(), headBytes))
	return bytes.Clone(head), err
}

// classify tells the kind of what begins with head. What the bytes say is stronger than what the server says, unless
// they say no more than "text" or "data".
func classify(declared, path string, head []byte) (string, Kind) {
	said, _, err := mime.ParseMediaType(declared)
	if err != nil {
		said = ""
	}
	if said == "" || said == "application/octet-stream" {
		if byName, _, err := mime.ParseMediaType(mime.TypeByExtension(extension(path))); err == nil {
			said = byName
		}
	}
	seen := sniff(head)
	kind := kindOf(seen)
	vague := seen == "" || kind == File && (strings.HasPrefix(seen, "text/") || seen == "application/octet-stream" ||
		strings.Contains(seen, "xml"))
	if !vague {
		return clean(declared, seen), kind
	}
	kind = kindOf(said)
	if kind == Image && said != "image/svg+xml" || (kind == Audio || kind == Video) && printable(head) {
		kind = File // it says so, and is not
	}
	return clean(declared, seen), kind
}

func clean(declared, seen string) string {
	if declared != "" {
		return strings.ToValidUTF8(declared, "\uFFFD")
	}
	return seen
}

func extension(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 && !strings.Contains(path[i:], "/") {
		return strings.ToLower(path[i:])
	}
	return ""
}

// printable tells whether the bytes look like a text.
func printable(head []byte) bool {
	return len(head) > 0 && strings.HasPrefix(http.DetectContentType(head), "text/")
}

// sniff returns the media type that the bytes themselves show, without parameters.
func sniff(head []byte) string {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(head) == 0:
		return ""
	case bytes.HasPrefix(trimmed, []byte("#EXTM3U")):
		if bytes.Contains(trimmed, []byte("#EXT-X-")) {
			return typeHLS
		}
		return typeM3U
	case bytes.HasPrefix(bytes.ToLower(trimmed[:min(len(trimmed), 10)]), []byte("[playlist]")):
		return typePLS
	case bytes.Contains(head[:min(len(head), 1024)], []byte("<MPD")) && bytes.HasPrefix(trimmed, []byte("<")):
		return typeDASH
	}
	seen, _, _ := mime.ParseMediaType(mimetype.Detect(head).String()) // its names are well-formed
	if seen == "application/octet-stream" || seen == "text/plain" {
		if other, _, err := mime.ParseMediaType(http.DetectContentType(head)); err == nil && other != "text/plain" {
			return other
		}
	}
	return seen
}

// Media types of lists.
const (
	typeHLS  = "application/vnd.apple.mpegurl"
	typeDASH = "application/dash+xml"
	typeM3U  = "audio/x-mpegurl"
	typePLS  = "audio/x-scpls"
)

func kindOf(mediaType string) Kind {
	switch mediaType {
	case "text/html", "application/xhtml+xml":
		return Page
	case typeHLS, "application/x-mpegurl", typeDASH:
		return Video
	case typeM3U, "audio/mpegurl", typePLS, "application/pls+xml", "application/xspf+xml":
		return Playlist
	case "application/ogg":
		return Audio
	case "image/svg+xml":
		return Image
	}
	switch family, _, _ := strings.Cut(mediaType, "/"); family {
	case "audio":
		return Audio
	case "video":
		return Video
	case "image":
		return Image
	}
	return File
}

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
		text, err := io.ReadAll(io.LimitReader(src.body, peekBytes))
		if err != nil && fault.KindOf(err) != fault.TooLarge {
			return err
		}
		src.about.Entries = list(string(text), src.final)
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
	if found.Playlist && len(found.Entries) > 1 {
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

// examineMedium asks ffprobe. Without it, or where it fails, what the server says is all there is.
func (s *Service) examineMedium(ctx context.Context, src *source) error {
	in := Input{URL: src.about.Final}
	src.sound = &in
	if sniff(src.head) == typeDASH {
		return nil // the player cannot read it, but a video it is
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

// list returns the entries of an M3U or PLS list.
func list(text string, base *url.URL) []Entry {
	entries := []Entry{}
	title := ""
	for line := range strings.Lines(text) {
		line = strings.ToValidUTF8(strings.TrimSpace(line), "\uFFFD")
		if info, ok := strings.CutPrefix(line, "#EXTINF:"); ok {
			_, title, _ = strings.Cut(info, ",")
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(strings.ToLower(key), "file") {
			line = value
		} else if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") || ok && !strings.Contains(key, "/") {
			continue
		}
		u, err := base.Parse(line)
		if err != nil {
			continue
		}
		if u, err = outbound.Target(u.String()); err == nil && len(entries) < maxEntries {
			entries = append(entries, Entry{URL: u.String(), Title: title})
		}
		title = ""
	}
	return entries
}

const maxEntries = 100
