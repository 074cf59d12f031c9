package a1111

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// webui plays a WebUI: a picture takes until enough is closed.
type webui struct {
	answer   string
	progress []string // the answers to questions for it, the last one again and again; "!404" is a status
	enough   chan struct{}

	mu          sync.Mutex
	asked       int
	interrupted int
	path        string
	body        map[string]any
}

func (u *webui) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/sdapi/v1/progress":
		u.mu.Lock()
		s := u.progress[min(u.asked, len(u.progress)-1)]
		u.asked++
		done := u.asked == len(u.progress)
		u.mu.Unlock()
		if done && u.enough != nil {
			defer func() { close(u.enough); u.enough = nil }()
		}
		if s[0] == '!' {
			var n int
			fmt.Sscan(s[1:], &n)
			w.WriteHeader(n)
			return
		}
		io.WriteString(w, s)
	case "/sdapi/v1/interrupt":
		u.mu.Lock()
		u.interrupted++
		u.mu.Unlock()
		io.WriteString(w, "null")
	default:
		u.mu.Lock()
		u.path = r.URL.Path
		enough := u.enough
		err := json.NewDecoder(r.Body).Decode(&u.body)
		u.mu.Unlock()
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if enough != nil {
			select {
			case <-enough:
			case <-r.Context().Done():
				return
			}
		}
		io.WriteString(w, u.answer)
	}
}

func start(t *testing.T, h http.Handler) *Engine {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	e, err := New(imagepeer.Config{URL: srv.URL + "/"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func painting() pipeline.Painting {
	return pipeline.Painting{Prompt: "un chat", Width: 64, Height: 64, Steps: 4, Seed: 7}
}

func ignore(pipeline.PaintStep) error { return nil }

var picture = base64.StdEncoding.EncodeToString([]byte("picture"))

// TestProgress reads the answers of a WebUI: steps while it works, and the picture, as a data URL or not.
func TestProgress(t *testing.T) {
	step := func(n, of int) string {
		return fmt.Sprintf(`{"progress":0.5,"eta_relative":1.5,"state":{"job_count":1,"sampling_step":%d,"sampling_steps":%d},"current_image":null}`, n, of)
	}
	// As the WebUI has it: what ends leaves its steps behind, and what begins has those of before until its first step.
	const before = `{"progress":0.0,"eta_relative":0.0,"state":{"skipped":false,"interrupted":false,"job":"","job_count":0,"job_no":0,` +
		`"sampling_step":20,"sampling_steps":20},"current_image":null,"textinfo":null}`
	for _, prefix := range []string{"", "data:image/png;base64,"} {
		u := &webui{
			answer:   `{"images":["` + prefix + picture + `"],"parameters":{},"info":"{\"seed\":7}"}`,
			progress: []string{before, step(0, 20), step(1, 3), "!500", step(1, 3), step(2, 3)}, enough: make(chan struct{}),
		}
		var steps []pipeline.PaintStep
		p := painting()
		guidance := 3.0
		p.Source, p.Strength, p.Guidance, p.Sampler, p.Model = []byte("source"), 0.5, &guidance, "Euler a", "v1"
		got, err := start(t, u).Paint(context.Background(), p, func(s pipeline.PaintStep) error {
			steps = append(steps, s)
			return nil
		})
		if err != nil || string(got) != "picture" {
			t.Fatalf("got %q, %v", got, err)
		}
		if fmt.Sprint(steps) != "[{generating 0 4} {generating 1 3} {generating 2 3} {generating 3 3}]" {
			t.Errorf("told %v", steps)
		}
		sent, _ := json.Marshal(u.body)
		const exact = `{"batch_size":1,"cfg_scale":3,"denoising_strength":0.5,"height":64,"init_images":["c291cmNl"],"n_iter":1,` +
			`"negative_prompt":"","override_settings":{"sd_model_checkpoint":"v1"},"prompt":"un chat","sampler_name":"Euler a",` +
			`"save_images":false,"seed":7,"send_images":true,"steps":4,"width":64}`
		if string(sent) != exact || u.path != "/sdapi/v1/img2img" {
			t.Errorf("sent %s to %s", sent, u.path)
		}
		if u.interrupted > 0 {
			t.Error("a picture that was done was interrupted")
		}
	}
}

func TestMisbehaviour(t *testing.T) {
	for name, answer := range map[string]string{
		"half JSON": `{"images":["abc`, "no picture": `{"images":[]}`, "broken base64": `{"images":["a*b"]}`,
		"another type": `{"images":{"a":1}}`, "empty": ``, "empty picture": `{"images":[""]}`,
	} {
		t.Run(name, func(t *testing.T) {
			u := &webui{answer: answer, progress: []string{"!404"}}
			_, err := start(t, u).Paint(context.Background(), painting(), ignore)
			if fault.As(err).Code != "engine_failed" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestClientGoes has the server interrupted, by the end of the context and by an emit that fails.
func TestClientGoes(t *testing.T) {
	gone := errors.New("the client is gone")
	for name, end := range map[string]func(cancel context.CancelCauseFunc) error{
		"context": func(cancel context.CancelCauseFunc) error { cancel(gone); return nil },
		"emit":    func(context.CancelCauseFunc) error { return gone },
	} {
		t.Run(name, func(t *testing.T) {
			u := &webui{progress: []string{"!404", "!404"}, enough: make(chan struct{})}
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			_, err := start(t, u).Paint(ctx, painting(), func(pipeline.PaintStep) error { return end(cancel) })
			u.mu.Lock()
			defer u.mu.Unlock()
			if !errors.Is(err, gone) || u.interrupted != 1 {
				t.Errorf("got %v, interrupted %d times", err, u.interrupted)
			}
		})
	}
}

// silent is a server that takes the picture, and answers nothing any more.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/sdapi/v1/interrupt" {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// TestSilentServer gives up on a server that does not tell of its progress any more.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer, err := imagepeer.New(imagepeer.Config{URL: "http://127.0.0.1", Transport: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = (&Engine{peer: peer}).Paint(context.Background(), painting(), ignore)
		if fault.As(err).Code != "engine_stalled" || time.Since(begin) > 2*time.Minute {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}

func TestPalette(t *testing.T) {
	e := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sdapi/v1/samplers" {
			io.WriteString(w, `[{"name":"Euler a","aliases":["k_euler_a"],"options":{}},{"name":"DDIM","aliases":[]}]`)
			return
		}
		io.WriteString(w, `[{"title":"v1.safetensors [abc]","model_name":"v1","filename":"/x/v1.safetensors"},{"title":"v2"}]`)
	}))
	p, err := e.Palette(context.Background())
	if err != nil || fmt.Sprint(p.Models, p.Samplers) != "[v1 v2] [Euler a DDIM]" {
		t.Errorf("got %+v, %v", p, err)
	}
}
