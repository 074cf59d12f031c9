package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"brenda/audio/audiotest"
	"brenda/pipeline/enginetest"
	"brenda/rest/httpx"
	"brenda/rest/media"
)

// mediaBench is the media routes on the real yt-dlp, ffmpeg and Whisper, before an origin on this machine.
type mediaBench struct {
	origin, front *httptest.Server
	said          string // what is said in /speech.mp3
	tools         *mediaTools
	ended         chan string // paths of endless media that nobody listens to any more
}

// live adds media without an end, as radio stations have them: an MP3 as it comes, and a playlist that goes on.
func (b *mediaBench) live(files http.Handler, dir string) http.Handler {
	var asked atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/radio.mp3":
			sound, _ := os.ReadFile(filepath.Join(dir, "speech.mp3"))
			w.Header().Set("Content-Type", "audio/mpeg")
			w.Header().Set("Icy-Name", "Radio Brenda")
			for r.Context().Err() == nil {
				if _, err := w.Write(sound); err != nil {
					break
				}
			}
			b.ended <- r.URL.Path
		case "/radio.m3u8": // a window of three segments, moved on by each question
			n := int(asked.Add(1))
			fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n", n)
			for i := range 3 {
				fmt.Fprintf(w, "#EXT-X-DISCONTINUITY\n#EXTINF:2,\nspeech%d.ts?n=%d\n", (n+i)%2, n+i)
			}
			if n > 2 {
				select {
				case b.ended <- r.URL.Path: // at least so often
				default:
				}
			}
		case "/radio.m3u":
			fmt.Fprintln(w, "#EXTM3U\n#EXTINF:-1,Radio\nhttp://127.0.0.2/inside.mp3\nradio.mp3")
		default:
			files.ServeHTTP(w, r)
		}
	})
}

func newMediaBench(t *testing.T) *mediaBench {
	t.Helper()
	dir := t.TempDir()
	name, text := "", ""
	for _, r := range enginetest.Speech(t, "fr") {
		if r.Seconds > 4 && r.Seconds < 7 {
			name, text = r.Path, r.Text
			break
		}
	}
	for _, args := range [][]string{
		{"-i", name, "-metadata", "title=Une annonce", "speech.mp3"},
		{"-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-i", name, "-shortest", "-c:v", "mpeg4", "-c:a", "aac", "speech.mp4"},
		{"-i", name, "-c:a", "aac", "-hls_time", "2", "-hls_list_size", "0", "speech.m3u8"},
		{"-i", name, "-c:a", "aac", "-seg_duration", "2", "-f", "dash", "speech.mpd"},
	} {
		cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-nostdin", "-v", "error"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	page := `<html lang="fr"><head><meta charset="utf-8"><title>Une vidéo</title></head><body><video><source src="/speech.mp4" type="video/mp4"></video></body></html>`
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &mediaBench{said: text, ended: make(chan string, 8)}
	b.origin = httptest.NewServer(b.live(http.FileServer(http.Dir(dir)), dir))
	t.Cleanup(b.origin.Close)
	port := 0
	if _, err := fmt.Sscanf(b.origin.URL, "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	cfg := &config{Data: dir, Media: mediaConfig{Allow: []string{"127.0.0.1"}, Ports: []int{port}, Parallel: 4, MB: 100}}
	cfg.Models.Dir, cfg.STT.Model, cfg.STT.Language, cfg.Limits.Queue, cfg.Limits.Wait = enginetest.ModelsDir(t), "base", "fr", 8, 5*time.Minute
	cfg.complete()
	log := slog.New(slog.DiscardHandler)
	eng, err := newEngines(context.WithoutCancel(t.Context()), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	if b.tools, err = newMediaTools(cfg, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.tools.guard.Close() })
	s := media.New(b.tools.guard, mediaFinder{b.tools}, mediaPlayer{b.tools}, eng.scheduled.Ear, media.Config{Languages: []string{"fr"}})
	routes := map[string]httpx.Handler{"/analyze": s.Analyze, "/extract": s.Extract, "/stream": s.Stream}
	b.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes[r.URL.Path].ServeHTTP(httpx.NewRecorder(w), r)
	}))
	t.Cleanup(b.front.Close)
	return b
}

func (b *mediaBench) post(t *testing.T, route, url string) *http.Response {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"url":%q,"include":["audio"]}`, url))
	resp, err := http.Post(b.front.URL+route, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// understood fails when the transcript is not what was said.
func (b *mediaBench) understood(t *testing.T, what, heard string) {
	t.Helper()
	if r := audiotest.Compare(b.said, heard); r.Rate() > 0.35 {
		t.Errorf("%s: heard %q, said was %q", what, heard, b.said)
	}
}

func TestMediaOnRealEngines(t *testing.T) {
	b := newMediaBench(t)
	for path, want := range map[string][2]string{
		"/speech.mp3": {"audio", "Une annonce"}, "/speech.mp4": {"video", ""}, "/speech.m3u8": {"video", ""}, "/page.html": {"video", "Une vidéo"},
		"/speech.mpd": {"audio", ""},
	} {
		if path == "/speech.m3u8" {
			want[0] = "audio" // its tracks tell
		}
		var about media.About
		if err := json.NewDecoder(b.post(t, "/analyze", b.origin.URL+path).Body).Decode(&about); err != nil {
			t.Fatal(err)
		}
		if string(about.Kind) != want[0] || about.Title != want[1] || len(about.Formats) == 0 || about.Duration == nil && path != "/page.html" {
			t.Errorf("%s: %+v", path, about)
		}
	}
	var answer struct {
		Text     string
		Segments []struct{ Start, End float64 }
		Model    string
		Complete bool
	}
	if err := json.NewDecoder(b.post(t, "/extract", b.origin.URL+"/page.html").Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	b.understood(t, "extract", answer.Text)
	var dash struct{ Text string }
	if err := json.NewDecoder(b.post(t, "/extract", b.origin.URL+"/speech.mpd").Body).Decode(&dash); err != nil {
		t.Fatal(err)
	}
	b.understood(t, "extract DASH", dash.Text)
	if len(answer.Segments) == 0 || answer.Model != "base" || !answer.Complete {
		t.Errorf("%+v", answer)
	}
	heard, sounds := "", 0
	lines := bufio.NewReader(b.post(t, "/stream", b.origin.URL+"/speech.m3u8").Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if data == "[DONE]" {
			break
		}
		var ev struct {
			Type    string
			Content any
		}
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &ev); err != nil {
			t.Fatal(err)
		}
		switch ev.Type {
		case "text":
			heard += fmt.Sprint(ev.Content, " ")
		case "audio":
			sounds++
		case "error":
			t.Error(data)
		}
	}
	b.understood(t, "stream", heard)
	if sounds < 2 {
		t.Errorf("%d pieces of sound", sounds)
	}
	if s := b.tools.guard.Stats(); s.Breached != 0 || s.Dialled == 0 {
		t.Errorf("%+v", s)
	}
}

// TestLiveMedia: what has no end is told of, heard while it comes, and let go when its client goes.
func TestLiveMedia(t *testing.T) {
	b := newMediaBench(t)
	for path, title := range map[string]string{"/radio.mp3": "Radio Brenda", "/radio.m3u8": ""} {
		var about media.About
		if err := json.NewDecoder(b.post(t, "/analyze", b.origin.URL+path).Body).Decode(&about); err != nil {
			t.Fatal(err)
		}
		if about.Kind != media.Audio || !about.Live || about.Duration != nil || title != "" && about.Title == "" {
			t.Errorf("%s: %+v", path, about)
		}
	}
	for _, path := range []string{"/radio.mp3", "/radio.m3u8", "/radio.m3u"} {
		for len(b.ended) > 0 {
			<-b.ended
		}
		ctx, cancel := context.WithCancel(t.Context())
		body := strings.NewReader(fmt.Sprintf(`{"url":%q,"include":["audio"]}`, b.origin.URL+path))
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, b.front.URL+"/stream", body)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		words, sounds := 0, 0
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for (words < 1 || sounds < 3) && lines.Scan() {
			switch line := lines.Text(); {
			case strings.Contains(line, `"type":"text"`):
				words++
			case strings.Contains(line, `"type":"audio"`):
				sounds++
			case strings.Contains(line, `"type":"error"`):
				t.Errorf("%s: %s", path, line)
			}
		}
		cancel()
		resp.Body.Close()
		if words == 0 || sounds < 3 {
			t.Errorf("%s: %d texts, %d sounds", path, words, sounds)
		}
		if <-b.ended; b.children(t) != 0 {
			t.Errorf("%s: its players go on", path)
		}
	}
}

// children returns how many ffmpeg of this process are left after a while.
func (b *mediaBench) children(t *testing.T) (n int) {
	t.Helper()
	for range 200 {
		n = 0
		list, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range list {
			stat, _ := os.ReadFile(path)
			if strings.Contains(string(stat), "(ffmpeg)") && strings.Contains(string(stat), fmt.Sprintf(" %d ", os.Getpid())) {
				n++
			}
		}
		if n == 0 {
			return 0
		}
		<-time.After(50 * time.Millisecond)
	}
	return n
}

// TestMediaNeedsItsPrograms: what is missing is told of, and its command.
func TestMediaNeedsItsPrograms(t *testing.T) {
	dir := t.TempDir()
	cfg := &config{Data: dir, Media: mediaConfig{Ports: []int{80}, Parallel: 1, MB: 1}}
	cfg.complete()
	t.Setenv("PATH", dir)
	tools, err := newMediaTools(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer tools.guard.Close()
	_, noFind := mediaFinder{tools}.Find(t.Context(), "http://x/")
	_, noPlay := mediaPlayer{tools}.Play(t.Context(), media.Input{})
	for _, err := range []error{noFind, noPlay} {
		rec := httptest.NewRecorder()
		httpx.Fail(rec, httptest.NewRequest(http.MethodPost, "/", nil), err)
		if b, _ := io.ReadAll(rec.Body); rec.Code != http.StatusServiceUnavailable || !strings.Contains(string(b), "run: ") || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%d %s", rec.Code, b)
		}
	}
	for _, c := range tools.components(t.Context()) {
		if c.State != "missing" || c.Required || !strings.Contains(c.Detail, "run: ") {
			t.Errorf("%+v", c)
		}
	}
	if found := checkMedia(cfg); len(found) < 2 || found[0].State != warning || found[0].Mend == "" {
		t.Errorf("%+v", found)
	}
}

func TestMediaConfig(t *testing.T) {
	for _, bad := range []mediaConfig{
		{Allow: []string{"example.org"}, Parallel: 1, MB: 1}, {Ports: []int{0}, Parallel: 1, MB: 1}, {Ports: []int{70000}, Parallel: 1, MB: 1}, {},
	} {
		if bad.check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	good := mediaConfig{Allow: []string{"192.168.1.7/24", "10.0.0.1", "fd00::/8"}, Ports: []int{80}, Parallel: 1, MB: 1}
	p, err := good.prefixes()
	if err != nil || fmt.Sprint(p) != "[192.168.1.0/24 10.0.0.1/32 fd00::/8]" {
		t.Error(p, err)
	}
}
