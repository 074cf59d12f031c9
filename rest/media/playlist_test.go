package media_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/rest/media"
)

// TestLists: a list is played from its first entry to its last, without those that cannot be had.
func TestLists(t *testing.T) {
	b := newBench(t, outbound.Config{}, media.Config{}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".mp3"):
			w.Header().Set("Content-Type", "audio/mpeg")
			io.WriteString(w, "ID3\x04\x00\x00\x00\x00\x00\x00")
		case r.URL.Path == "/inside.m3u":
			io.WriteString(w, "#EXTM3U\nhttp://127.0.0.2/x.mp3\nhttp://169.254.169.254/x.mp3\n")
		case r.URL.Path == "/nested.m3u":
			io.WriteString(w, "#EXTM3U\nloop.m3u\nnested2.m3u\n")
		case r.URL.Path == "/nested2.m3u":
			io.WriteString(w, "#EXTM3U\nb.mp3\nloop.m3u\n")
		case r.URL.Path == "/loop.m3u":
			io.WriteString(w, "#EXTM3U\nloop.m3u\nloop.m3u\n")
		case r.URL.Path == "/page", r.URL.Path == "/one":
			io.WriteString(w, `<html><head><title>Deux</title></head><body><video src="/b.mp3"></video></body></html>`)
		case r.URL.Path == "/list.m3u":
			io.WriteString(w, "#EXTM3U\na.mp3\nhttp://127.0.0.2/inside.mp3\nnone\nb.mp3\n")
		default:
			http.NotFound(w, r)
		}
	})
	f := b.tools
	f.heard = []pipeline.Segment{{Start: 0, End: 1, Text: "Bonjour."}}
	f.probe = media.Probe{Audio: true, Duration: 2}
	f.fresh = func() *tape { return &tape{seconds: 2} }
	f.noFind = fault.New(fault.Unsupported, "no_media", "no")

	status, a := b.ask(t, "extract", "/list.m3u")
	entries, _ := a["entries"].([]any)
	if status != 200 || a["text"] != "Bonjour.\n\nBonjour." || a["kind"] != "playlist" || a["complete"] != true || len(entries) != 4 {
		t.Fatalf("%d %v", status, a)
	}
	for i, want := range []string{"", "forbidden_address", "upstream_failed", ""} {
		e, _ := entries[i].(map[string]any)["error"].(map[string]any)
		if want == "" && e != nil || want != "" && e["code"] != want {
			t.Errorf("entry %d: %v", i, entries[i])
		}
	}
	if second := a["segments"].([]any)[1].(map[string]any); second["entry"] != 3.0 {
		t.Errorf("%v", second)
	}

	all := b.stream(t, "/list.m3u", "audio")
	order := ""
	for _, ev := range all {
		content, _ := ev.Content.(map[string]any)
		switch {
		case ev.Type == "metadata" && ev.Entry == nil:
			order += fmt.Sprint(content["kind"], " ")
		case content["error"] != nil:
			order += fmt.Sprint(*ev.Entry, ":error ")
		default:
			order += fmt.Sprint(*ev.Entry, ":", ev.Type, " ")
		}
	}
	if order != "playlist 0:metadata 0:audio 0:text 1:error 2:error 3:metadata 3:audio 3:text " &&
		order != "playlist 0:metadata 0:text 0:audio 1:error 2:error 3:metadata 3:text 3:audio " {
		t.Log(order) // sound and words race; what matters:
		for _, part := range []string{"playlist 0:metadata ", " 1:error 2:error 3:metadata ", "3:text"} {
			if !strings.Contains(order, part) {
				t.Errorf("%q lacks %q", order, part)
			}
		}
	}

	// Lists within lists end, and one without anything to play is a failure, not an empty transcript.
	if status, a := b.ask(t, "extract", "/nested.m3u"); status != 200 || a["text"] != "Bonjour." {
		t.Errorf("%d %v", status, a)
	}
	for path, want := range map[string]int{"/inside.m3u": 403, "/loop.m3u": 415} {
		if status, a := b.ask(t, "extract", path); status != want {
			t.Errorf("%s: %d %v", path, status, a)
		}
		all := b.stream(t, path)
		if last := all[len(all)-1]; last.Type != "error" || all[0].Type != "metadata" {
			t.Errorf("%s: %+v", path, all)
		}
	}
	// A listener that fails is not tried again and again.
	f.noHear = fault.New(fault.Unavailable, "engine_missing", "run: brenda models pull whisper-base")
	f.asked = nil
	if status, _ := b.ask(t, "extract", "/list.m3u"); status != 503 || strings.Count(fmt.Sprint(f.asked), "play") != 1 {
		t.Errorf("%d, asked %v", status, f.asked)
	}
	f.noHear = nil
	// What yt-dlp calls a list, of several and of one.
	f.noFind = nil
	for path, n := range map[string]int{"/page": 2, "/one": 1} {
		f.found = media.Found{Playlist: true, Entries: []media.Entry{{URL: b.origin.URL + "/a.mp3"}, {URL: b.origin.URL + "/b.mp3"}}[:n]}
		if status, a := b.ask(t, "extract", path); status != 200 || a["kind"] != "playlist" || strings.Count(fmt.Sprint(a["text"]), "Bonjour") != n {
			t.Errorf("%s: %d %v", path, status, a)
		}
	}
}

// TestManifests: what a DASH manifest names is played; of a live one the answer says what to do instead.
func TestManifests(t *testing.T) {
	b := newBench(t, outbound.Config{}, media.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>`)
	})
	f := b.tools
	f.heard = []pipeline.Segment{{Start: 0, End: 1, Text: "Bonjour."}}
	f.fresh = func() *tape { return &tape{seconds: 2} }
	f.found = media.Found{
		Title: "a", Duration: 6, Formats: []media.Format{{ID: "1", VCodec: "none"}},
		Sound: &media.Input{URL: "http://x/a.mpd", Parts: []string{"http://x/init", "http://x/1"}},
	}
	if status, a := b.ask(t, "analyze", "/a.mpd"); status != 200 || a["kind"] != "audio" || a["title"] != "" || a["duration"] != 6.0 {
		t.Errorf("%d %v", status, a)
	}
	if status, a := b.ask(t, "extract", "/a.mpd"); status != 200 || a["text"] != "Bonjour." || len(f.played.Parts) != 2 {
		t.Errorf("%d %v", status, a)
	}
	f.found.Live, f.found.Sound = true, nil
	for _, route := range []string{"extract", "stream"} {
		if status, a := b.ask(t, route, "/a.mpd"); status != 415 || !strings.Contains(fmt.Sprint(a), "m3u8") {
			t.Errorf("%s: %d %v", route, status, a)
		}
	}
	f.noFind = fault.New(fault.Unavailable, "engine_missing", "yt-dlp is not installed; run: x")
	for route, want := range map[string]int{"analyze": 200, "extract": 503, "stream": 503} {
		if status, a := b.ask(t, route, "/a.mpd"); status != want {
			t.Errorf("%s: %d %v", route, status, a)
		}
	}
}
