package outbound_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/pipeline/outbound/outboundtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forbidden are addresses that no client may reach, in all the ways in which they can be written.
var forbidden = []string{
	// loopback
	"127.0.0.2", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
	"①②⑦.⓪.⓪.①", "127。0。0。1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0x7f.1",
	// this network, private, shared, link-local, metadata
	"0.0.0.0", "[::]", "10.0.0.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2", "172.16.0.1",
	"172.31.255.255", "192.0.0.192", "192.168.0.1", "168.63.129.16", "[fd00:ec2::254]", "[fc00::1]", "[fe80::1]", "[fec0::1]",
	// reserved, documentation, benchmarks, multicast, broadcast
	"192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
	"255.255.255.255", "[ff02::1]", "[2001:db8::1]", "[100::1]", "[3fff::1]",
	// IPv4 in IPv6: compatible, mapped, NAT64, Teredo, 6to4
	"[::127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "[64:ff9b:1::a9fe:a9fe]",
	"[2001::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::]", "[2002:c0a8:1::1]",
}

func target(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := outbound.Target(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return u
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Kind != kind || code != "" && f.Code != code {
		t.Errorf("%s: got %v, want kind %d %s", what, err, kind, code)
	}
}

func TestForbiddenAddresses(t *testing.T) {
	g := outbound.New(outbound.Config{})
	defer g.Close()
	for _, host := range forbidden {
		for _, port := range []string{"", ":443"} {
			u, err := outbound.Target("http://" + host + port + "/latest/meta-data/")
			if err != nil {
				wantKind(t, host, err, fault.Invalid, "")
				continue
			}
			ans, err := g.Get(t.Context(), u)
			if err == nil {
				ans.Body.Close()
				t.Errorf("%s was reached", host)
				continue
			}
			if f := fault.As(err); f.Kind != fault.Forbidden && f.Code != "unresolvable" {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	if s := g.Stats(); s.Dialled != 0 || s.Breached != 0 || s.Refused == 0 {
		t.Errorf("%+v", s)
	}
}

func TestCheckKnowsEveryPrefix(t *testing.T) {
	g := outbound.New(outbound.Config{})
	defer g.Close()
	for _, host := range forbidden {
		a, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err == nil && g.Check(netip.AddrPortFrom(a, 80)) == nil {
			t.Errorf("%s may be dialled", a)
		}
	}
	for _, public := range []string{"1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"} {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(public), 443)); err != nil {
			t.Errorf("%s: %v", public, err)
		}
	}
	wantKind(t, "port", g.Check(netip.MustParseAddrPort("1.1.1.1:22")), fault.Forbidden, "forbidden_port")
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		p := netip.MustParsePrefix(a.String())
		wantKind(t, "own address", g.Check(netip.AddrPortFrom(p.Addr(), 80)), fault.Forbidden, "")
	}
	allowed := outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}})
	defer allowed.Close()
	if err := allowed.Check(netip.MustParseAddrPort("192.168.1.9:80")); err != nil {
		t.Error(err)
	}
	wantKind(t, "beside", allowed.Check(netip.MustParseAddrPort("192.168.2.9:80")), fault.Forbidden, "forbidden_address")
}

// serve starts a server on 127.0.0.1 with a trap on 127.0.0.2 at the same port.
func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, *outboundtest.Trap) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv, outboundtest.NewTrap(t, outboundtest.Port(t, srv.URL))
}

func TestRedirects(t *testing.T) {
	var trap *outboundtest.Trap
	srv, trap := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := 0
		if _, err := fmt.Sscanf(r.URL.Path, "/chain/%d", &n); err == nil && n > 0 {
			http.Redirect(w, r, fmt.Sprintf("/chain/%d", n-1), http.StatusFound)
			return
		}
		if to := r.URL.Query().Get("to"); to != "" {
			fmt.Sscan(r.URL.Query().Get("status"), &n)
			w.Header().Set("Location", to)
			w.WriteHeader(n)
			return
		}
		if r.Header.Get("Cookie")+r.Header.Get("Authorization")+r.Header.Get("Referer") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
		w.Header().Set("Set-Cookie", "a=b")
		io.WriteString(w, "ok")
	})
	g := outboundtest.Guard(t, outbound.Config{}, srv.URL)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for to, kind := range map[string]fault.Kind{
			"http://" + trap.Addr + "/": fault.Forbidden, "http://169.254.169.254/latest/": fault.Forbidden,
			"//" + trap.Addr: fault.Forbidden, "http://[::1]/": fault.Forbidden, "file:///etc/passwd": fault.Forbidden,
			"gopher://127.0.0.2/": fault.Forbidden, "http://u:p@127.0.0.1/": fault.Forbidden, "http://127.0.0.1:1/": fault.Forbidden,
		} {
			_, err := g.Get(t.Context(), target(t, fmt.Sprintf("%s/?status=%d&to=%s", srv.URL, status, url.QueryEscape(to))))
			wantKind(t, fmt.Sprint(status, " ", to), err, kind, "")
		}
	}
	for n, ok := range map[int]bool{1: true, outbound.MaxRedirects: true, outbound.MaxRedirects + 1: false, 100: false} {
		ans, err := g.Get(t.Context(), target(t, fmt.Sprintf("%s/chain/%d", srv.URL, n)))
		if !ok {
			wantKind(t, fmt.Sprint(n, " redirects"), err, fault.Upstream, "too_many_redirects")
			continue
		}
		if err != nil {
			t.Errorf("%d redirects: %v", n, err)
			continue
		}
		if ans.Status != 200 || ans.URL.Path != "/chain/0" {
			t.Errorf("%d redirects: %d %s", n, ans.Status, ans.URL)
		}
		ans.Body.Close()
	}
}

// TestRebinding: a name that is harmless when it is asked first and leads inside later.
func TestRebinding(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	here, inside := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	port := outboundtest.Port(t, srv.URL)
	g := outboundtest.Guard(t, outbound.Config{Resolver: outboundtest.Resolver(func(name string, v6 bool, n int) []netip.Addr {
		switch {
		case strings.HasPrefix(name, "both."):
			if v6 {
				return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("fd00::1")}
			}
			return []netip.Addr{inside, here}
		case v6:
			return nil
		case n == 0:
			return []netip.Addr{here}
		default:
			return []netip.Addr{inside}
		}
	})}, srv.URL)
	get := func(name string) error {
		ans, err := g.Get(t.Context(), target(t, fmt.Sprintf("http://%s:%d/", name, port)))
		if err == nil {
			ans.Body.Close()
		}
		return err
	}
	if err := get("rebind.test"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantKind(t, "second answer", get("rebind.test"), fault.Forbidden, "forbidden_address")
	}
	if err := get("both.test"); err != nil && fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
}

func TestUnresolvable(t *testing.T) {
	g := outboundtest.Guard(t, outbound.Config{
		Resolver: outboundtest.Resolver(func(string, bool, int) []netip.Addr { return nil }),
	})
	_, err := g.Get(t.Context(), target(t, "http://nowhere.test/"))
	wantKind(t, "no address", err, fault.Invalid, "unresolvable")
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	srv, trap := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://"+trap.Addr)
	}
	ans, err := outboundtest.Guard(t, outbound.Config{}, srv.URL).Get(t.Context(), target(t, srv.URL))
	if err != nil {
		t.Fatal(err)
	}
	ans.Body.Close()
}

func TestLimits(t *testing.T) {
	zeros := make([]byte, 64<<10)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 10<<20))
	z.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/huge":
			w.Header().Set("Content-Length", "10737418240")
			for r.Context().Err() == nil {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		case "/silent":
			<-r.Context().Done()
		case "/stalls":
			io.WriteString(w, "so far")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/drips":
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				if _, err := io.WriteString(w, "."); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		case "/head":
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "short")
		case "/brotli":
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "?")
		}
	}))
	t.Cleanup(srv.Close)
	const limit = 1 << 20
	g := outboundtest.Guard(t, outbound.Config{Bytes: limit, FirstByte: time.Second, Total: 2 * time.Second}, srv.URL)
	for path, want := range map[string]fault.Kind{
		"/huge": fault.TooLarge, "/bomb": fault.TooLarge, "/silent": fault.Timeout, "/stalls": fault.Timeout,
		"/drips": fault.Timeout, "/head": fault.Upstream, "/cut": fault.Upstream, "/brotli": fault.Upstream,
	} {
		ans, err := g.Get(t.Context(), target(t, srv.URL+path))
		if err == nil {
			var n int64
			n, err = io.Copy(io.Discard, ans.Body)
			ans.Body.Close()
			if n > limit {
				t.Errorf("%s: %d bytes were read", path, n)
			}
		}
		wantKind(t, path, err, want, "")
	}
	// What may go on is not bounded in all, only in its silences.
	brief := outboundtest.Guard(t, outbound.Config{Total: 500 * time.Millisecond}, srv.URL)
	ans, err := brief.Fetch(t.Context(), target(t, srv.URL+"/drips"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, ans.Body, 50); err != nil { // a second of it
		t.Errorf("%d bytes, %v", n, err)
	}
	ans.Body.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	_, err = outboundtest.Guard(t, outbound.Config{}, closed.URL).Get(t.Context(), target(t, closed.URL))
	wantKind(t, "nobody there", err, fault.Upstream, "upstream_failed")
}

func TestGetObeysItsContext(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(srv.Close)
	ctx, cancel := contextWithCause(t)
	errGone := errors.New("the client left")
	go cancel(errGone)
	if _, err := outboundtest.Guard(t, outbound.Config{}, srv.URL).Get(ctx, target(t, srv.URL)); !errors.Is(err, errGone) {
		t.Error(err)
	}
}
