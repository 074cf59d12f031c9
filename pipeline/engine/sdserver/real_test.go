package sdserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/engine/a1111"
	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/engine/openaiimages"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/engine/sdserver"
	"brenda/pipeline/fault"
)

// These tests ask a real sd-server, with random weights, which deploy/test-sdserver.sh has built. It speaks all three
// interfaces, so that all three adapters are tried on it.

// lazy is the real server, started when it is first needed.
type lazy struct {
	once   sync.Once
	engine *sdserver.Engine
	host   *proc.Process
	err    error
}

var shared lazy

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.host != nil {
		shared.host.Close()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// patience is for a machine that does a lot besides. No test passes or fails by the time it takes.
const patience = 10 * time.Minute

// server returns the engine of the real server that Brenda runs herself, and its address.
func server(t *testing.T) (e *sdserver.Engine, url string) {
	t.Helper()
	shared.once.Do(func() {
		dir := serverDir(t)
		shared.engine, shared.host, shared.err = sdserver.Start(context.Background(), sdserver.HostConfig{
			Path: filepath.Join(dir, "sd-server"),
			Args: []string{
				"-m", filepath.Join(dir, "model.safetensors"), "--taesd", filepath.Join(dir, "taesd.safetensors"),
				"-t", "1", "--steps", "2", "--cfg-scale", "1", // for the interface that knows no steps
			},
		})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.engine, sdserver.Root(shared.engine)
}

func serverDir(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "brenda", "sd-server")
	if _, err := os.Stat(filepath.Join(dir, "VERSION")); err != nil {
		t.Fatalf("no sd-server in %s; run: deploy/test-sdserver.sh %s", dir, dir)
	}
	return dir
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// small is the cheapest picture.
func small(seed int64, steps int) pipeline.Painting {
	guidance := 1.0 // half the work
	return pipeline.Painting{Prompt: "un chat", Width: 64, Height: 64, Steps: steps, Seed: seed, Guidance: &guidance}
}

// decoded is a picture's pixels.
func decoded(t *testing.T, file []byte, err error) image.Image {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != 64 || b.Dy() != 64 {
		t.Errorf("the picture is %v", b)
	}
	return img
}

func same(a, b image.Image) bool {
	for y := range 64 {
		for x := range 64 {
			if a.At(x, y) != b.At(x, y) {
				return false
			}
		}
	}
	return true
}

func ignore(pipeline.PaintStep) error { return nil }

// TestRealProgress has every step told of, read from what the server prints.
func TestRealProgress(t *testing.T) {
	e, _ := server(t)
	var steps []pipeline.PaintStep
	file, err := e.Paint(within(t), small(1, 8), func(s pipeline.PaintStep) error {
		steps = append(steps, s)
		return nil
	})
	decoded(t, file, err)
	between := 0
	for i, s := range steps {
		if i > 0 && (s.Step < steps[i-1].Step || s.Steps != 8) {
			t.Errorf("told %v", steps)
		}
		if s.Step > 0 && s.Step < 8 {
			between++
		}
	}
	if between == 0 {
		t.Errorf("no step between the first and the last was told of: %v", steps)
	}
}

// adapters are all ways to ask the real server.
func adapters(t *testing.T) map[string]pipeline.Painter {
	t.Helper()
	hosted, root := server(t)
	if err := sdserver.Up(within(t), hosted); err != nil {
		t.Fatal(err)
	}
	peer := imagepeer.Config{URL: root}
	native, err1 := sdserver.New(peer)
	webui, err2 := a1111.New(peer)
	openai, err3 := openaiimages.New(peer, "")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return map[string]pipeline.Painter{"sdcpp": native, "a1111": webui, "openai": openai}
}

// TestRealPictures makes pictures by each interface: the same seed gives the same one where there are seeds, and a
// picture that starts from another is another.
func TestRealPictures(t *testing.T) {
	for name, p := range adapters(t) {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			palette, err := p.Palette(ctx)
			if err != nil || len(palette.Models) != 1 {
				t.Fatalf("palette %+v, %v", palette, err)
			}
			file, err := p.Paint(ctx, small(7, 1), ignore)
			first := decoded(t, file, err)
			if !slices.Contains(palette.Lacks, "seed") {
				again, err := p.Paint(ctx, small(7, 1), ignore)
				if !same(first, decoded(t, again, err)) {
					t.Error("the same seed gave another picture")
				}
				if !slices.Contains(palette.Samplers, "euler") {
					t.Errorf("samplers %v", palette.Samplers)
				}
			}
			o := small(7, 2)
			o.Source, o.Strength, o.Sampler = file, 0.5, "euler"
			refined, err := p.Paint(ctx, o, ignore)
			if same(first, decoded(t, refined, err)) {
				t.Error("refining changed nothing")
			}
		})
	}
}

// TestRealCancelInQueue takes a job from the server's own list before it was begun.
func TestRealCancelInQueue(t *testing.T) {
	_, root := server(t)
	adapters(t) // waits until it is up
	watched := newWitness(t, root)
	e, err := sdserver.New(imagepeer.Config{URL: watched.url})
	if err != nil {
		t.Fatal(err)
	}
	first, cancelFirst := context.WithCancel(within(t))
	defer cancelFirst()
	running := make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		_, err := e.Paint(first, small(1, 100), func(s pipeline.PaintStep) error {
			if s.State == pipeline.PaintGenerating {
				once.Do(func() { close(running) })
			}
			return nil
		})
		done <- err
	}()
	<-running
	second, cancelSecond := context.WithCancel(within(t))
	_, err = e.Paint(second, small(2, 100), func(s pipeline.PaintStep) error {
		if s.State != pipeline.PaintQueued {
			t.Errorf("told %v", s)
		}
		cancelSecond()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := watched.status(t, 1); got != "cancelled" {
		t.Errorf("the server says that the job is %s", got)
	}
	if got := watched.status(t, 0); got != "generating" {
		t.Errorf("the server says that the other job is %s", got)
	}
	cancelFirst()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	sdserver.Abandon(shared.engine) // as somebody else's server could not be
}

// TestRealCancelInMidJob stops a picture that the server works on, after which it has no job and makes the next.
func TestRealCancelInMidJob(t *testing.T) {
	e, root := server(t)
	gone := errors.New("the client is gone")
	_, err := e.Paint(within(t), small(1, 150), func(s pipeline.PaintStep) error {
		if s.Step > 0 {
			return gone
		}
		return nil
	})
	if !errors.Is(err, gone) {
		t.Fatalf("got %v", err)
	}
	if err := sdserver.Up(within(t), e); err != nil { // again
		t.Fatal(err)
	}
	watched := newWitness(t, root)
	next, err := sdserver.New(imagepeer.Config{URL: watched.url})
	if err != nil {
		t.Fatal(err)
	}
	file, err := next.Paint(within(t), small(2, 1), ignore)
	decoded(t, file, err)
	if id := watched.jobs[0]; !strings.HasSuffix(id, "_00000000") { // it counts the jobs of its list
		t.Errorf("the server still knew a job before %s", id)
	}
}

// TestRealRefusals are what the server itself refuses.
func TestRealRefusals(t *testing.T) {
	for name, p := range adapters(t) {
		o := small(1, 1)
		o.Prompt = ""
		if _, err := p.Paint(within(t), o, ignore); name != "sdcpp" && fault.As(err).Code != "image_refused" {
			t.Errorf("%s: no prompt: got %v", name, err)
		}
	}
}

// witness stands before the server and notes the jobs that it takes.
type witness struct {
	root, url string

	mu   sync.Mutex
	jobs []string
}

func newWitness(t *testing.T, root string) *witness {
	t.Helper()
	to, err := url.Parse(root)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{root: root}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	proxy.ModifyResponse = func(res *http.Response) error {
		if !strings.HasSuffix(res.Request.URL.Path, "/img_gen") {
			return nil
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		var job struct{ ID string }
		if err := json.Unmarshal(body, &job); err != nil {
			return err
		}
		w.mu.Lock()
		w.jobs = append(w.jobs, job.ID)
		w.mu.Unlock()
		res.Body = io.NopCloser(bytes.NewReader(body))
		return nil
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

// status asks the server itself for a job.
func (w *witness) status(t *testing.T, i int) string {
	t.Helper()
	w.mu.Lock()
	id := w.jobs[i]
	w.mu.Unlock()
	req, err := http.NewRequestWithContext(within(t), http.MethodGet, w.root+"/sdcpp/v1/jobs/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var job struct{ Status string }
	if err := json.NewDecoder(res.Body).Decode(&job); err != nil {
		t.Fatal(err)
	}
	return job.Status
}
