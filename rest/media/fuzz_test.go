package media

import (
	"bytes"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// FuzzPage: whatever a page holds, it is read to its end, alike in one piece and byte by byte, and what comes out is clean.
func FuzzPage(f *testing.F) {
	f.Add([]byte(`<html lang="fr"><head><title>T</title><meta property="og:image" content="/p.jpg"></head><body><article><p>Un paragraphe.</p></article></body></html>`))
	f.Add([]byte(`<p>a<p>b<br><br>c<video src=//x><source src="a.mp4"></video><script type="application/ld+json">{"@graph":[{"@type":"Article"}]}</script>`))
	f.Add([]byte("<nav><div></nav></div></div><table><tr><td>\xff\xfe</table><base href='javascript:'><a href=x>"))
	base := &url.URL{Scheme: "http", Host: "example.org", Path: "/a/b"}
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(r io.Reader) (About, []block) {
			p := newPage(r, "utf-8", base)
			var all []block
			for {
				bl, ok := p.next()
				if !ok {
					break
				}
				if bl.text == "" || !utf8.ValidString(bl.text) || bl.text != squeeze(bl.text) || bl.level < 0 || bl.level > 6 {
					t.Fatalf("%+v", bl)
				}
				all = append(all, bl)
			}
			var a About
			p.describe(&a)
			if a.Image != "" && !strings.HasPrefix(a.Image, "http") {
				t.Fatalf("image %q", a.Image)
			}
			for _, m := range p.formats() {
				if !strings.HasPrefix(m.URL, "http") {
					t.Fatalf("medium %q", m.URL)
				}
			}
			return a, all
		}
		a, whole := read(bytes.NewReader(b))
		again, drops := read(iotest.OneByteReader(bytes.NewReader(b)))
		if len(whole) != len(drops) || a.Title != again.Title || a.Image != again.Image {
			t.Fatalf("%+v %v in one piece, %+v %v byte by byte", a, whole, again, drops)
		}
		readArticle(b, "utf-8", base, &About{})
		classify("text/html", "/x", b)
		list(string(b), base)
	})
}
