package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"brenda/pipeline/engine/docker/dockertest"
	"brenda/pipeline/vitals"
	"brenda/rest"
	"brenda/rest/health"
)

// monitored serves the monitoring routes of an instance without voices.
func monitored(ctx context.Context, t *testing.T, dockerHost string) *httptest.Server {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	cfg := &config{Data: t.TempDir(), Docker: dockerConfig{Host: dockerHost, Control: true, Wait: 30 * time.Second}}
	in := &instance{cfg: cfg, log: quiet, engines: &engines{cfg: cfg}}
	reg := prometheus.NewRegistry()
	var err error
	if in.monitor, err = in.newMonitor(ctx, reg); err != nil {
		t.Fatal(err)
	}
	table := rest.Routes(rest.Features{Monitor: in.monitor, Health: health.New(func(ctx context.Context) []health.Component { return in.told[0](ctx) }, reg)})
	srv := httptest.NewServer(rest.New(rest.Config{}, table, nobody{}, quiet))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		if err := in.close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

// nobody watches requests.
type nobody struct{}

func (nobody) Request(string, string, int, time.Duration) {}

func fetched(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestMonitorRoutes goes through the whole server, with a real Docker daemon that is killed while its streams are read.
func TestMonitorRoutes(t *testing.T) {
	d := dockertest.Start(t)
	id := d.Sh("brenda-talk", dockertest.Brenda, `while :; do echo out; echo err >&2; sleep 0.1; done`)
	foreign := d.Sh("foreign", dockertest.Plain, `exec sleep 100000`)
	srv := monitored(t.Context(), t, d.Host)
	base := srv.URL + "/v1/monitor"
	for _, c := range []struct {
		call   string
		status int
		has    string
	}{
		{"GET /system/stats", 200, `"memory":{"total":`},
		{"GET /system/history", 200, `{"step":5,"points":[`},
		{"GET /engines", 200, `{"engines":[{"name":"server","state":"ready","pid":`},
		{"GET /containers", 200, `[{"id":"` + id + `","name":"brenda-talk","status":"running","image":"brenda-busybox:1"`},
		{"POST /containers/brenda-talk/stop?timeout=0", 200, `"status":"exited"`},
		{"POST /containers/brenda-talk/start", 200, `"status":"running"`},
		{"POST /containers/" + id[:12] + "/restart?timeout=0", 200, `"status":"running"`},
		{"GET /containers/brenda-talk/logs?tail=1", 200, `"lines":[{"stream":"std`},
		{"GET /containers/brenda-talk/stats", 200, `"available":true,`},
		{"POST /containers/foreign/stop", 404, `"code":"container_not_found"`},
		{"POST /containers/" + foreign + "/restart", 404, `"code":"container_not_found"`},
		{"GET /containers/foreign/logs", 404, `"code":"container_not_found"`},
		{"GET /containers/a!/logs", 400, `"param":"id"`},
		{"GET /containers/..%2f..%2finfo/logs", 404, `"code":"no_route"`},
		{"GET /containers/%2e%2e/logs", 400, `"param":"id"`},
	} {
		method, path, _ := strings.Cut(c.call, " ")
		if status, body := fetched(t, method, base+path); status != c.status || !strings.Contains(body, c.has) {
			t.Errorf("%s: %d %s, want %d %s", c.call, status, body, c.status, c.has)
		}
	}
	testDaemonDies(t, d, base)
	if status, body := fetched(t, http.MethodGet, base+"/containers"); status != 503 || !strings.Contains(body, "cannot be reached") {
		t.Errorf("without a daemon: %d %s", status, body)
	}
	if status, _ := fetched(t, http.MethodGet, base+"/system/stats"); status != 200 {
		t.Errorf("the machine without Docker: %d", status)
	}
	if status, body := fetched(t, http.MethodGet, srv.URL+"/metrics"); status != 200 || !strings.Contains(body, `brenda_process_resident_bytes{process="server"}`) {
		t.Errorf("metrics: %d %s", status, body)
	}
	testReady(t, srv.URL)
}

// testDaemonDies: streams that are open when the daemon is killed end with an error event and the last line.
func testDaemonDies(t *testing.T, d *dockertest.Daemon, base string) {
	t.Helper()
	type stream struct {
		lines *bufio.Scanner
		seen  []string
	}
	var all []*stream
	for _, path := range []string{"logs?follow=true&tail=1", "stats?stream=true"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/containers/brenda-talk/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		s := &stream{lines: bufio.NewScanner(res.Body)}
		for flows := false; !flows && s.lines.Scan(); {
			flows = strings.Contains(s.lines.Text(), `"content"`)
		}
		all = append(all, s)
	}
	d.Kill()
	for _, s := range all {
		for s.lines.Scan() {
			if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
				s.seen = append(s.seen, data)
			}
		}
		n := len(s.seen)
		if n < 2 || s.seen[n-1] != "[DONE]" || !strings.Contains(s.seen[n-2], `{"type":"error","error":{"code":"docker_unavailable"`) || s.lines.Err() != nil {
			t.Errorf("the stream ended with %v (%v)", s.seen[max(n-3, 0):], s.lines.Err())
		}
	}
}

// testReady: /ready tells of a daemon that is configured and does not answer, and serves all the same.
func testReady(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		status, body := fetched(t, http.MethodGet, url+"/ready")
		var got struct{ Components []health.Component }
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Fatalf("%d %s (%v)", status, body, err)
		}
		if len(got.Components) == 0 { // not known yet
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-ctx.Done():
				t.Fatal("never known")
			}
		}
		if c := got.Components[0]; c.Name != "containers" || c.State != health.Failed || c.Required || !strings.Contains(c.Detail, "running?") {
			t.Errorf("%+v", c)
		}
		return
	}
}

// TestMonitorEndsWithTheServer: what is followed does not hold up a server that is to end.
func TestMonitorEndsWithTheServer(t *testing.T) {
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/json"):
			io.WriteString(w, `{"Id":"`+strings.Repeat("a", 64)+`","Name":"/brenda","State":{"Running":true},"Config":{}}`)
		case strings.HasSuffix(r.URL.Path, "/logs"):
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer fake.Close()
	ctx, stop := context.WithCancel(t.Context())
	srv := monitored(ctx, t, "tcp://"+strings.TrimPrefix(fake.URL, "http://"))
	res, err := http.Get(srv.URL + "/v1/monitor/containers/brenda/logs?follow=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stop()
	b, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(b), `"shutdown"`) || !strings.HasSuffix(string(b), "data: [DONE]\n\n") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestDockerConfig(t *testing.T) {
	for _, c := range []struct {
		dockerConfig
		says string
	}{
		{dockerConfig{Wait: time.Second}, ""},
		{dockerConfig{Wait: time.Second, Host: "unix:///run/docker.sock"}, ""},
		{dockerConfig{Wait: time.Second, Host: "ssh://box"}, "docker.host"},
		{dockerConfig{Wait: time.Hour}, "docker.wait"},
	} {
		err := c.check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.dockerConfig, err)
		}
	}
}

// TestMonitorTellsOfEngines: the real engines are there with their figures, and one that is killed is counted.
func TestMonitorTellsOfEngines(t *testing.T) {
	p := server(t)
	find := func(name string) (found vitals.Child) {
		_, body := fetched(t, http.MethodGet, p.base+"/v1/monitor/engines")
		var got struct{ Engines []vitals.Child }
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%s (%v)", body, err)
		}
		for _, c := range got.Engines {
			if strings.HasPrefix(c.Name, name) {
				found = c
			}
		}
		return found
	}
	for _, name := range []string{"server", "stt", "llm ", "tts"} {
		if c := find(name); c.State != "ready" || c.PID == 0 || c.Memory < 10<<20 || name == "server" && c.PID != p.cmd.Process.Pid {
			t.Errorf("%s: %+v", name, c)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	before := find("stt")
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for {
		if c := find("stt"); c.Restarts > before.Restarts && c.State == "ready" && c.PID != before.PID && c.Reason != "" {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("not counted")
		}
	}
}
