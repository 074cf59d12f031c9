package ytdlp

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/pipeline/outbound/outboundtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pages is what the origin serves; {IN} is where nobody may connect.
var pages = map[string]string{
	"/video": `<html lang="fr"><head><title>Page vidéo</title></head><body><video poster="/p.jpg"><source src="/v.mp4" type="video/mp4">` +
		`</video></body></html>`,
	"/hls":    `<html><head><title>Page HLS</title></head><body><video src="/h.m3u8" type="application/x-mpegURL"></video></body></html>`,
	"/two":    `<html><head><title>Deux</title></head><body><video src="/v.mp4"></video><video src="/w.mp4"></video></body></html>`,
	"/text":   `<html><head><title>Rien</title></head><body><p>Du texte.</p></body></html>`,
	"/h.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nh0.ts\n#EXT-X-ENDLIST\n",
	"/d.mpd": `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="{TYPE}" mediaPresentationDuration="PT6S"><Period>` +
		`<AdaptationSet mimeType="audio/mp4"><SegmentTemplate timescale="1" duration="2" startNumber="1" initialization="i.mp4" media="s$Number$.m4s"/>` +
		`<Representation id="1" bandwidth="64000" codecs="mp4a.40.2"/></AdaptationSet></Period></MPD>`,
	"/evil": `<html><head><title>Piège</title><base href="{IN}/"><meta property="og:video" content="{IN}/og.mp4">` +
		`<meta name="twitter:player" content="{IN}/player"></head><body><iframe src="{IN}/embed/1"></iframe>` +
		`<video src="{IN}/h.m3u8" type="application/x-mpegURL"></video></body></html>`,
	"/evil.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{IN}/v.m3u8\n",
}

type origin struct {
	*httptest.Server
	trap  *outboundtest.Trap
	asked atomic.Int64
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	o.trap = outboundtest.NewTrap(t, outboundtest.Port(t, o.URL))
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := o.asked.Add(1)
	switch page, ok := pages[r.URL.Path]; {
	case r.URL.Path == "/loop": // each time elsewhere
		http.Redirect(w, r, fmt.Sprintf("/loop?n=%d", n), http.StatusFound)
	case r.URL.Path == "/refresh":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<html><head><meta http-equiv="refresh" content="0; url=http://%s/refresh?n=%d"></head></html>`, r.Host, n)
	case strings.HasPrefix(r.URL.Path, "/chain/"):
		left, _ := strconv.Atoi(r.URL.Path[len("/chain/"):])
		if left == 0 {
			http.Redirect(w, r, "/video", http.StatusFound)
			return
		}
		http.Redirect(w, r, fmt.Sprint("/chain/", left-1), http.StatusFound)
	case r.URL.Path == "/to":
		http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusFound)
	case r.URL.Path == "/silent":
		<-r.Context().Done()
	case strings.HasSuffix(r.URL.Path, ".mp4"):
		w.Header().Set("Content-Type", "video/mp4")
		w.Write(make([]byte, 5000))
	case !ok:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasSuffix(r.URL.Path, "m3u8") {
			w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		}
		if strings.HasSuffix(r.URL.Path, "mpd") {
			w.Header().Set("Content-Type", "application/dash+xml")
		}
		io.WriteString(w, strings.NewReplacer("{IN}", "http://"+o.trap.Addr, "{TYPE}", r.URL.Query().Get("type")).Replace(page))
	}
}

func engine(t *testing.T, g *outbound.Guard) *Engine {
	t.Helper()
	e, err := New(Config{
		Package: filepath.Join(enginetest.ModelsDir(t), "yt-dlp"), Mend: "brenda models pull yt-dlp",
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"},
	}, g)
	if err != nil {
		t.Fatalf("%v; make test fetches it", err)
	}
	return e
}

func TestFind(t *testing.T) {
	o := newOrigin(t)
	e := engine(t, outboundtest.Guard(t, outbound.Config{}, o.URL))
	for path, want := range map[string]string{"/video": "/v.mp4", "/hls": "/h.m3u8"} {
		it, err := e.Find(t.Context(), o.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		best, ok := it.Sound()
		if !ok || best.URL != o.URL+want || !strings.HasPrefix(it.Title, "Page") || strings.Contains(it.Title, "(1)") || it.Site != "" {
			t.Errorf("%s: %+v", path, it)
		}
	}
	it, err := e.Find(t.Context(), o.URL+"/d.mpd?type=static")
	best, ok := it.Sound()
	if err != nil || !ok || it.Duration != 6 || fmt.Sprint(best.Parts) != strings.ReplaceAll("[{}/i.mp4 {}/s1.m4s {}/s2.m4s {}/s3.m4s]", "{}", o.URL) {
		t.Errorf("%+v, %v", it, err)
	}
	it, err = e.Find(t.Context(), o.URL+"/d.mpd?type=dynamic")
	if _, ok := it.Sound(); err != nil || ok || !it.Live {
		t.Errorf("%+v, %v", it, err)
	}
	two, err := e.Find(t.Context(), o.URL+"/two")
	if err != nil || !two.Playlist || len(two.Entries) != 2 || two.Entries[1].URL != o.URL+"/w.mp4" {
		t.Errorf("%+v, %v", two, err)
	}
	_, err = e.Find(t.Context(), o.URL+"/text")
	if f := fault.As(err); f == nil || f.Code != "no_media" {
		t.Error(err)
	}
	if _, err := e.Find(t.Context(), o.URL+"/none"); fault.KindOf(err) != fault.Upstream {
		t.Error(err)
	}
}

// TestNothingLeadsInside: the page, what it redirects to and what it embeds is fetched through the guard.
func TestNothingLeadsInside(t *testing.T) {
	o := newOrigin(t)
	in, port := "http://"+o.trap.Addr, strings.Split(o.trap.Addr, ":")[1]
	g := outboundtest.Guard(t, outbound.Config{Resolver: outboundtest.Resolver(func(_ string, v6 bool, n int) []netip.Addr {
		switch {
		case v6:
			return nil
		case n == 0:
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	})}, o.URL)
	e := engine(t, g)
	for _, u := range []string{
		in + "/video", o.URL + "/to?url=" + url.QueryEscape(in+"/x"), o.URL + "/evil", o.URL + "/evil.m3u8",
		o.URL + "/to?url=" + url.QueryEscape("ftp://"+o.trap.Addr+"/x"),
		"http://rebind.test:" + port + "/video", "http://rebind.test:" + port + "/video", "http://2130706434:" + port + "/",
	} {
		it, err := e.Find(t.Context(), u)
		t.Logf("%s: %d formats, %v", u, len(it.Formats), err)
		if strings.HasPrefix(u, in) && fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%s: %v", u, err)
		}
	}
	for _, u := range []string{"file:///etc/passwd", "--version", "ytsearch:x", "-", ":ytfav"} {
		if _, err := e.Find(t.Context(), u); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", u, err)
		}
	}
	if s := g.Stats(); o.trap.Count() != 0 || s.Breached != 0 || s.Refused == 0 {
		t.Errorf("%d connections inside, %+v", o.trap.Count(), s)
	}
}

// TestRedirects: the real child is led on and on, in the open, within TLS, and by pages that forward.
func TestRedirects(t *testing.T) {
	o := newOrigin(t)
	safe := httptest.NewTLSServer(o)
	t.Cleanup(safe.Close)
	trust := filepath.Join(t.TempDir(), "ca.pem")
	pem := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: safe.Certificate().Raw})
	if err := os.WriteFile(trust, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	e := engine(t, outboundtest.Guard(t, outbound.Config{}, o.URL, safe.URL))
	e.cfg.Env = append(e.cfg.Env, "SSL_CERT_FILE="+trust)
	for i, base := range []string{safe.URL, o.URL} {
		if it, err := e.Find(t.Context(), base+"/chain/4"); err != nil || len(it.Formats) != 1 { // and on to /video: 5
			t.Errorf("%s: %+v, %v", base, it, err)
		}
		for _, path := range []string{"/chain/5", "/loop"}[:1+i] {
			o.asked.Store(0)
			_, err := e.Find(t.Context(), base+path)
			if f := fault.As(err); f == nil || f.Code != "too_many_redirects" {
				t.Errorf("%s%s: %v", base, path, err)
			}
			if n := o.asked.Load(); n > 2*(outbound.MaxRedirects+1) { // yt-dlp asks a second time
				t.Errorf("%s%s: %d requests", base, path, n)
			}
		}
	}
	o.asked.Store(0)
	_, err := e.Find(t.Context(), o.URL+"/refresh")
	if f := fault.As(err); f == nil || f.Kind != fault.Upstream || o.asked.Load() > 100 {
		t.Errorf("%d requests, %v", o.asked.Load(), err)
	}
}

func TestEndings(t *testing.T) {
	o := newOrigin(t)
	e := engine(t, outboundtest.Guard(t, outbound.Config{}, o.URL))
	errLeft := errors.New("the client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(300*time.Millisecond, func() { cancel(errLeft) })
	if _, err := e.Find(ctx, o.URL+"/silent"); !errors.Is(err, errLeft) {
		t.Error(err)
	}
	e.cfg.Timeout = 500 * time.Millisecond
	if _, err := e.Find(t.Context(), o.URL+"/silent"); fault.KindOf(err) != fault.Timeout {
		t.Error(err)
	}
	_, err := New(Config{Package: t.TempDir(), Mend: "brenda models pull yt-dlp"}, nil)
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || !strings.Contains(f.Msg, "models pull") {
		t.Error(err)
	}
}

func TestSoundIsReadWhereItIsSmall(t *testing.T) {
	it := Item{Formats: []Format{
		{ID: "video", URL: "https://x/v", VCodec: "h264", ACodec: "aac", BitRate: 500},
		{ID: "mute", URL: "https://x/m", VCodec: "h264", ACodec: "none", BitRate: 50},
		{ID: "thin", URL: "https://x/t", VCodec: "none", ACodec: "opus", BitRate: 30},
		{ID: "good", URL: "https://x/g", VCodec: "none", ACodec: "opus", BitRate: 64},
		{ID: "best", URL: "https://x/b", VCodec: "none", ACodec: "opus", BitRate: 160},
		{ID: "rtmp", URL: "rtmp://x/b", VCodec: "none", ACodec: "opus", BitRate: 60},
		{ID: "dash", URL: "https://x/d.mpd", Protocol: "http_dash_segments", VCodec: "none", ACodec: "opus", BitRate: 60, Parts: []string{"x"}},
	}}
	if best, ok := it.Sound(); !ok || best.ID != "good" {
		t.Errorf("%+v", best)
	}
	if _, ok := (Item{Formats: it.Formats[1:2]}).Sound(); ok {
		t.Error("a mute video has sound")
	}
	if best, ok := (Item{Formats: it.Formats[5:]}).Sound(); !ok || best.ID != "dash" {
		t.Errorf("%+v", best)
	}
	if best, ok := (Item{Formats: it.Formats[5:], Live: true}).Sound(); ok {
		t.Errorf("%+v", best)
	}
}
