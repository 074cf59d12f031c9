package media_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/pipeline/outbound/outboundtest"
	"brenda/rest/httpx"
	"brenda/rest/media"
)

// tools stand in for yt-dlp, ffmpeg and the recognizer; their own packages test the real ones.
type tools struct {
	found  media.Found
	noFind error
	probe  media.Probe
	noPlay error
	sound  *tape
	heard  []pipeline.Segment
	noHear error
	asked  []string
	fresh  func() *tape // a new sound each time
	played media.Input  // the last one
}

func (f *tools) Find(_ context.Context, u string) (media.Found, error) {
	f.asked = append(f.asked, "find "+u)
	return f.found, f.noFind
}

func (f *tools) Probe(_ context.Context, in media.Input) (media.Probe, error) {
	f.asked = append(f.asked, "probe "+in.URL)
	return f.probe, f.noPlay
}

func (f *tools) Play(ctx context.Context, in media.Input) (media.Sound, error) {
	f.asked, f.played = append(f.asked, "play "+in.URL), in
	if f.fresh != nil {
		f.sound = f.fresh()
	}
	if f.sound != nil {
		f.sound.ctx = ctx
	}
	return f.sound, f.noPlay
}

// Listen says one segment for each second of sound.
func (f *tools) Listen(
	ctx context.Context, src pipeline.Sound, _ pipeline.ListenOptions, emit func(pipeline.Segment) error,
) (pipeline.Heard, error) {
	heard := pipeline.Heard{Transcript: pipeline.Transcript{Language: "fr", Model: "base"}}
	samples := 0
	buf := make([]float32, 4000)
	for {
		n, err := src.Read(buf)
		if samples += n; samples >= pipeline.InputRate*(len(heard.Segments)+1) && len(heard.Segments) < len(f.heard) {
			g := f.heard[len(heard.Segments)]
			heard.Segments = append(heard.Segments, g)
			if err := emit(g); err != nil {
				return heard, err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && len(heard.Segments) == 0 && f.noHear == nil:
			return heard, fault.New(fault.Invalid, "no_speech", "nothing")
		case errors.Is(err, io.EOF):
			heard.Duration = time.Duration(samples) * time.Second / pipeline.InputRate
			return heard, f.noHear
		case err != nil:
			return heard, err
		case ctx.Err() != nil:
			return heard, context.Cause(ctx)
		}
	}
}

// tape is a sound of so many seconds, then err.
type tape struct {
	ctx     context.Context //nolint:containedctx // that of Play
	seconds int
	endless bool
	err     error
	at      int
	closed  bool
}

func (t *tape) Rate() int { return pipeline.InputRate }

func (t *tape) Read(dst []float32) (int, error) {
	if t.ctx.Err() != nil {
		return 0, context.Cause(t.ctx)
	}
	left := t.seconds*pipeline.InputRate - t.at
	if t.endless {
		left = len(dst)
	}
	if left <= 0 {
		if t.err != nil {
			return 0, t.err
		}
		return 0, io.EOF
	}
	n := min(left, len(dst))
	t.at += n
	return n, nil
}

func (t *tape) Close() error { t.closed = true; return nil }

// bench is the service in front of an origin.
type bench struct {
	origin *httptest.Server
	front  *httptest.Server
	tools  *tools
	trap   *outboundtest.Trap
}

func newBench(t *testing.T, cfg outbound.Config, mc media.Config, h http.HandlerFunc) *bench {
	t.Helper()
	b := &bench{origin: httptest.NewServer(h), tools: &tools{}}
	t.Cleanup(b.origin.Close)
	b.trap = outboundtest.NewTrap(t, outboundtest.Port(t, b.origin.URL))
	g := outboundtest.Guard(t, cfg, b.origin.URL)
	mc.Languages = []string{"fr", "en"}
	s := media.New(g, b.tools, b.tools, b.tools, mc)
	routes := map[string]httpx.Handler{"analyze": s.Analyze, "extract": s.Extract, "stream": s.Stream}
	b.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes[strings.TrimPrefix(r.URL.Path, "/")].ServeHTTP(httpx.NewRecorder(w), r)
	}))
	t.Cleanup(b.front.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return b
}

func (b *bench) post(t *testing.T, route string, body any) *http.Response {
	t.Helper()
	j, _ := json.Marshal(body)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, b.front.URL+"/"+route, bytes.NewReader(j))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// ask posts a URL of the origin and decodes the answer.
func (b *bench) ask(t *testing.T, route, path string) (status int, answer map[string]any) {
	t.Helper()
	resp := b.post(t, route, map[string]string{"url": b.origin.URL + path})
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%s %s: %d, %v", route, path, resp.StatusCode, err)
	}
	return resp.StatusCode, answer
}

type sent struct {
	Type    string
	Content any
	Level   int
	Start   float64
	End     float64
	Entry   *int
	Error   httpx.Problem
}

// next reads one event; done is true after [DONE].
func next(t *testing.T, r *bufio.Reader) (ev sent, done bool) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended without [DONE]: %v", err)
		}
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if data == "[DONE]" {
			return ev, true
		}
		if ok {
			if err := json.Unmarshal([]byte(data), &ev); err != nil {
				t.Fatal(err)
			}
			return ev, false
		}
	}
}

func (b *bench) stream(t *testing.T, path string, include ...string) []sent {
	t.Helper()
	resp := b.post(t, "stream", map[string]any{"url": b.origin.URL + path, "include": include})
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
	var all []sent
	r := bufio.NewReader(resp.Body)
	for {
		ev, done := next(t, r)
		if done {
			return all
		}
		all = append(all, ev)
	}
}

func code(answer map[string]any) string {
	e, _ := answer["error"].(map[string]any)
	return fmt.Sprint(e["code"])
}
