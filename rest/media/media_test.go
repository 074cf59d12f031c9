package media_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/audio/wav"
	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/rest/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const xspf = `<?xml version="1.0" encoding="UTF-8"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track>
<location> é.mp3 </location><title>Élan &amp; co</title><duration>2500</duration></track><track><title>nowhere</title></track>
<track><location>file:///etc/passwd</location></track></trackList></playlist>`

func TestKinds(t *testing.T) {
	mp3 := "ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x64" + strings.Repeat("\x00", 500)
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x20\x08\x02\x00\x00\x00" + strings.Repeat("\x00", 100)
	sources := map[string]struct{ says, is, kind string }{
		"/mp3":       {"audio/mpeg", mp3, "audio"},
		"/liar1":     {"text/html", mp3, "audio"},
		"/liar2":     {"audio/mpeg", page("semantic"), "page"},
		"/liar3":     {"image/png", "just a text, whatever it says", "file"},
		"/liar4":     {"video/mp4", "just a text, whatever it says", "file"},
		"/png":       {"", png, "image"},
		"/page":      {"", page("divs"), "page"},
		"/json":      {"application/json", `{"a":1}`, "file"},
		"/text":      {"text/plain", "Bonjour.", "file"},
		"/pdf":       {"application/pdf", "%PDF-1.7\n1 0 obj", "file"},
		"/hls":       {"text/plain", "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nh0.ts\n#EXT-X-ENDLIST\n", "video"},
		"/list.m3u":  {"audio/x-mpegurl", "#EXTM3U\n#EXTINF:10,Un titre\na.mp3\nhttp://127.0.0.2/b.mp3\nfile:///etc/passwd\n", "playlist"},
		"/list.pls":  {"", "[playlist]\nNumberOfEntries=1\nFile1=/a.mp3\nTitle1=Un\n", "playlist"},
		"/list.xml":  {"text/xml", xspf, "playlist"},
		"/empty":     {"text/html", "", "page"},
		"/bytes":     {"application/octet-stream", "\x00\x01\x02\x03", "file"},
		"/video.mp4": {"", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + strings.Repeat("\x00", 100), "video"},
	}
	b := newBench(t, outbound.Config{}, media.Config{}, func(w http.ResponseWriter, r *http.Request) {
		s := sources[r.URL.Path]
		w.Header()["Content-Type"] = []string{s.says}
		if s.says == "" {
			w.Header()["Content-Type"] = nil
		}
		io.WriteString(w, s.is)
	})
	b.tools.noPlay = fault.New(fault.Unavailable, "engine_missing", "ffmpeg is not installed; run: apt-get install ffmpeg")
	for path, s := range sources {
		status, a := b.ask(t, "analyze", path)
		if status != 200 || a["kind"] != s.kind || a["size"] != float64(len(s.is)) {
			t.Errorf("%s: %d %v", path, status, a)
		}
		if a["formats"] == nil {
			t.Errorf("%s: formats is null", path)
		}
	}
	for path, want := range map[string]string{
		"/list.m3u": "[map[title:Un titre url:%s/a.mp3] map[title: url:http://127.0.0.2/b.mp3]]",
		"/list.pls": "[map[title:Un url:%s/a.mp3]]", "/list.xml": "[map[duration:2.5 title:Élan & co url:%s/é.mp3]]",
	} {
		_, a := b.ask(t, "analyze", path)
		if got := strings.ReplaceAll(fmt.Sprint(a["entries"]), "%C3%A9", "é"); got != fmt.Sprintf(want, b.origin.URL) {
			t.Errorf("%s: %s", path, got)
		}
	}
	if _, a := b.ask(t, "extract", "/text"); a["text"] != "Bonjour." {
		t.Error(a)
	}
	for _, path := range []string{"/pdf", "/png", "/bytes"} {
		if status, a := b.ask(t, "extract", path); status != http.StatusUnsupportedMediaType || code(a) != "unsupported_media" {
			t.Errorf("%s: %d %v", path, status, a)
		}
	}
	for _, route := range []string{"extract", "stream"} {
		if status, a := b.ask(t, route, "/mp3"); status != http.StatusServiceUnavailable || !strings.Contains(fmt.Sprint(a), "apt-get install ffmpeg") {
			t.Errorf("%s: %d %v", route, status, a)
		}
	}
}

func TestBrokenServers(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	io.WriteString(z, "<html><body><p>"+strings.Repeat("a", 8<<20))
	z.Close()
	b := newBench(t, outbound.Config{Bytes: 3 << 20, FirstByte: 1500 * time.Millisecond}, media.Config{PageBytes: 1 << 20},
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			switch r.URL.Path {
			case "/404":
				w.WriteHeader(http.StatusNotFound)
				io.WriteString(w, "<title>Pas là</title>")
			case "/500":
				w.WriteHeader(http.StatusInternalServerError)
			case "/loop":
				http.Redirect(w, r, "/loop", http.StatusFound)
			case "/slow":
				<-r.Context().Done()
			case "/stalls":
				io.WriteString(w, "<html><head><title>Puis rien</title></head><body><p>"+paragraphs[0]+"</p>")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			case "/bomb":
				w.Header().Set("Content-Encoding", "gzip")
				w.Write(bomb.Bytes())
			case "/huge":
				w.Header().Set("Content-Length", "10737418240")
				for io.WriteString(w, "<html><body>"); r.Context().Err() == nil; {
					if _, err := io.WriteString(w, "<p>"+paragraphs[0]+"</p>"); err != nil {
						return
					}
				}
			case "/deep":
				io.WriteString(w, strings.Repeat("<div>", 50000)+"<p>"+paragraphs[0]+"</p>")
			case "/cut":
				w.Header().Set("Content-Length", "100000")
				io.WriteString(w, "<html><body><p>"+paragraphs[0]+"</p>")
			case "/inside":
				http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
			}
		})
	for path, want := range map[string][2]int{ // of analyze, of extract and stream
		"/404": {200, 502}, "/500": {502, 502}, "/loop": {502, 502}, "/slow": {504, 504}, "/inside": {403, 403},
	} {
		for route, status := range map[string]int{"analyze": want[0], "extract": want[1], "stream": want[1]} {
			if got, a := b.ask(t, route, path); got != status {
				t.Errorf("%s %s: %d, not %d (%v)", route, path, got, status, a)
			}
		}
	}
	if _, a := b.ask(t, "analyze", "/404"); a["status"] != 404.0 || a["title"] != "Pas là" {
		t.Error(a)
	}
	for path, status := range map[string]int{"/bomb": 413, "/huge": 413, "/stalls": 504, "/cut": 502, "/deep": 200} {
		if got, a := b.ask(t, "extract", path); got != status {
			t.Errorf("extract %s: %d %v", path, got, a)
		}
	}
	if status, a := b.ask(t, "analyze", "/huge"); status != 200 || a["size"] != 10737418240.0 {
		t.Errorf("%d %v", status, a)
	}
	for path, code := range map[string]string{"/huge": "too_large", "/stalls": "upstream_timeout", "/cut": "upstream_failed"} {
		all := b.stream(t, path)
		if last := all[len(all)-1]; last.Type != "error" || last.Error.Code != code || all[0].Type != "metadata" || all[1].Content != paragraphs[0] {
			t.Errorf("%s: %+v … %+v", path, all[0], last)
		}
	}
	for u, want := range map[string]int{
		"http://127.0.0.2/": 403, "http://169.254.169.254/latest/meta-data": 403, "http://[::1]/": 403, "http://10.0.0.1:22/": 403,
		"http://nowhere.invalid/": 400, "ftp://x/": 400, "": 400, "http://u:p@x/": 400,
	} {
		for _, route := range []string{"analyze", "extract", "stream"} {
			if resp := b.post(t, route, map[string]string{"url": u}); resp.StatusCode != want {
				body, _ := io.ReadAll(resp.Body)
				t.Errorf("%s %q: %d %s", route, u, resp.StatusCode, body)
			}
		}
	}
	for _, body := range []any{[]int{1}, map[string]any{"url": 1}, map[string]any{"url": b.origin.URL, "include": []string{"x"}}, map[string]any{"url": b.origin.URL, "language": "xx"}} {
		if resp := b.post(t, "stream", body); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %d", body, resp.StatusCode)
		}
	}
}

const videoPage = `<html lang="fr"><head><meta charset="utf-8"><title>Vidéo</title>%s</head><body><video src="/v.mp4"></video></body></html>`

func TestMedia(t *testing.T) {
	b := newBench(t, outbound.Config{}, media.Config{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/og":
			fmt.Fprintf(w, videoPage, `<meta property="og:type" content="video.other">`)
		case "/tube":
			io.WriteString(w, `<html><head><title>Tube</title><meta property="og:type" content="video.other"></head><body></body></html>`)
		case "/a.mp3":
			w.Header().Set("Content-Type", "audio/mpeg")
			io.WriteString(w, "ID3\x04\x00\x00\x00\x00\x00\x00")
		default:
			fmt.Fprintf(w, videoPage, "")
		}
	})
	f := b.tools
	f.heard = []pipeline.Segment{{Start: 0, End: 1, Text: "Bonjour."}, {Start: 1, End: 2, Text: "Au revoir."}}
	f.found = media.Found{Title: "Autre", Author: "Chaîne", Duration: 3, Formats: []media.Format{{ID: "0", URL: "http://x/v"}}, Sound: &media.Input{URL: "http://x/sound"}}
	f.probe = media.Probe{Title: "Un titre", Audio: true, Duration: 3, Formats: []media.Format{{ACodec: "mp3"}}}
	for path, want := range map[string][2]string{"/video": {"video", "play http://x/sound"}, "/og": {"video", "play http://x/sound"}, "/a.mp3": {"audio", "play " + b.origin.URL + "/a.mp3"}} {
		if _, a := b.ask(t, "analyze", path); a["kind"] != want[0] || a["duration"] != 3.0 || len(a["formats"].([]any)) != 1 {
			t.Errorf("%s: %v", path, a)
		}
		f.sound = &tape{seconds: 3}
		_, a := b.ask(t, "extract", path)
		if a["text"] != "Bonjour. Au revoir." || len(a["segments"].([]any)) != 2 || a["complete"] != true || a["model"] != "base" ||
			f.asked[len(f.asked)-1] != want[1] || !f.sound.closed {
			t.Errorf("%s: %v, asked %v", path, a, f.asked)
		}
		f.sound = &tape{seconds: 3}
		all := b.stream(t, path, "audio")
		samples, words := 0, 0
		for _, ev := range all {
			switch ev.Type {
			case "audio":
				raw, err := base64.StdEncoding.DecodeString(ev.Content.(string))
				if err != nil {
					t.Fatal(err)
				}
				r, err := wav.NewReader(bytes.NewReader(raw), int64(len(raw)))
				if err != nil || r.Rate() != 16000 || ev.Start != float64(samples)/16000 {
					t.Fatalf("%v, %+v", err, ev.Start)
				}
				samples += (len(raw) - 44) / 2
			case "text":
				if words++; ev.End == 0 {
					t.Errorf("%+v", ev)
				}
			}
		}
		if samples != 3*16000 || words != 2 || !f.sound.closed {
			t.Errorf("%s: %d samples, %d segments", path, samples, words)
		}
	}
	// Without yt-dlp the page's own word is taken.
	f.noFind, f.sound = fault.New(fault.Unavailable, "engine_missing", "no"), &tape{seconds: 2}
	if _, a := b.ask(t, "extract", "/video"); a["text"] != "Bonjour. Au revoir." || f.asked[len(f.asked)-1] != "play "+b.origin.URL+"/v.mp4" {
		t.Errorf("%v, asked %v", a, f.asked)
	}
	// A page that is nothing but a video needs yt-dlp.
	for _, route := range []string{"extract", "stream"} {
		if status, a := b.ask(t, route, "/tube"); status != 503 || code(a) != "engine_missing" {
			t.Errorf("%s: %d %v", route, status, a)
		}
	}
	if status, a := b.ask(t, "analyze", "/tube"); status != 200 || a["kind"] != "video" {
		t.Errorf("%d %v", status, a)
	}
	f.noFind = fault.New(fault.Unsupported, "no_media", "no")
	if status, a := b.ask(t, "extract", "/tube"); status != 200 || a["kind"] != "page" {
		t.Errorf("%d %v", status, a)
	}
	// What looks like sound and is none.
	f.noPlay = fault.New(fault.Unsupported, "unsupported_media", "no")
	for _, route := range []string{"extract", "stream"} {
		if status, a := b.ask(t, route, "/a.mp3"); status != 415 {
			t.Errorf("%s: %d %v", route, status, a)
		}
	}
	f.noPlay = nil
	// A medium that breaks off: what was heard is answered.
	f.sound = &tape{seconds: 1, err: fault.New(fault.Upstream, "upstream_failed", "cut")}
	if status, a := b.ask(t, "extract", "/a.mp3"); status != 200 || a["text"] != "Bonjour." || a["complete"] != false {
		t.Errorf("%d %v", status, a)
	}
	f.sound = &tape{seconds: 1, err: fault.New(fault.TooLarge, "too_large", "big")}
	all := b.stream(t, "/a.mp3")
	if last := all[len(all)-1]; last.Error.Code != "too_large" || all[1].Content != "Bonjour." {
		t.Errorf("%+v", all)
	}
	f.sound, f.heard = &tape{seconds: 1}, nil // music
	if status, a := b.ask(t, "extract", "/a.mp3"); status != 200 || a["text"] != "" {
		t.Errorf("%d %v", status, a)
	}
	f.noHear = fault.New(fault.Unavailable, "engine_missing", "run: brenda models pull whisper-base")
	f.sound = &tape{seconds: 1}
	if status, a := b.ask(t, "extract", "/a.mp3"); status != 503 {
		t.Errorf("%d %v", status, a)
	}
}

// TestClientLeaves: an endless medium ends when nobody listens any more.
func TestClientLeaves(t *testing.T) {
	b := newBench(t, outbound.Config{}, media.Config{Parallel: 1}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		io.WriteString(w, "ID3\x04\x00\x00\x00\x00\x00\x00")
	})
	b.tools.probe = media.Probe{Audio: true, Live: true}
	b.tools.sound = &tape{endless: true}
	ctx, cancel := context.WithCancel(t.Context())
	body := fmt.Sprintf(`{"url":%q,"include":["audio"]}`, b.origin.URL)
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, b.front.URL+"/stream", strings.NewReader(body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	if ev, _ := next(t, r); ev.Type != "metadata" || ev.Content.(map[string]any)["live"] != true {
		t.Fatalf("%+v", ev)
	}
	if ev, _ := next(t, r); ev.Type != "audio" {
		t.Fatalf("%+v", ev)
	}
	if status, a := b.ask(t, "analyze", "/"); status != http.StatusServiceUnavailable || code(a) != "overloaded" {
		t.Errorf("%d %v", status, a)
	}
	cancel()
	for range 500 { // until the place is free again
		if status, _ := b.ask(t, "analyze", "/"); status == http.StatusOK {
			if !b.tools.sound.closed {
				t.Error("the sound is still open")
			}
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Error("the stream goes on without its client")
}

// TestPatience: extract answers in time with what it has heard so far.
func TestPatience(t *testing.T) {
	b := newBench(t, outbound.Config{}, media.Config{Patience: 200 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		io.WriteString(w, "ID3\x04\x00\x00\x00\x00\x00\x00")
	})
	b.tools.probe = media.Probe{Audio: true}
	b.tools.sound = &tape{endless: true}
	b.tools.heard = []pipeline.Segment{{End: 1, Text: "Bonjour."}}
	if status, a := b.ask(t, "extract", "/"); status != 200 || a["text"] != "Bonjour." || a["complete"] != false {
		t.Errorf("%d %v", status, a)
	}
}
