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
	b := &mediaBench{origin: httptest.NewServer(http.FileServer(http.Dir(dir))), said: text}
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
