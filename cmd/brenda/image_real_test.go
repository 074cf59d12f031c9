package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tmaxmax/go-sse"

	"brenda/pipeline/schedule"
	"brenda/rest"
	"brenda/rest/health"
	"brenda/rest/image"
)

// TestPicturesForReal makes pictures with an sd-server that Brenda runs herself, as a client of the routes sees it: steps,
// a picture of the size asked for, refining it, and leaving in the middle.
func TestPicturesForReal(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "brenda", "sd-server")
	if _, err := os.Stat(filepath.Join(dir, "VERSION")); err != nil {
		t.Fatalf("no sd-server in %s; run: deploy/test-sdserver.sh %s", dir, dir)
	}
	quiet := slog.New(slog.DiscardHandler)
	painter, end, err := newPainter(context.Background(), imageConfig{
		Server: filepath.Join(dir, "sd-server"), Weights: filepath.Join(dir, "model.safetensors"),
		Args: []string{"--taesd", filepath.Join(dir, "taesd.safetensors"), "-t", "1"},
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = end() })
	queue := schedule.NewMachine(0).Queue(schedule.Config{Name: "image", MaxWait: time.Hour})
	images := image.New(boundedPainter{painter, time.Hour}, queue, image.Config{})
	metrics := health.NewMetrics(prometheus.NewRegistry(), func() health.Load { return health.Load{} })
	srv := httptest.NewServer(rest.New(rest.Config{}, rest.Routes(rest.Features{Image: images}), metrics, quiet))
	t.Cleanup(srv.Close)

	kinds, first := askForPicture(t, srv.URL, "generate", map[string]any{
		"prompt": "un chat", "width": 72, "height": 64, "steps": 4, "cfg_scale": 1, "seed": 7,
	})
	if first == nil || !slices.Contains(kinds, "progress") || kinds[len(kinds)-1] != "image" {
		t.Fatalf("got %v", kinds)
	}
	leaveInTheMiddle(t, srv.URL)
	kinds, refined := askForPicture(t, srv.URL, "refine", map[string]any{
		"prompt": "net", "image": first, "strength": 0.5, "steps": 2, "cfg_scale": 1,
	})
	if bytes.Equal(first, refined) {
		t.Errorf("refining changed nothing: %v", kinds)
	}
	for _, file := range [][]byte{first, refined} {
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil || img.Bounds().Dx() != 72 || img.Bounds().Dy() != 64 {
			t.Errorf("got %v, %v", img, err)
		}
	}
}

// askForPicture returns the kinds of the events, and the picture.
func askForPicture(t *testing.T, base, route string, body map[string]any) (kinds []string, picture []byte) {
	t.Helper()
	res := postPicture(t, t.Context(), base, route, body)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("%s: %d %s", route, res.StatusCode, text)
	}
	for ev, err := range sse.Read(res.Body, &sse.ReadConfig{MaxEventSize: 1 << 20}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Data == "[DONE]" {
			return kinds, picture
		}
		var e struct {
			Type    string
			Content []byte
		}
		if err := json.Unmarshal([]byte(ev.Data), &e); err != nil {
			t.Fatal(err)
		}
		kinds, picture = append(kinds, e.Type), e.Content
	}
	t.Fatalf("%s: the stream broke off after %v", route, kinds)
	return nil, nil
}

// leaveInTheMiddle closes the connection at the first step of a long picture.
func leaveInTheMiddle(t *testing.T, base string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res := postPicture(t, ctx, base, "generate", map[string]any{
		"prompt": "un chien", "width": 64, "height": 64, "steps": 150, "cfg_scale": 1,
	})
	defer res.Body.Close()
	for ev, err := range sse.Read(res.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(ev.Data, `"step":1,`) {
			return
		}
	}
	t.Error("no step was told of")
}

func postPicture(t *testing.T, ctx context.Context, base, route string, body map[string]any) *http.Response { //nolint:revive // t comes first
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/ai/image/"+route, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
