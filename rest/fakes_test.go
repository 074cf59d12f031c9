package rest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"brenda/audio/wav"
	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest"
	"brenda/rest/ai"
	"brenda/rest/chaining"
	"brenda/rest/files"
	"brenda/rest/health"
	"brenda/rest/httpx"
	"brenda/rest/image"
	"brenda/rest/media"
	"brenda/rest/monitor"
	"brenda/rest/sessions"
	"brenda/rest/speech"
	"brenda/rest/translate"
	"brenda/rest/vision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakes stand in for all that is behind the handlers.
type fakes struct {
	mu         sync.Mutex
	sessions   map[string]ai.Info
	cancels    map[string]context.CancelCauseFunc
	generate   func(ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error)
	ask        func(ctx context.Context, session string, q chaining.Question) (<-chan pipeline.Event, error)
	speak      func(ctx context.Context, l pipeline.Line, emit func(pipeline.Event) error) error
	listen     func(ctx context.Context, src pipeline.Sound, o pipeline.ListenOptions) (pipeline.Heard, error)
	load       error
	components []health.Component
	metrics    *health.Metrics
}

func (f *fakes) Generate(ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
	return f.generate(ctx, p, emit)
}

func (f *fakes) Ask(ctx context.Context, session string, q chaining.Question) (<-chan pipeline.Event, error) {
	return f.ask(ctx, session, q)
}

func (f *fakes) Speak(ctx context.Context, l pipeline.Line, emit func(pipeline.Event) error) error {
	return f.speak(ctx, l, emit)
}

func (f *fakes) Listen(ctx context.Context, src pipeline.Sound, o pipeline.ListenOptions, _ func(pipeline.Segment) error) (pipeline.Heard, error) {
	return f.listen(ctx, src, o)
}

func (f *fakes) Default() string { return "small-llm" }
func (f *fakes) Models(context.Context) ([]string, error) {
	return []string{"small-llm", "big-llm"}, nil
}
func (f *fakes) Load(context.Context, string) error       { return f.load }
func (f *fakes) Loaded(name string) bool                  { return name == "small-llm" }
func (f *fakes) Voices(context.Context) ([]string, error) { return []string{"Elise"}, nil }
func (f *fakes) Sizes(context.Context) ([]string, error)  { return []string{"base"}, nil }
func (f *fakes) Info(_ context.Context, id string) (ai.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions[id], nil
}

func (f *fakes) SetModel(_ context.Context, id, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[id] = ai.Info{Model: name, Created: time.Unix(0, 0), Turns: 2}
	return nil
}

func (f *fakes) Track(ctx context.Context, id string) (context.Context, func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancels[id] = cancel
	return ctx, func() { cancel(nil) }, nil
}

func (f *fakes) Stop(_ context.Context, id string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cancel := f.cancels[id]; cancel != nil {
		cancel(fault.ErrStopped)
		return 1, nil
	}
	return 0, nil
}

type silentObserver struct{}

func (silentObserver) Request(string, string, int, time.Duration) {}

// newFakes returns fakes that answer everything sensibly.
func newFakes() *fakes {
	return &fakes{
		sessions: map[string]ai.Info{}, cancels: map[string]context.CancelCauseFunc{},
		generate: func(_ context.Context, _ pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
			for _, s := range []string{"Bon", "", "jour"} {
				if err := emit(pipeline.Delta{Text: s}); err != nil {
					return pipeline.Completion{}, err
				}
			}
			return pipeline.Completion{FinishReason: "stop", Usage: pipeline.Usage{CompletionTokens: 2}}, nil
		},
		ask: func(ctx context.Context, _ string, q chaining.Question) (<-chan pipeline.Event, error) {
			return script(ctx, turn(q)...), nil
		},
		speak: func(_ context.Context, l pipeline.Line, emit func(pipeline.Event) error) error {
			for _, s := range strings.SplitAfter(l.Text, ". ") {
				if err := emit(pipeline.Event{Kind: pipeline.AudioEvent, PCM: make([]float32, 2400), Text: s, Source: s}); err != nil {
					return err
				}
			}
			return nil
		},
		listen: func(_ context.Context, src pipeline.Sound, _ pipeline.ListenOptions) (pipeline.Heard, error) {
			n, err := drain(src)
			h := pipeline.Heard{Duration: time.Duration(n) * time.Second / time.Duration(src.Rate())}
			h.Text, h.Language, h.Model = "bonjour", "fr", "base"
			h.Segments = []pipeline.Segment{{Start: 0, End: 1, Text: "bonjour"}}
			return h, err
		},
		components: []health.Component{{Name: "llm", State: health.Ready, Required: true}},
	}
}

func drain(src pipeline.Sound) (int, error) {
	buf, n := make([]float32, 1000), 0
	for {
		k, err := src.Read(buf)
		n += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// script returns a turn's events as a session would send them.
func script(ctx context.Context, events ...pipeline.Event) <-chan pipeline.Event {
	out := make(chan pipeline.Event)
	go func() {
		defer close(out)
		for _, ev := range events {
			select {
			case out <- ev:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func turn(q chaining.Question) []pipeline.Event {
	var events []pipeline.Event
	res := &pipeline.Result{FinishReason: "stop", Text: "Oui. Non.", Timings: pipeline.Timings{FirstToken: time.Millisecond, Total: time.Second}}
	if q.Sound != nil {
		if _, err := drain(q.Sound); err != nil {
			return []pipeline.Event{failed(err)}
		}
		res.Transcript = "ça va ?"
		events = append(events, pipeline.Event{Kind: pipeline.TranscriptEvent, Text: res.Transcript})
	}
	return append(events,
		pipeline.Event{Kind: pipeline.TextEvent, Text: "Oui."},
		pipeline.Event{Kind: pipeline.AudioEvent, PCM: make([]float32, 240), Text: "oui", Source: "Oui."},
		pipeline.Event{Kind: pipeline.TextEvent, Text: " Non."},
		pipeline.Event{Kind: pipeline.AudioEvent, PCM: make([]float32, 240), Text: "non", Source: "Non."},
		pipeline.Event{Kind: pipeline.DoneEvent, Result: res})
}

func failed(err error) pipeline.Event {
	return pipeline.Event{Kind: pipeline.DoneEvent, Result: &pipeline.Result{Err: err}}
}

func (f *fakes) features(t *testing.T) rest.Features {
	t.Helper()
	reg := prometheus.NewRegistry()
	f.metrics = health.NewMetrics(reg, func() health.Load {
		return health.Load{Queues: []health.Queue{{Engine: "llm", Running: 1, Waiting: 2}}}
	})
	langs := []string{"fr", "en"}
	return rest.Features{
		AI:     ai.New(f, f, f),
		Speech: speech.New(f, f, f, speech.Config{Languages: langs, StandIns: map[string]string{"small": "base"}, SpoolDir: t.TempDir()}),
		Chaining: chaining.New(f, chaining.Config{
			Models: f.Models, Voices: f.Voices, Languages: langs, SpoolDir: t.TempDir(),
		}),
		Health:    health.New(func(context.Context) []health.Component { return f.components }, reg),
		Sessions:  sessions.New(nil),                       // its own package tests it
		Monitor:   monitor.New(nil, nil, monitor.Config{}), // its own package tests it
		Files:     files.New(nil, files.Config{}),          // its own package tests it
		Image:     image.New(nil, nil, image.Config{}),     // its own package tests it
		Vision:    vision.New(vision.Config{}),             // likewise
		Translate: translate.New(nil),                      // its own package tests it
		Docs:      true,
		Realtime:  sockets{},
		Media:     media.New(nil, nil, nil, nil, media.Config{}), // its own package tests it
	}
}

// start serves f behind cfg.
func (f *fakes) start(t *testing.T, cfg rest.Config, more ...rest.Route) *httptest.Server {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	routes := append(rest.Routes(f.features(t)), more...)
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = rest.NewServer(rest.New(cfg, routes, f.metrics, quiet), quiet)
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

type answer struct {
	status int
	header http.Header
	body   string
}

// problem returns the error of an answer, which must have the one shape that errors have.
func (a answer) problem(t *testing.T) httpx.Problem {
	t.Helper()
	var shape struct{ Error httpx.Problem }
	if err := json.Unmarshal([]byte(a.body), &shape); err != nil || shape.Error.Code == "" || shape.Error.Message == "" {
		t.Fatalf("%d %q is not the shape of an error (%v)", a.status, a.body, err)
	}
	return shape.Error
}

// do sends a request; headers are pairs of name and value. "Host" sets the host.
func do(t *testing.T, srv *httptest.Server, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	req.Header.Del("Host")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// tone is a second of sound in base64.
func tone() string {
	pcm := make([]float32, 16000)
	for i := range pcm {
		pcm[i] = float32(i%40)/40 - 0.5
	}
	return base64.StdEncoding.EncodeToString(wav.Encode(pcm, 16000))
}

// sockets stand for the WebSocket; package realtime tests it.
type sockets struct{}

func (sockets) Handle(w http.ResponseWriter, r *http.Request) error {
	if _, ok := w.(http.Hijacker); !ok {
		return errors.New("no hijacker")
	}
	return httpx.Write(w, http.StatusOK, httpx.InfoOf(r).SessionID)
}

func (sockets) ClientSecret(w http.ResponseWriter, _ *http.Request) error {
	return httpx.Write(w, http.StatusOK, "key")
}

func (sockets) BetaSession(w http.ResponseWriter, _ *http.Request) error {
	return httpx.Write(w, http.StatusOK, "key")
}

func (sockets) Opens(token string) bool { return token == "ek_good" }
