package outbound_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/pipeline/outbound/outboundtest"
)

func contextWithCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	return context.WithCancelCause(t.Context())
}

// child is a client as a child process would be.
func child(t *testing.T, l *outbound.Lease, srv *httptest.Server) *http.Client {
	t.Helper()
	u, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(u)}
	if srv != nil && srv.TLS != nil {
		tr.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func lease(t *testing.T, g *outbound.Guard) *outbound.Lease {
	t.Helper()
	l, err := g.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLeaseRelays(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-For")+r.Header.Get("Via") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
		io.WriteString(w, r.Header.Get("Range")+" "+r.URL.Path)
	})
	plain, tls := httptest.NewServer(h), httptest.NewTLSServer(h)
	t.Cleanup(plain.Close)
	t.Cleanup(tls.Close)
	g := outboundtest.Guard(t, outbound.Config{}, plain.URL, tls.URL)
	for _, srv := range []*httptest.Server{plain, tls} {
		l := lease(t, g)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/a", nil)
		req.Header.Set("Range", "bytes=1-2")
		resp, err := child(t, l, srv).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || string(b) != "bytes=1-2 /a" || l.Err() != nil {
			t.Errorf("%d %q %v", resp.StatusCode, b, l.Err())
		}
	}
}

// TestLeaseRefuses: all that a child could ask for, by plain requests and by tunnels.
func TestLeaseRefuses(t *testing.T) {
	srv, trap := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := outboundtest.Guard(t, outbound.Config{Resolver: outboundtest.Resolver(func(_ string, v6 bool, _ int) []netip.Addr {
		if v6 {
			return []netip.Addr{netip.MustParseAddr("::1")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	})}, srv.URL)
	hosts := []string{trap.Addr, "inside.test:" + strings.Split(trap.Addr, ":")[1], "127.0.0.1:1"}
	for _, h := range forbidden {
		if h != "127.0.0.1" {
			hosts = append(hosts, h+":80")
		}
	}
	for _, host := range hosts {
		for _, first := range []string{"GET http://" + host + "/ HTTP/1.1\r\nHost: " + host, "CONNECT " + host + " HTTP/1.1\r\nHost: " + host} {
			l := lease(t, g)
			c, err := net.Dial("tcp", strings.TrimPrefix(l.URL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, first+"\r\nConnection: close\r\n\r\n")
			b, _ := io.ReadAll(c)
			c.Close()
			if !bytes.HasPrefix(b, []byte("HTTP/1.1 403")) && !bytes.HasPrefix(b, []byte("HTTP/1.1 400")) && !bytes.HasPrefix(b, []byte("HTTP/1.1 502")) ||
				bytes.Contains(b, []byte("secret")) {
				t.Errorf("%s: %.60q", first, b)
			}
		}
	}
	l := lease(t, g)
	resp, err := child(t, l, nil).Get("http://" + trap.Addr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	wantKind(t, "why", l.Err(), fault.Forbidden, "forbidden_address")
}

// TestLeaseCounts: redirects in a row, by whatever addresses, and requests.
func TestLeaseCounts(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := 0; {
		case r.URL.Path == "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case r.URL.Path == "/both":
			http.Redirect(w, r, "/both?"+r.URL.RawQuery+"+é", http.StatusSeeOther)
		case strings.HasPrefix(r.URL.Path, "/chain/"):
			if fmt.Sscanf(r.URL.Path, "/chain/%d", &n); n > 0 {
				http.Redirect(w, r, fmt.Sprintf("http://%s/chain/%d#part", r.Host, n-1), http.StatusMovedPermanently)
			}
		case r.URL.Path == "/304":
			w.Header().Set("Location", "/304")
			w.WriteHeader(http.StatusNotModified)
		}
	})
	g := outboundtest.Guard(t, outbound.Config{}, srv.URL)
	for path, want := range map[string]int{
		"/loop": 502, "/both": 502, "/304": 304, "/chain/1": 200,
		fmt.Sprintf("/chain/%d", outbound.MaxRedirects): 200, fmt.Sprintf("/chain/%d", outbound.MaxRedirects+1): 502,
	} {
		l := lease(t, g)
		c := child(t, l, nil)
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
		for range 2 { // asking again is no further redirect
			resp, err := c.Get(srv.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
		if f := fault.As(l.Err()); (want == 502) != (f != nil && f.Code == "too_many_redirects") {
			t.Errorf("%s: %v", path, l.Err())
		}
	}
	l := lease(t, g)
	c, last := child(t, l, nil), 0
	for i := range 200 {
		resp, err := c.Get(fmt.Sprint(srv.URL, "/", i))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if last = resp.StatusCode; last != http.StatusOK {
			break
		}
	}
	if f := fault.As(l.Err()); last != http.StatusBadGateway || f == nil || f.Code != "too_many_requests" {
		t.Errorf("%d, %v", last, l.Err())
	}
}

// TestLeaseRebinding: a child resolves nothing by itself, so a name cannot change its address behind the check.
func TestLeaseRebinding(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	g := outboundtest.Guard(t, outbound.Config{Resolver: outboundtest.Resolver(func(_ string, v6 bool, n int) []netip.Addr {
		switch {
		case v6:
			return nil
		case n == 0:
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	})}, srv.URL)
	l := lease(t, g)
	for i, want := range []int{200, 403, 403} {
		u := "http://rebind.test:" + strings.Split(strings.TrimPrefix(srv.URL, "http://"), ":")[1]
		resp, err := child(t, l, nil).Get(u)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("request %d: %d", i, resp.StatusCode)
		}
	}
}

func TestLeaseLimitsAndEnds(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for b := make([]byte, 32<<10); r.Context().Err() == nil; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	})
	plain, tls := httptest.NewServer(h), httptest.NewTLSServer(h)
	t.Cleanup(plain.Close)
	t.Cleanup(tls.Close)
	g := outboundtest.Guard(t, outbound.Config{Bytes: 1 << 20}, plain.URL, tls.URL)
	for _, srv := range []*httptest.Server{plain, tls} {
		l := lease(t, g)
		resp, err := child(t, l, srv).Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil || n > 1<<20 || !l.Exceeded() {
			t.Errorf("%d bytes, %v", n, err)
		}
		wantKind(t, "limit", l.Err(), fault.TooLarge, "")
	}
	big := outboundtest.Guard(t, outbound.Config{}, tls.URL)
	l := lease(t, big)
	resp, err := child(t, l, tls).Get(tls.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("a tunnel outlives its lease")
	}
}

// TestCommand: a child sees the proxy and nothing else of the environment, and ends as a whole group.
func TestCommand(t *testing.T) {
	t.Setenv("BRENDA_TOKENS", "secret")
	l := lease(t, outboundtest.Guard(t, outbound.Config{}))
	out, err := l.Command(t.Context(), []string{"PATH=/usr/bin:/bin"}, "env").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "secret") || !strings.Contains(string(out), "https_proxy="+l.URL()) || strings.Contains(string(out), "HOME") {
		t.Errorf("%s", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := l.Command(ctx, []string{"PATH=/usr/bin:/bin"}, "sh", "-c", "sleep 600 & echo up; wait")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(pipe, make([]byte, 3))
	group := cmd.Process.Pid
	cancel()
	io.Copy(io.Discard, pipe) // ends when the grandchild has ended too
	cmd.Wait()
	for range 100 {
		if syscall.Kill(-group, 0) != nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Error("a grandchild lives")
}
