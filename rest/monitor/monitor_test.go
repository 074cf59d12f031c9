package monitor_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/julienschmidt/httprouter"
	"go.uber.org/goleak"

	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
	"brenda/rest/httpx"
	"brenda/rest/monitor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is a moment of the tests.
var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// box is the only container.
var box = vitals.Container{
	ID: "a1", Name: "brenda-x", Status: "running", Image: "i", Created: now,
	Ports: map[string][]vitals.Binding{"80/tcp": {{HostIP: "::", HostPort: "8080"}}},
}

// fakes are a machine and a daemon in memory.
type fakes struct {
	order vitals.Order
	query vitals.LogQuery
	err   error
	logs  func(ctx context.Context, emit func(vitals.Line) error) error
	stats func(ctx context.Context, emit func(vitals.Usage) error) error
}

func (f *fakes) System(context.Context) (vitals.System, error) {
	return vitals.System{At: now, CPUPercent: 12.5, Cores: 2, Memory: vitals.Memory{Total: 10, Available: 4, Percent: 60}}, f.err
}

func (f *fakes) History(last time.Duration) []vitals.Point {
	return []vitals.Point{{At: now, CPUPercent: last.Seconds()}}
}

func (f *fakes) Children() []vitals.Child {
	return []vitals.Child{{Name: "stt", State: "ready", PID: 7, Restarts: 1}}
}

func (f *fakes) List(_ context.Context, stats bool) ([]vitals.Listed, error) {
	return []vitals.Listed{{Container: box, Stats: vitals.Usage{Available: stats}}}, f.err
}

func (f *fakes) Control(_ context.Context, _ string, o vitals.Order) (vitals.Container, error) {
	f.order = o
	return box, f.err
}

func (f *fakes) Logs(ctx context.Context, ref string, q vitals.LogQuery, opened func(vitals.Container) error, emit func(vitals.Line) error) error {
	f.query = q
	if ref != "brenda-x" || f.err != nil {
		return errors.Join(f.err, fault.New(fault.NotFound, "container_not_found", "no"))
	}
	if err := opened(box); err != nil {
		return err
	}
	return f.logs(ctx, emit)
}

func (f *fakes) Stats(ctx context.Context, _ string, stream bool, emit func(vitals.Container, vitals.Usage) error) error {
	if f.err != nil {
		return f.err
	}
	if !stream {
		return emit(box, vitals.Usage{Available: true, CPUPercent: 3})
	}
	return f.stats(ctx, func(u vitals.Usage) error { return emit(box, u) })
}

func serve(f *fakes, end <-chan struct{}) http.Handler {
	s, rt := monitor.New(f, f, monitor.Config{Step: 5 * time.Second, Kept: time.Hour, End: end}), httprouter.New()
	for path, h := range map[string]httpx.Handler{
		"GET /system/stats": s.System, "GET /system/history": s.History, "GET /engines": s.Engines, "GET /containers": s.Containers,
		"POST /containers/:id/start": s.Start, "POST /containers/:id/stop": s.Stop, "POST /containers/:id/restart": s.Restart,
		"GET /containers/:id/logs": s.Logs, "GET /containers/:id/stats": s.Stats,
	} {
		method, path, _ := strings.Cut(path, " ")
		rt.Handler(method, path, h)
	}
	return rt
}

func twoLines(_ context.Context, emit func(vitals.Line) error) error {
	return errors.Join(emit(vitals.Line{Stream: "stdout", Text: "un\xff"}), emit(vitals.Line{Stream: "stderr", Text: "deux", At: now}))
}

const boxJSON = `"id":"a1","name":"brenda-x","status":"running","image":"i","created":"2026-11-23T08:00:00Z","ports":{"80/tcp":[{"host_ip":"::","host_port":"8080"}]},"own":false`

func TestRoutes(t *testing.T) {
	f := &fakes{logs: twoLines}
	rt := serve(f, nil)
	for _, c := range []struct {
		call   string
		status int
		has    string
	}{
		{"GET /system/stats", 200, `"cpu_percent":12.5,"cores":2,"cpu_limited":false,"load":null,"uptime":0,"memory":{"total":10,"available":4,"percent":60,"limited":false}`},
		{"GET /system/stats", 200, `"disk":{"total":0,"used":0,"free":0,"percent":0}`},
		{"GET /system/history", 200, `{"step":5,"points":[{"at":"2026-11-23T08:00:00Z","cpu_percent":3600,`},
		{"GET /system/history?seconds=60", 200, `"cpu_percent":60,`},
		{"GET /system/history?seconds=4", 400, `"param":"seconds"`},
		{"GET /system/history?seconds=3601", 400, `"param":"seconds"`},
		{"GET /engines", 200, `{"engines":[{"name":"stt","state":"ready","pid":7,"cpu_percent":0,"memory":0,"restarts":1}]}`},
		{"GET /containers", 200, `[{` + boxJSON + `,"stats":{"available":true,"cpu_percent":0,"memory_percent":0,"memory_usage":0,"memory_limit":0,`},
		{"GET /containers?stats=false", 200, `"stats":{"available":false`},
		{"GET /containers?stats=maybe", 400, `"param":"stats"`},
		{"POST /containers/a/start", 200, `{` + boxJSON + `,"action":"start"}`},
		{"POST /containers/a/stop?timeout=31", 400, `"param":"timeout"`},
		{"POST /containers/a/stop?timeout=-1", 400, `"param":"timeout"`},
		{"POST /containers/a/stop?force=x", 400, `"param":"force"`},
		{"POST /containers/a/restart?timeout=0&force=true", 200, `"action":"restart"`},
		{"GET /containers/brenda-x/logs", 200, `{"id":"a1","name":"brenda-x","lines":[{"stream":"stdout","text":"un\ufffd"},{"stream":"stderr","text":"deux","at":"2026-11-23T08:00:00Z"}],"truncated":false}`},
		{"GET /containers/brenda-x/logs?tail=10001", 400, `"param":"tail"`},
		{"GET /containers/brenda-x/logs?tail=-1", 400, `"param":"tail"`},
		{"GET /containers/brenda-x/logs?since=yesterday", 400, `"param":"since"`},
		{"GET /containers/brenda-x/logs?since=-5m", 400, `"param":"since"`},
		{"GET /containers/brenda-x/logs?since=NaN", 400, `"param":"since"`},
		{"GET /containers/brenda-x/logs?timestamps=2", 400, `"param":"timestamps"`},
		{"GET /containers/brenda-x/logs?follow=2", 400, `"param":"follow"`},
		{"GET /containers/none/logs", 404, `"code":"container_not_found"`},
		{"GET /containers/none/logs?follow=1", 404, `"code":"container_not_found"`},
		{"GET /containers/a/stats", 200, `{"id":"a1","name":"brenda-x","available":true,"cpu_percent":3,`},
		{"GET /containers/a/stats?stream=2", 400, `"param":"stream"`},
	} {
		w := httptest.NewRecorder()
		method, path, _ := strings.Cut(c.call, " ")
		rt.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if body := w.Body.String(); w.Code != c.status || !strings.Contains(body, c.has) || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s, want %d %s", c.call, w.Code, body, c.status, c.has)
		}
	}
	if f.order != (vitals.Order{Verb: vitals.Restart, Force: true}) {
		t.Errorf("the last order was %+v", f.order)
	}
}

func TestDockerAway(t *testing.T) {
	rt := serve(&fakes{err: fault.New(fault.Unavailable, "docker_unavailable", "Docker cannot be reached: why")}, nil)
	for _, call := range []string{
		"GET /containers", "POST /containers/a/start", "POST /containers/a/stop", "POST /containers/a/restart",
		"GET /containers/a/logs", "GET /containers/a/logs?follow=1", "GET /containers/a/stats", "GET /containers/a/stats?stream=1",
	} {
		w := httptest.NewRecorder()
		method, path, _ := strings.Cut(call, " ")
		rt.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "reached: why") {
			t.Errorf("%s: %d %s", call, w.Code, w.Body)
		}
	}
}

func TestLogQuery(t *testing.T) {
	f := &fakes{logs: twoLines}
	rt := serve(f, nil)
	for query, want := range map[string]vitals.LogQuery{
		"":                            {Tail: 200},
		"?tail=0":                     {},
		"?tail=10000&timestamps=1":    {Tail: 10000, Timestamps: true},
		"?since=2026-11-23T08:00:00Z": {Tail: 200, Since: now},
		"?since=1795420800.5":         {Tail: 200, Since: time.Unix(1795420800, 5e8)},
		"?follow=true&tail=1":         {Tail: 1, Follow: true},
	} {
		rt.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/containers/brenda-x/logs"+query, nil))
		if q := f.query; !q.Since.Equal(want.Since) || q.Tail != want.Tail || q.Follow != want.Follow || q.Timestamps != want.Timestamps {
			t.Errorf("%s: %+v", query, q)
		}
	}
	rt.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/containers/brenda-x/logs?since=10m", nil))
	if ago := time.Since(f.query.Since); ago < 10*time.Minute || ago > 11*time.Minute {
		t.Errorf("10m is %v", ago)
	}
}

// TestLongLog: of a log that is too long for one answer the newest lines are told.
func TestLongLog(t *testing.T) {
	line := strings.Repeat("x", 60000)
	rt := serve(&fakes{logs: func(_ context.Context, emit func(vitals.Line) error) error {
		for range 999 {
			if err := emit(vitals.Line{Stream: "stdout", Text: line}); err != nil {
				return err
			}
		}
		return emit(vitals.Line{Stream: "stdout", Text: "the last"})
	}}, nil)
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/containers/brenda-x/logs?tail=10000", nil))
	var got struct {
		Lines     []vitals.Line
		Truncated bool
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !got.Truncated || len(got.Lines) != 140 || got.Lines[139].Text != "the last" {
		t.Errorf("%v, %d lines, truncated %v", err, len(got.Lines), got.Truncated)
	}
}

// events reads a stream to its end.
func events(t *testing.T, body string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); {
		data, ok := strings.CutPrefix(s.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var ev map[string]any
		if err := json.Unmarshal([]byte(data), &ev); err != nil {
			t.Fatal(err)
		}
		all = append(all, ev)
	}
	if !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Errorf("the stream has no end: %q", body)
	}
	return all
}

func kinds(all []map[string]any) string {
	var ks []string
	for _, ev := range all {
		ks = append(ks, ev["type"].(string))
	}
	return strings.Join(ks, " ")
}

func TestFollow(t *testing.T) {
	f := &fakes{logs: twoLines}
	w := httptest.NewRecorder()
	serve(f, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/containers/brenda-x/logs?follow=1", nil))
	all := events(t, w.Body.String())
	if kinds(all) != "container log log done" || all[0]["id"] != "a1" || all[2]["stream"] != "stderr" || all[2]["content"] != "deux" || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("%v %v", w.Header(), all)
	}
	f.logs = func(ctx context.Context, emit func(vitals.Line) error) error {
		return errors.Join(fault.New(fault.Unavailable, "docker_unavailable", "gone"), twoLines(ctx, emit))
	}
	w = httptest.NewRecorder()
	serve(f, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/containers/brenda-x/logs?follow=1", nil))
	all = events(t, w.Body.String())
	if kinds(all) != "container log log error" || all[3]["error"].(map[string]any)["code"] != "docker_unavailable" {
		t.Errorf("%v", all)
	}
	f.stats = func(_ context.Context, emit func(vitals.Usage) error) error {
		return errors.Join(emit(vitals.Usage{Available: true, CPUPercent: 1}), emit(vitals.Usage{}))
	}
	w = httptest.NewRecorder()
	serve(f, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/containers/brenda-x/stats?stream=1", nil))
	all = events(t, w.Body.String())
	if kinds(all) != "stats stats done" || all[0]["name"] != "brenda-x" || all[1]["content"].(map[string]any)["available"] != false {
		t.Errorf("%v", all)
	}
}

// TestStreamsEnd: a client that leaves and a server that ends, each ends what is followed; there are only so many at once.
func TestStreamsEnd(t *testing.T) {
	open, left := make(chan struct{}, 100), make(chan error, 100)
	f := &fakes{logs: func(ctx context.Context, emit func(vitals.Line) error) error {
		if err := emit(vitals.Line{Stream: "stdout", Text: "a"}); err != nil {
			return err
		}
		open <- struct{}{}
		<-ctx.Done()
		left <- context.Cause(ctx)
		return context.Cause(ctx)
	}}
	end := make(chan struct{})
	srv := httptest.NewServer(serve(f, end))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func(ctx context.Context) (*http.Response, error) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/containers/brenda-x/logs?follow=1", nil)
		return client.Do(req)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all []*http.Response
	for i := range 32 {
		c := t.Context()
		if i == 0 {
			c = ctx
		}
		res, err := get(c)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		all = append(all, res)
		<-open
	}
	if res, err := get(t.Context()); err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many: %v, %v", res.StatusCode, err)
	} else {
		res.Body.Close()
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	close(end)
	for _, res := range all[1:] {
		<-left
		var b strings.Builder
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			b.WriteString(s.Text() + "\n")
		}
		if all := events(t, b.String()); kinds(all) != "container log done" || all[2]["finish_reason"] != "shutdown" {
			t.Errorf("%v", all)
		}
	}
}
