package outbound

import (
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"brenda/pipeline/fault"
)

// maxAsked is how many requests and tunnels one child may open. A page whose medium is found takes a few, that of a large
// site some twenty; a page that leads to itself by means that no proxy sees, within TLS or by its own text, takes all.
const maxAsked = 100

// hops counts how far a child follows redirects. Its zero value is ready.
//
// A child follows them by itself, so the proxy sees requests that have nothing to do with each other. What joins them is
// the address: who asks for where a redirect led is one step further than who was redirected.
type hops struct {
	asked atomic.Int64
	mu    sync.Mutex
	depth map[string]int // by address: redirects that led there
}

// TooManyRedirects returns the fault of a URL that leads on and on.
func TooManyRedirects() error {
	return fault.New(fault.Upstream, "too_many_redirects", "the URL is redirected more than %d times", MaxRedirects)
}

// ask counts a request or a tunnel. It fails when there were too many.
func (h *hops) ask() error {
	if h.asked.Add(1) > maxAsked {
		return fault.New(fault.Upstream, "too_many_requests", "the page leads to more than %d others", maxAsked)
	}
	return nil
}

// follow looks at an answer. It fails when that is one redirect too many.
func (h *hops) follow(resp *http.Response) error {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return nil
	}
	to, err := resp.Location()
	if err != nil {
		return nil // a redirect to nowhere is none
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.depth[place(resp.Request.URL)] + 1
	if n > MaxRedirects {
		return TooManyRedirects()
	}
	if h.depth == nil {
		h.depth = map[string]int{}
	}
	h.depth[place(to)] = max(n, h.depth[place(to)])
	return nil
}

// place is what two addresses have in common that a child asks for alike.
func place(u *url.URL) string {
	host := u.Host
	if ascii, err := asciiHost(u); err == nil {
		host = ascii
	}
	return u.Scheme + "://" + host + u.EscapedPath() + "?" + escapeQuery(u.RawQuery)
}
