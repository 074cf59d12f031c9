package sdserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/fault"
)

// peer plays an sd-server that answers questions for its job as it is told to.
type peer struct {
	accept string   // the answer to a new job
	status int      // of that
	states []string // the answers to questions for it, the last one again and again; "!503" is a status

	mu        sync.Mutex
	asked     int
	cancelled []string
	body      map[string]any
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.URL.Path == "/sdcpp/v1/img_gen":
		if err := json.NewDecoder(r.Body).Decode(&p.body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(p.status)
		io.WriteString(w, p.accept)
	case strings.HasSuffix(r.URL.Path, "/cancel"):
		p.cancelled = append(p.cancelled, strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/sdcpp/v1/jobs/"), "/cancel"))
		io.WriteString(w, "{}")
	default:
		s := p.states[min(p.asked, len(p.states)-1)]
		p.asked++
		if code, ok := strings.CutPrefix(s, "!"); ok {
			var n int
			fmt.Sscan(code, &n)
			w.WriteHeader(n)
			return
		}
		io.WriteString(w, s)
	}
}

func start(t *testing.T, h http.Handler) *Engine {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	e, err := New(imagepeer.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func accepted(states ...string) *peer {
	return &peer{status: http.StatusAccepted, accept: `{"id":"job_1","status":"queued"}`, states: states}
}

func completed(b64 string) string {
	return `{"id":"job_1","status":"completed","result":{"images":[{"index":0,"b64_json":"` + b64 + `"}]},"error":null}`
}

const generating = `{"id":"job_1","status":"generating","result":null,"error":null}`

func painting() pipeline.Painting {
	return pipeline.Painting{Prompt: "un chat", Width: 64, Height: 64, Steps: 4, Seed: 7}
}

func ignore(pipeline.PaintStep) error { return nil }

func TestJobToItsEnd(t *testing.T) {
	p := accepted(generating, "!503", "!500", generating, completed(base64.StdEncoding.EncodeToString([]byte("picture"))))
	e := start(t, p)
	var steps []pipeline.PaintStep
	want := painting()
	guidance := 2.5
	want.Negative, want.Sampler, want.Guidance, want.Source, want.Strength = "un chien", "euler", &guidance, []byte("source"), 0.25
	got, err := e.Paint(context.Background(), want, func(s pipeline.PaintStep) error {
		steps = append(steps, s)
		return nil
	})
	if err != nil || string(got) != "picture" {
		t.Fatalf("got %q, %v", got, err)
	}
	if fmt.Sprint(steps) != "[{queued 0 4} {generating 0 4} {generating 4 4}]" {
		t.Errorf("told %v", steps)
	}
	if len(p.cancelled) > 0 {
		t.Error("a job that was done was cancelled")
	}
	sent, _ := json.Marshal(p.body)
	const exact = `{"batch_count":1,"embed_image_metadata":false,"height":64,"init_image":"c291cmNl","negative_prompt":"un chien",` +
		`"output_format":"png","prompt":"un chat","sample_params":{"guidance":{"txt_cfg":2.5},"sample_method":"euler","sample_steps":4},` +
		`"seed":7,"strength":0.25,"width":64}`
	if string(sent) != exact {
		t.Errorf("sent %s", sent)
	}
}

func TestMisbehaviour(t *testing.T) {
	cases := map[string]struct {
		peer   *peer
		kind   fault.Kind
		code   string
		cancel bool
	}{
		"half JSON":      {accepted(`{"id":"job_1","status":"comp`), fault.Internal, "engine_failed", true},
		"broken base64":  {accepted(completed("a*b=")), fault.Internal, "engine_failed", false},
		"no base64":      {accepted(completed("")), fault.Internal, "engine_failed", false},
		"no picture":     {accepted(`{"status":"completed","result":{"images":[]}}`), fault.Internal, "engine_failed", false},
		"no result":      {accepted(`{"status":"completed","result":null}`), fault.Internal, "engine_failed", false},
		"unknown status": {accepted(`{"status":"resting"}`), fault.Internal, "engine_failed", true},
		"failed":         {accepted(`{"status":"failed","error":{"code":"x","message":"/secret/path"}}`), fault.Internal, "engine_failed", false},
		"cancelled":      {accepted(`{"status":"cancelled"}`), fault.Internal, "engine_failed", false},
		"forgotten":      {accepted(generating, "!404"), fault.Internal, "engine_failed", false},
		"gone":           {accepted(generating, "!410"), fault.Internal, "engine_failed", false},
		"silent":         {accepted(generating, "!500"), fault.Internal, "engine_failed", true},
		"full":           {&peer{status: 429, accept: `{"error":"job queue is full"}`}, fault.Unavailable, "image_busy", false},
		"refused":        {&peer{status: 400, accept: `{"error":"invalid"}`}, fault.Internal, "image_refused", false},
		"key refused":    {&peer{status: 401, accept: `no`}, fault.Internal, "image_unauthorized", false},
		"crashed":        {&peer{status: 500, accept: `{"error":"server_error","message":"/x"}`}, fault.Internal, "engine_failed", false},
		"elsewhere":      {&peer{status: 302}, fault.Internal, "image_not_compatible", false},
		"another server": {&peer{status: 404, accept: `<html>`}, fault.Internal, "image_not_compatible", false},
		"no id":          {&peer{status: 202, accept: `{}`}, fault.Internal, "engine_failed", false},
		"half an id":     {&peer{status: 202, accept: `{"id":"jo`}, fault.Internal, "engine_failed", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := start(t, c.peer).Paint(context.Background(), painting(), ignore)
			f := fault.As(err)
			if f == nil || f.Kind != c.kind || f.Code != c.code {
				t.Fatalf("got %v, want kind %v, code %s", err, c.kind, c.code)
			}
			if strings.Contains(f.Msg, "/") || strings.Contains(f.Msg, "127.0.0.1") {
				t.Errorf("tells the client %q", f.Msg)
			}
			c.peer.mu.Lock()
			defer c.peer.mu.Unlock()
			if (len(c.peer.cancelled) > 0) != c.cancel {
				t.Errorf("cancelled %v, want %v", c.peer.cancelled, c.cancel)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	e, err := New(imagepeer.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Palette(context.Background()); fault.As(err).Code != "image_unreachable" {
		t.Errorf("got %v", err)
	}
	if _, err := e.Paint(context.Background(), painting(), ignore); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestAnswerWithoutEnd(t *testing.T) {
	e := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	if _, err := e.Palette(context.Background()); fault.As(err).Code != "engine_failed" {
		t.Errorf("got %v", err)
	}
	if _, err := e.Paint(context.Background(), painting(), ignore); fault.As(err).Code != "engine_failed" {
		t.Errorf("got %v", err)
	}
}

// TestClientGoes has the job cancelled by its id, by the end of the context and by an emit that fails.
func TestClientGoes(t *testing.T) {
	gone := errors.New("the client is gone")
	for name, end := range map[string]func(cancel context.CancelCauseFunc) error{
		"context": func(cancel context.CancelCauseFunc) error { cancel(gone); return nil },
		"emit":    func(context.CancelCauseFunc) error { return gone },
	} {
		t.Run(name, func(t *testing.T) {
			p := accepted(generating)
			e := start(t, p)
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			_, err := e.Paint(ctx, painting(), func(s pipeline.PaintStep) error {
				if s.State == pipeline.PaintGenerating {
					return end(cancel)
				}
				return nil
			})
			if !errors.Is(err, gone) || len(p.cancelled) != 1 || p.cancelled[0] != "job_1" {
				t.Errorf("got %v, cancelled %v", err, p.cancelled)
			}
		})
	}
}

// TestHangingServer ends with the context although the server answers nothing, and says why.
func TestHangingServer(t *testing.T) {
	release := make(chan struct{})
	e := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	late := fault.New(fault.Internal, "engine_stalled", "too late")
	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, late)
	defer cancel()
	if _, err := e.Paint(ctx, painting(), ignore); !errors.Is(err, late) {
		t.Errorf("got %v", err)
	}
}

func TestPaletteOfOthers(t *testing.T) {
	for name, answer := range map[string]string{
		"a page": "<html></html>", "another JSON": `{"data":[]}`, "a list": `[]`, "half": `{"model":{"stem":"x"},"supp`,
	} {
		e := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		if _, err := e.Palette(context.Background()); fault.As(err).Code != "engine_failed" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestLastStep(t *testing.T) {
	const loading = "\r  |====>     | 308/688 - 1.59GB/s\x1b[K\n"
	for output, want := range map[string]string{
		"":      "0/0",
		loading: "0/0",
		loading + "\r  |=>  | 1/20 - 1.21s/it\x1b[K":                          "1/20",
		"\r  |=>  | 1/20 - 1.21s/it\x1b[K\r  |==>  | 2/20 - 3.40it/s\x1b[K\n": "2/20",
		"| 20/20 - 1.21s/it\x1b[K\n[INFO ] decoding 1 latents":                "20/20",
		"prompt: 7/8 - of a page":                                             "0/0",
	} {
		_, step, steps := lastStep(output)
		if got := fmt.Sprintf("%d/%d", step, steps); got != want {
			t.Errorf("%q: got %s, want %s", output, got, want)
		}
	}
}
