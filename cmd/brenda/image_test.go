package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/a1111"
	"brenda/pipeline/engine/openaiimages"
	"brenda/pipeline/engine/sdserver"
	"brenda/pipeline/fault"
	"brenda/rest/health"
)

func TestImageMistakes(t *testing.T) {
	for want, c := range map[string]imageConfig{
		"":              {Timeout: time.Minute},
		"image.url":     {Timeout: time.Minute, URL: "ftp://x"},
		"image.server":  {Timeout: time.Minute, URL: "http://x", Server: "sd-server", Weights: "m"},
		"image.weights": {Timeout: time.Minute, Server: "sd-server"},
		"image.timeout": {},
	} {
		err := c.check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
}

// imagePeer answers these paths with these texts, and all others with what a web application says.
func imagePeer(t *testing.T, answers map[string]string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := answers[r.URL.Path]; ok {
			_, _ = io.WriteString(w, a)
			return
		}
		_, _ = io.WriteString(w, "<!doctype html>")
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestImageServerIsRecognized by what it answers, the most capable interface first.
func TestImageServerIsRecognized(t *testing.T) {
	const caps, models, samplers, list = "/sdcpp/v1/capabilities", "/sdapi/v1/sd-models", "/sdapi/v1/samplers", "/v1/models"
	all := map[string]string{
		caps: `{"model":{"stem":"x"},"supported_modes":["img_gen"],"samplers":["euler"]}`, models: `[{"title":"x"}]`, samplers: `[]`,
		list: `{"data":[{"id":"x"}]}`,
	}
	only := func(paths ...string) map[string]string {
		m := map[string]string{}
		for _, p := range paths {
			m[p] = all[p]
		}
		return m
	}
	for name, c := range map[string]struct {
		answers map[string]string
		is      func(pipeline.Painter) bool
	}{
		"sd-server": {all, func(p pipeline.Painter) bool { _, ok := p.(*sdserver.Engine); return ok }},
		"WebUI":     {only(models, samplers, list), func(p pipeline.Painter) bool { _, ok := p.(*a1111.Engine); return ok }},
		"OpenAI":    {only(list), func(p pipeline.Painter) bool { _, ok := p.(*openaiimages.Engine); return ok }},
		"none":      {nil, func(p pipeline.Painter) bool { return p == nil }},
	} {
		p, _, err := newPainter(t.Context(), imageConfig{URL: imagePeer(t, c.answers), Kind: "auto"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		palette, err := p.Palette(t.Context())
		if found := p.(*anyPainter).known(); !c.is(found) || (found == nil) != (err != nil) {
			t.Errorf("%s: taken for %T, %+v, %v", name, found, palette, err)
		}
		if err != nil && fault.As(err).Code != "image_not_compatible" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImageState: a server that is away is told of, and not asked again at once.
func TestImageState(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	p, _, err := newPainter(t.Context(), imageConfig{URL: srv.URL, Kind: "a1111"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &imageState{painter: p}
	for range 3 {
		c := s.components(context.Background())
		if len(c) != 1 || c[0].State != health.Failed || c[0].Required || strings.Contains(c[0].Detail, srv.URL) {
			t.Errorf("got %+v", c)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	if c := (&imageState{}).components(t.Context()); c[0].State != health.Missing || !strings.Contains(c[0].Detail, "BRENDA_IMAGE_URL") {
		t.Errorf("got %+v", c)
	}
}
