// Package imagepeer asks servers that make pictures over HTTP. It is what their adapters have in common: bounded
// answers, a bound on silence, and failures as faults that name the setting to look at.
package imagepeer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"brenda/pipeline/fault"
)

// Config says where a server is.
type Config struct {
	URL string // the server's root: "http://127.0.0.1:1234"; a user and a password in it are sent
	Key string // a bearer token; with a colon in it, a user and a password; may be empty
	// Transport sends the requests; nil means TCP, one connection each.
	Transport http.RoundTripper
}

const (
	// MaxAnswer bounds an answer that holds a picture, in bytes: a 2048×2048 PNG of noise in base64 has 23 million, and
	// some servers send the picture to start from back along with it.
	MaxAnswer = 64 << 20
	// MaxList bounds every other answer.
	MaxList = 4 << 20

	listTimeout   = 10 * time.Second
	cancelTimeout = 5 * time.Second
	maxRefusal    = 64 << 10
)

// Peer is a server that makes pictures. It may be used from many goroutines and owns none.
type Peer struct {
	base string
	key  string
	http *http.Client
}

// New returns a peer. It fails on an URL that cannot be one; the server need not be up.
func New(cfg Config) (*Peer, error) {
	u, err := url.Parse(strings.TrimSpace(cfg.URL))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fault.New(fault.Invalid, "invalid_request", "image.url must be like http://127.0.0.1:1234")
	}
	u.RawQuery, u.Fragment = "", ""
	tr := cfg.Transport
	if tr == nil {
		tr = oneEach()
	}
	return &Peer{
		base: strings.TrimSuffix(strings.TrimRight(u.String(), "/"), "/v1"), key: cfg.Key,
		http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a server that sends elsewhere is not the one that was configured
		}},
	}, nil
}

// Root returns the server's address, without a path of the interface.
func (p *Peer) Root() string { return p.base }

// oneEach makes a connection for each request: local servers close idle ones without notice, and a POST is not tried again.
func oneEach() http.RoundTripper {
	tr, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		tr = &http.Transport{}
	}
	tr = tr.Clone()
	tr.DisableKeepAlives = true
	return tr
}

// Get asks for a short answer and decodes it into out, within 10 seconds.
func (p *Peer) Get(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, errSilent)
	defer cancel()
	return p.do(ctx, http.MethodGet, path, "", nil, MaxList, out)
}

// GetPicture is Get for an answer that may hold a picture.
func (p *Peer) GetPicture(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*listTimeout, errSilent)
	defer cancel()
	return p.do(ctx, http.MethodGet, path, "", nil, MaxAnswer, out)
}

// Post sends v as JSON and decodes the answer, which may hold a picture, into out. Nothing but ctx bounds its time.
func (p *Peer) Post(ctx context.Context, path string, v, out any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return p.do(ctx, http.MethodPost, path, "application/json", body, MaxAnswer, out)
}

// PostForm is Post for a body of another kind.
func (p *Peer) PostForm(ctx context.Context, path, kind string, body []byte, out any) error {
	return p.do(ctx, http.MethodPost, path, kind, body, MaxAnswer, out)
}

// Tell posts something that must be said although ctx may have ended: a cancellation. It takes 5 seconds at most.
func (p *Peer) Tell(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), cancelTimeout, errSilent)
	defer cancel()
	return p.do(ctx, http.MethodPost, path, "application/json", []byte("{}"), MaxList, nil)
}

func (p *Peer) do(ctx context.Context, method, path, kind string, body []byte, limit int64, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if user, password, two := strings.Cut(p.key, ":"); two {
		req.SetBasicAuth(user, password)
	} else if p.key != "" {
		req.Header.Set("Authorization", "Bearer "+p.key)
	}
	res, err := p.http.Do(req)
	if err != nil {
		return explain(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal)) // as much as there is: for the log
		return refusal(res, text)
	}
	if out == nil {
		return nil
	}
	return decode(ctx, res.Body, limit, out)
}

var errTooLong = errors.New("the answer is too long")

// decode reads one JSON value of limit bytes at most, and nothing after it.
func decode(ctx context.Context, body io.Reader, limit int64, out any) error {
	r := &io.LimitedReader{R: body, N: limit + 1}
	data, err := io.ReadAll(r)
	switch {
	case err != nil:
		return explain(ctx, err)
	case r.N <= 0:
		return Broken(errTooLong)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return Broken(err)
	}
	return nil
}
