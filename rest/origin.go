package rest

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"brenda/pipeline/fault"
)

// hosts are the names under which a server without tokens answers. A page of a foreign name that resolves to
// this machine (DNS rebinding) would be of the same origin as the server, and is told apart by nothing but
// the Host header.
type hosts []string

func newHosts(names []string) hosts {
	hs := make(hosts, 0, len(names))
	for _, n := range names {
		hs = append(hs, strings.ToLower(strings.TrimSpace(n)))
	}
	return hs
}

func (hs hosts) check(r *http.Request) error {
	full := strings.ToLower(r.Host)
	name := hostname(full)
	if isLoopback(name) || slices.Contains(hs, name) || full != "" && slices.Contains(hs, full) {
		return nil
	}
	return fault.New(fault.Misdirected, "wrong_host",
		"this server does not answer for that Host; add it to the setting hosts, or configure tokens")
}

// hostname returns host without port, brackets and the root's dot.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func isLoopback(name string) bool {
	if name == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// origins are the foreign pages that may use the assistant.
type origins struct {
	any  bool
	list []string
}

func newOrigins(list []string) origins {
	o := origins{any: slices.Contains(list, "*")}
	for _, s := range list {
		o.list = append(o.list, strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "/")))
	}
	return o
}

func (o origins) allow(origin string) bool {
	return o.any || slices.Contains(o.list, strings.ToLower(origin))
}

// origin returns the page that a request comes from, "" for a client that is no browser, and whether it is
// foreign: neither from this machine nor from the host that was asked.
func origin(r *http.Request) (from string, foreign bool) {
	from = strings.Join(r.Header.Values("Origin"), ", ")
	if from == "" {
		return "", false
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return from, true
	}
	name := hostname(u.Host)
	return from, !isLoopback(name) && name != hostname(r.Host)
}

// reflectOrigin lets the page from read the answer.
func reflectOrigin(h http.Header, from string) {
	if from == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", from)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "X-Session-ID, X-Request-ID, Retry-After")
}

func errForeign() error {
	return fault.New(fault.Forbidden, "foreign_origin",
		"a page of this origin may not use this; send a valid token, or allow it in the setting cors.origins")
}
