package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"brenda/pipeline/fault"
)

// clients are the HTTP sides of a Guard.
type clients struct {
	direct *http.Client    // for Get
	relay  *http.Transport // for children, who follow redirects and decompress by themselves
}

func newClients(g *Guard) *clients {
	transport := func() *http.Transport {
		return &http.Transport{
			Proxy:       nil, // what the environment says is not for addresses that clients choose
			DialContext: g.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: connectTimeout, ResponseHeaderTimeout: g.cfg.FirstByte,
			MaxResponseHeaderBytes: 256 << 10, MaxIdleConns: 16, IdleConnTimeout: 10 * time.Second,
		}
	}
	direct, relay := transport(), transport()
	relay.DisableCompression, relay.DisableKeepAlives, relay.ForceAttemptHTTP2 = true, true, false
	return &clients{direct: &http.Client{Transport: direct, CheckRedirect: redirect}, relay: relay}
}

func (c *clients) close() {
	c.direct.CloseIdleConnections()
	c.relay.CloseIdleConnections()
}

// redirect decides whether a redirect is followed.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirects {
		return TooManyRedirects()
	}
	u, err := Target(req.URL.String())
	if err != nil {
		return fault.Wrap(err, fault.Forbidden, "forbidden_redirect", "the URL is redirected to what is not http or https")
	}
	req.URL, req.Host = u, u.Host
	req.Header.Del("Referer")
	return nil
}

// Answer is what a server answers. Body is decompressed, and must be closed.
type Answer struct {
	URL    *url.URL // after redirects
	Status int
	Header http.Header
	Size   int64 // of the body, −1 when the server does not tell
	Body   io.ReadCloser
}

// Get asks for u, following at most MaxRedirects redirects. Of its body at most Config.Bytes are read: what is more is
// fault.TooLarge. A silence longer than Config.FirstByte ends it with fault.Timeout, and so does Config.Total. No cookie and
// no credential is sent.
func (g *Guard) Get(ctx context.Context, u *url.URL) (*Answer, error) {
	return g.fetch(ctx, u, nil, time.Now().Add(g.cfg.Total))
}

// Fetch is Get for what may go on, such as a radio station: nothing but ctx bounds its time. It sends headers that the
// server wants to see, but only those that name no person and no session: User-Agent, Referer, Origin, Range, Accept and
// Accept-Language.
func (g *Guard) Fetch(ctx context.Context, u *url.URL, header map[string]string) (*Answer, error) {
	return g.fetch(ctx, u, header, time.Time{})
}

func (g *Guard) fetch(ctx context.Context, u *url.URL, header map[string]string, end time.Time) (*Answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := &watch{ctx: ctx, cancel: cancel, limit: g.cfg.FirstByte, end: end}
	watch.timer = time.AfterFunc(watch.limit, func() { cancel(errSilent()) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		watch.stop()
		return nil, fault.Field("url", "url is not an address that can be read")
	}
	req.Header.Set("User-Agent", g.cfg.Agent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,audio/*,video/*,image/*,*/*;q=0.8")
	req.Header.Set("Accept-Language", "fr,en;q=0.5")
	for name, value := range header {
		switch name = http.CanonicalHeaderKey(name); name {
		case "User-Agent", "Referer", "Origin", "Range", "Accept", "Accept-Language":
			req.Header.Set(name, value)
		}
	}
	resp, err := g.client.direct.Do(req)
	if err != nil {
		err = Explain(ctx, err)
		watch.stop()
		return nil, err
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		watch.stop()
		_ = resp.Body.Close() // the answer is of no use
		return nil, fault.New(fault.Upstream, "upstream_failed", "the server compresses in a way that was not asked for")
	}
	return &Answer{
		URL: resp.Request.URL, Status: resp.StatusCode, Header: resp.Header, Size: resp.ContentLength,
		Body: &body{ReadCloser: resp.Body, watch: watch, left: g.cfg.Bytes},
	}, nil
}

func errSilent() error {
	return fault.New(fault.Timeout, "upstream_timeout", "the server behind the URL is too slow")
}

// watch ends a fetch that is silent for too long.
type watch struct {
	ctx    context.Context //nolint:containedctx // that of the fetch
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
	end    time.Time // zero for none
}

func (w *watch) again() {
	limit := w.limit
	if !w.end.IsZero() {
		limit = min(limit, max(time.Until(w.end), 0))
	}
	w.timer.Reset(limit)
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// body is an answer's body within its limits.
type body struct {
	io.ReadCloser
	watch *watch
	left  int64
}

// Read implements io.Reader. The time between two calls is the caller's own.
func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, TooLarge()
	}
	b.watch.again()
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	b.watch.timer.Stop()
	if b.left -= int64(n); b.left < 0 {
		return n - 1, TooLarge()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = Explain(b.watch.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.watch.stop()
	return b.ReadCloser.Close()
}

// TooLarge returns the fault of a medium that is over the limit.
func TooLarge() error {
	return fault.New(fault.TooLarge, "too_large", "what is behind the URL is larger than what is read of it")
}
