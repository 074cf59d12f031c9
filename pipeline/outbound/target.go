package outbound

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"brenda/pipeline/fault"
)

// maxURL is the longest URL, in bytes, that is taken from a client.
const maxURL = 8192

// Target returns the URL that raw means if it is one that may be asked: http or https, with a host, and without
// credentials. What it returns is ASCII, starts with its scheme, has no fragment, and parses to itself, so that a child
// process reads the same host out of it as we do. Everything else is fault.Invalid. Whether the address behind it may be
// reached is not known before the dial: see [Guard].
func Target(raw string) (*url.URL, error) {
	raw = strings.TrimSpace(raw)
	bad := func(format string, args ...any) (*url.URL, error) { return nil, fault.Field("url", format, args...) }
	switch {
	case raw == "":
		return bad("url is missing; it must be an http or https address")
	case len(raw) > maxURL:
		return bad("url is longer than %d bytes", maxURL)
	case !utf8.ValidString(raw), strings.ContainsFunc(raw, unicode.IsControl), strings.Contains(raw, `\`):
		return bad("url has characters that no address has")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return bad("url is not an address that can be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("url must begin with http:// or https://")
	case u.Opaque != "" || u.Hostname() == "":
		return bad("url names no server")
	case u.User != nil:
		return bad("url must not hold a user name or a password")
	}
	host, err := asciiHost(u)
	if err != nil {
		return bad("url names a server in a way that cannot be read")
	}
	u.Host, u.Fragment, u.RawFragment = host, "", ""
	u.RawQuery = escapeQuery(u.RawQuery)
	again, err := url.Parse(u.String())
	if err != nil || again.Host != u.Host || again.User != nil || again.Scheme != u.Scheme {
		return bad("url is not an address that can be read")
	}
	return again, nil
}

// asciiHost returns host[:port] with the name as DNS has it.
func asciiHost(u *url.URL) (string, error) {
	name, port := u.Hostname(), u.Port()
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", strconv.ErrRange
		}
		port = ":" + port
	} else if strings.HasSuffix(u.Host, ":") {
		return "", strconv.ErrSyntax
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		if ip.Zone() != "" {
			return "", strconv.ErrSyntax
		}
		if ip.Is6() {
			return "[" + ip.String() + "]" + port, nil
		}
		return ip.String() + port, nil
	}
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false))
	ascii, err := profile.ToASCII(name)
	if err != nil {
		return "", err
	}
	if again, err := profile.ToASCII(ascii); err != nil || again != ascii || !utf8.ValidString(name) {
		return "", strconv.ErrSyntax // "%80" in a name is a letter that has no number
	}
	for _, c := range []byte(ascii) {
		if !isHostByte(c) {
			return "", strconv.ErrSyntax
		}
	}
	if ascii == "" || len(ascii) > 253 {
		return "", strconv.ErrSyntax
	}
	return ascii + port, nil
}

func isHostByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
}

// escapeQuery escapes what url.URL leaves as it is in a query and servers do not read alike.
func escapeQuery(q string) string {
	var b strings.Builder
	for _, c := range []byte(q) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>`{}|^", c) >= 0 {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
