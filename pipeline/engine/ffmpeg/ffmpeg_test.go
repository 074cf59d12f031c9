package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/pipeline/outbound/outboundtest"
)

// media are the files that the origin serves, made once.
var media struct {
	once sync.Once
	dir  string
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(media.dir)
		os.Exit(code)
	}))
}

// origin serves media made of a tone, files of text, and what leads inside.
type origin struct {
	*httptest.Server
	trap  *outboundtest.Trap
	dir   string
	asked atomic.Int64
}

const toneSeconds = 6

func newOrigin(t *testing.T) *origin {
	t.Helper()
	media.once.Do(func() {
		var err error
		if media.dir, err = os.MkdirTemp("", "brenda-ffmpeg-*"); err != nil { //nolint:usetesting // outlives this test
			t.Fatal(err)
		}
		makeMedia(t, &origin{dir: media.dir})
	})
	o := &origin{dir: media.dir}
	files := http.FileServer(http.Dir(o.dir))
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, plain := strings.CutPrefix(r.URL.Path, "/norange/")
		switch {
		case plain:
			b, _ := os.ReadFile(filepath.Join(o.dir, filepath.Base(name)))
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(b)
		case r.URL.Path == "/to":
			http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusFound)
		case r.URL.Path == "/endless.mp3":
			w.Header().Set("Content-Type", "audio/mpeg")
			for b, _ := os.ReadFile(filepath.Join(o.dir, "a.mp3")); r.Context().Err() == nil; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		case r.URL.Path == "/station": // without a length
			w.Header().Set("Icy-Name", "Radio Brenda")
			w.(http.Flusher).Flush()
			b, _ := os.ReadFile(filepath.Join(o.dir, "a.mp3"))
			w.Write(b)
		case r.URL.Path == "/live.m3u8": // a new segment with each question, until there are no more
			n := int(o.asked.Add(1))
			fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:2,\nh%d.ts\n", n-1, min(n-1, 2))
			if n >= 3 {
				io.WriteString(w, "#EXT-X-ENDLIST\n")
			}
		case r.URL.Path == "/flaky.m3u8": // the same, with a question that fails and a segment that is missing
			n := int(o.asked.Add(1))
			if n == 2 {
				http.Error(w, "later", http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n")
			for i, name := range []string{"h0.ts", "none.ts", "h1.ts", "h2.ts"}[:min(n+1, 4)] {
				fmt.Fprintf(w, "#EXTINF:%d,\n%s\n", 2+i%2, name)
			}
			if n >= 4 {
				io.WriteString(w, "#EXT-X-ENDLIST\n")
			}
		case r.URL.Path == "/gone.m3u8":
			if o.asked.Add(1) > 1 {
				http.NotFound(w, r)
				return
			}
			io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2,\nh0.ts\n")
		case r.URL.Path == "/silent.mp3":
			<-r.Context().Done()
		default:
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(o.Close)
	o.trap = outboundtest.NewTrap(t, outboundtest.Port(t, o.URL))
	return o
}

func makeMedia(t *testing.T, o *origin) {
	t.Helper()
	pcm := audiotest.Tone(440, 0.5, 16000, toneSeconds*16000)
	o.write(t, "a.wav", string(wav.Encode(pcm, 16000)))
	o.run(t, "-i", "a.wav", "-metadata", "title=Un titre é", "-metadata", "artist=June", "-b:a", "48k", "a.mp3")
	o.run(t, "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-i", "a.wav", "-shortest", "-c:v", "mpeg4", "-c:a", "aac", "v.mp4")
	o.run(t, "-i", "v.mp4", "-an", "-c", "copy", "mute.mp4")
	hls := func(name string, more ...string) {
		o.run(t, append(append([]string{"-i", "a.wav", "-c:a", "aac", "-hls_time", "2", "-hls_list_size", "0"}, more...), name)...)
	}
	hls("h.m3u8")
	hls("fmp4.m3u8", "-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4")
	o.run(t, "-i", "a.wav", "-c:a", "aac", "-seg_duration", "2", "-f", "dash", "d.mpd")
	hls("parts.m3u8", "-hls_flags", "single_file", "-hls_segment_filename", "parts.ts")
	o.write(t, "key", "0123456789abcdef")
	o.write(t, "keyinfo", "key\n"+o.dir+"/key\n")
	hls("aes.m3u8", "-hls_key_info_file", "keyinfo")
	o.write(t, "master.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS=\"avc1.4d401f\"\nnone.m3u8\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS=\"mp4a.40.2\"\nh.m3u8\n")
}

func (o *origin) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (o *origin) run(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	cmd.Dir = o.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s (%s)", err, out, Mend)
	}
}

func engine(t *testing.T, g *outbound.Guard) *Engine {
	t.Helper()
	e, err := New(Config{Env: []string{"PATH=" + os.Getenv("PATH")}, TempDir: t.TempDir()}, g)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// listen reads a medium to its end.
func listen(ctx context.Context, e *Engine, url string) ([]float32, error) {
	return listenTo(ctx, e, Input{URL: url, Header: map[string]string{"Referer": "http://x.test/", "Cookie": "a=b\r\nX: y"}})
}

func listenTo(ctx context.Context, e *Engine, in Input) ([]float32, error) {
	s, err := e.Play(ctx, in)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var pcm []float32
	buf := make([]float32, 1000)
	for {
		n, err := s.Read(buf)
		pcm = append(pcm, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return pcm, s.Close()
		}
		if err != nil {
			return pcm, err
		}
	}
}

func TestPlayAndProbe(t *testing.T) {
	o := newOrigin(t)
	e := engine(t, outboundtest.Guard(t, outbound.Config{}, o.URL))
	for path, video := range map[string]bool{
		"/a.mp3": false, "/a.wav": false, "/v.mp4": true, "/norange/v.mp4": true, "/norange/a.mp3": false, "/h.m3u8": false,
		"/fmp4.m3u8": false, "/parts.m3u8": false, "/norange/parts.m3u8": false, "/aes.m3u8": false, "/master.m3u8": false,
		"/to?url=/a.mp3": false,
	} {
		t.Run(path, func(t *testing.T) {
			pcm, err := listen(t.Context(), e, o.URL+path)
			if err != nil {
				t.Fatal(err)
			}
			if s := float64(len(pcm)) / 16000; s < toneSeconds-0.3 || s > toneSeconds+0.3 {
				t.Errorf("%.2f s", s)
			}
			if rms := audio.RMS(pcm); rms < 0.2 || rms > 0.5 {
				t.Errorf("level %.3f", rms)
			}
			info, err := e.Probe(t.Context(), Input{URL: o.URL + path})
			if err != nil {
				t.Fatal(err)
			}
			if !info.HasAudio() || info.HasVideo() != video || info.Duration < toneSeconds-0.5 || info.Duration > toneSeconds+0.5 {
				t.Errorf("%+v", info)
			}
		})
	}
	info, err := e.Probe(t.Context(), Input{URL: o.URL + "/a.mp3"})
	if err != nil || info.Tags["title"] != "Un titre é" || info.Tags["artist"] != "June" {
		t.Errorf("%+v %v", info, err)
	}
}

// TestParts: the files that a DASH manifest names are one medium.
func TestParts(t *testing.T) {
	o := newOrigin(t)
	g := outboundtest.Guard(t, outbound.Config{}, o.URL)
	e := engine(t, g)
	in := Input{URL: o.URL + "/d.mpd", Parts: []string{o.URL + "/init-stream0.m4s"}}
	for i := 1; ; i++ {
		name := fmt.Sprintf("chunk-stream0-%05d.m4s", i)
		if _, err := os.Stat(filepath.Join(o.dir, name)); err != nil {
			break
		}
		in.Parts = append(in.Parts, o.URL+"/"+name)
	}
	pcm, err := listenTo(t.Context(), e, in)
	if s := float64(len(pcm)) / 16000; err != nil || s < toneSeconds-0.3 || s > toneSeconds+0.3 || len(in.Parts) < 4 {
		t.Errorf("%.2f s of %d parts, %v", s, len(in.Parts), err)
	}
	info, err := e.Probe(t.Context(), in)
	if err != nil || !info.HasAudio() {
		t.Errorf("%+v, %v", info, err)
	}
	in.Parts[2] = "http://" + o.trap.Addr + "/x"
	if pcm, err := listenTo(t.Context(), e, in); fault.KindOf(err) != fault.Forbidden || len(pcm) == 0 {
		t.Errorf("%d samples, %v", len(pcm), err)
	}
	in.Parts[2] = o.URL + "/none"
	if _, err := listenTo(t.Context(), e, in); fault.KindOf(err) != fault.Upstream {
		t.Error(err)
	}
	small := engine(t, outboundtest.Guard(t, outbound.Config{Bytes: 20 << 10}, o.URL))
	in.Parts = append(in.Parts[:2], in.Parts[3:]...)
	if _, err := listenTo(t.Context(), small, in); fault.KindOf(err) != fault.TooLarge {
		t.Error(err)
	}
}

func TestLive(t *testing.T) {
	o := newOrigin(t)
	e := engine(t, outboundtest.Guard(t, outbound.Config{}, o.URL))
	pcm, err := listen(t.Context(), e, o.URL+"/live.m3u8")
	if s := float64(len(pcm)) / 16000; err != nil || s < toneSeconds-0.3 || s > toneSeconds+0.3 {
		t.Errorf("%.2f s, %v", s, err)
	}
	o.asked.Store(0)
	pcm, err = listen(t.Context(), e, o.URL+"/flaky.m3u8")
	if s := float64(len(pcm)) / 16000; err != nil || s < toneSeconds-0.3 || s > toneSeconds+0.3 {
		t.Errorf("with failures: %.2f s, %v", s, err)
	}
	o.asked.Store(0)
	pcm, err = listen(t.Context(), e, o.URL+"/gone.m3u8")
	if s := float64(len(pcm)) / 16000; fault.KindOf(err) != fault.Upstream && err != nil || s < 1.7 || s > 2.3 || o.asked.Load() < 3 {
		t.Errorf("gone: %.2f s after %d questions, %v", s, o.asked.Load(), err)
	}
	o.asked.Store(0)
	info, err := e.Probe(t.Context(), Input{URL: o.URL + "/live.m3u8"})
	if err != nil || !info.Live || info.Duration != 0 {
		t.Errorf("%+v, %v", info, err)
	}
	info, err = e.Probe(t.Context(), Input{URL: o.URL + "/station"})
	if err != nil || !info.Live || info.Tags["icy-name"] != "Radio Brenda" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	o := newOrigin(t)
	o.write(t, "text.mp3", "not a sound at all")
	o.write(t, "list.mp3", "ffconcat version 1.0\nfile a.mp3\n")
	o.write(t, "sdp.mp3", "v=0\no=- 0 0 IN IP4 127.0.0.2\ns=x\nc=IN IP4 127.0.0.2\nt=0 0\nm=audio 5004 RTP/AVP 0\n")
	g := outboundtest.Guard(t, outbound.Config{FirstByte: time.Second}, o.URL)
	e := engine(t, g)
	for path, want := range map[string]fault.Kind{
		"/text.mp3": fault.Unsupported, "/list.mp3": fault.Unsupported, "/sdp.mp3": fault.Unsupported, "/mute.mp4": fault.Unsupported,
		"/none.mp3": fault.Upstream, "/silent.mp3": fault.Timeout,
	} {
		_, err := listen(t.Context(), e, o.URL+path)
		if f := fault.As(err); f == nil || f.Kind != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, url := range []string{"file:///etc/passwd", "-i", "concat:a|b", "pipe:0", o.dir + "/a.mp3"} {
		if _, err := listen(t.Context(), e, url); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", url, err)
		}
	}
	small := engine(t, outboundtest.Guard(t, outbound.Config{Bytes: 100 << 10}, o.URL))
	if pcm, err := listen(t.Context(), small, o.URL+"/endless.mp3"); fault.KindOf(err) != fault.TooLarge || len(pcm) == 0 {
		t.Errorf("%d samples, %v", len(pcm), err)
	}
}

// TestNothingLeadsInside: a medium, and everything that it names, is fetched through the guard.
func TestNothingLeadsInside(t *testing.T) {
	o := newOrigin(t)
	in := "http://" + o.trap.Addr
	port := strings.Split(o.trap.Addr, ":")[1]
	lists := map[string]string{
		"segment": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n%s/s.ts\n#EXT-X-ENDLIST\n",
		"key":     "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI=\"%s/key\"\n#EXTINF:2,\nh0.ts\n#EXT-X-ENDLIST\n",
		"map":     "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"%s/init.mp4\"\n#EXTINF:2,\nh0.ts\n#EXT-X-ENDLIST\n",
		"master":  "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n%s/v.m3u8\n",
		"rendition": "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",DEFAULT=YES,URI=\"%s/a.m3u8\"\n" +
			"#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nh.m3u8\n",
	}
	urls := []string{in + "/x.mp3", o.URL + "/to?url=" + in + "/x.mp3", "http://rebind.test:" + port + "/h.m3u8"}
	for _, to := range []string{in, "tcp://" + o.trap.Addr, "file:///etc/passwd", "http://2130706434:" + port} {
		for name, list := range lists {
			file := fmt.Sprintf("%s%d.m3u8", name, len(urls))
			o.write(t, file, fmt.Sprintf(list, to))
			urls = append(urls, o.URL+"/"+file)
		}
	}
	o.write(t, "evil.mpd", `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S"><Period>`+
		`<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1000" codecs="mp4a.40.2"><BaseURL>`+in+`/</BaseURL>`+
		`<SegmentList duration="2"><Initialization sourceURL="i.mp4"/><SegmentURL media="1.m4s"/></SegmentList></Representation></AdaptationSet></Period></MPD>`)
	urls = append(urls, o.URL+"/evil.mpd")
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
	for _, u := range urls {
		if _, err := e.Probe(t.Context(), Input{URL: u}); err == nil {
			t.Logf("%s was read, without what is inside", u)
		}
	}
	if n, s := o.trap.Count(), g.Stats(); n != 0 || s.Breached != 0 || s.Refused == 0 {
		t.Errorf("%d connections inside, %+v", n, s)
	}
}

func TestEndings(t *testing.T) {
	o := newOrigin(t)
	e := engine(t, outboundtest.Guard(t, outbound.Config{}, o.URL))
	errLeft := errors.New("the client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err := e.Play(ctx, Input{URL: o.URL + "/endless.mp3"})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, 1600)
	if _, err := s.Read(buf); err != nil {
		t.Fatal(err)
	}
	pid := s.cmd.Process.Pid
	cancel(errLeft)
	for err == nil {
		_, err = s.Read(buf)
	}
	if !errors.Is(err, errLeft) {
		t.Error(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the child is still there: %v", err)
	}

	killed, err := e.Play(t.Context(), Input{URL: o.URL + "/endless.mp3"})
	if err != nil {
		t.Fatal(err)
	}
	defer killed.Close()
	if _, err = killed.Read(buf); err != nil {
		t.Fatal(err)
	}
	killed.cmd.Process.Kill()
	for err == nil {
		_, err = killed.Read(buf)
	}
	if errors.Is(err, io.EOF) {
		t.Error("a killed child counts as the end of the medium")
	}
	idle, err := e.Play(t.Context(), Input{URL: o.URL + "/endless.mp3"}) // closed without being read
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
}

func TestMissing(t *testing.T) {
	_, err := New(Config{FFmpeg: filepath.Join(t.TempDir(), "ffmpeg")}, nil)
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || !strings.Contains(f.Msg, Mend) {
		t.Error(err)
	}
	if c := (&outbound.Capped{Left: 3}); !bytes.Equal(c.Bytes(), nil) {
		t.Error(c)
	} else if _, err := c.Write([]byte("four")); err == nil {
		t.Error("too much is taken")
	}
}
