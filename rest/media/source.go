package media

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	_ "image/gif"  // for their size
	_ "image/jpeg" // for their size
	_ "image/png"  // for their size
	"io"
	"net/http"
	"net/url"

	"brenda/pipeline/fault"
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
