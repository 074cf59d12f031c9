package docker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"brenda/pipeline/engine/docker"
	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
)

// These tests run against daemons that answer as no daemon should.

const fakeID = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// box is an inspection of a container that runs.
func box(id, name string) string {
	return fmt.Sprintf(`{"Id":%q,"Name":"/%s","State":{"Status":"running","Running":true,"StartedAt":"x"},"Config":{"Image":"i","Tty":false}}`, id, name)
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

// hang answers nothing until the client leaves.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// begun sends a beginning, and then nothing until the client leaves.
func begun(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, body)
		w.(http.Flusher).Flush()
		hang(w, r)
	}
}

// half promises more than it sends.
func half(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10000")
		io.WriteString(w, body)
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// fake serves routes, named by the end of their path, on a socket: by default a ping and a container that is Brenda's.
func fake(t *testing.T, routes map[string]http.HandlerFunc) string {
	t.Helper()
	path := socket(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]http.HandlerFunc{"/_ping": ping("1.41"), "/" + fakeID + "/json": answer(box(fakeID, "brenda")), "/brenda/json": answer(box(fakeID, "brenda"))}
	maps.Copy(all, routes)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for end, h := range all {
			if strings.HasSuffix(r.URL.Path, end) {
				h(w, r)
				return
			}
		}
		status(404, `{"message":"no such thing"}`)(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() { srv.Close(); <-done })
	return "unix://" + path
}

func ping(api string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", api) }
}

func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bd") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// quick is an engine that does not wait long.
func quick(t *testing.T, host string) *docker.Engine {
	t.Helper()
	e := engine(t, docker.Config{Host: host, Wait: time.Second})
	e.SetPatience(time.Second)
	return e
}

// patient is an engine that waits for as long as a busy machine may take.
func patient(t *testing.T, host string) *docker.Engine {
	t.Helper()
	e := engine(t, docker.Config{Host: host, Wait: time.Minute})
	e.SetPatience(time.Minute)
	return e
}

// frame is a message of a log.
func frame(kind byte, length int, text string) string {
	var b [8]byte
	b[0] = kind
	binary.BigEndian.PutUint32(b[4:], uint32(length))
	return string(b[:]) + text
}

// TestBadDaemons: whatever answers, or does not, every operation ends soon, with an error of the right kind and no panic.
func TestBadDaemons(t *testing.T) {
	const up, off = fault.Upstream, fault.Unavailable
	hangs := map[string]http.HandlerFunc{}
	for _, end := range []string{"/json", "/start", "/stop", "/restart", "/logs", "/stats"} {
		hangs[end] = hang
	}
	every := func(h http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{"/brenda/json": h, "/containers/json": h}
	}
	for name, c := range map[string]struct {
		routes map[string]http.HandlerFunc
		kind   fault.Kind
		says   string
	}{
		"hang at once":         {map[string]http.HandlerFunc{"/_ping": hang}, off, "in time"},
		"hang after the ping":  {every(hang), off, "in time"},
		"hang in an answer":    {every(begun(`[{"Id":`)), off, "in time"},
		"half an answer":       {every(half(`[{"Id":"` + fakeID)), off, "broke"},
		"half of JSON":         {every(answer(`{"Id":"`)), up, "failed"},
		"another JSON":         {every(answer(`"brenda"`)), up, ""},
		"no JSON":              {every(answer(`<html>`)), up, "failed"},
		"nothing":              {every(answer(``)), up, ""},
		"error 500":            {every(status(500, `{"message":"/var/lib/docker is full"}`)), up, "failed"},
		"error 500 of no text": {every(status(500, ``)), up, "failed"},
		"error 418":            {every(status(418, `teapot`)), up, "failed"},
		"redirect":             {every(status(301, ``)), up, ""},
		"too old":              {map[string]http.HandlerFunc{"/_ping": ping("1.24")}, off, "1.24"},
		"no version":           {map[string]http.HandlerFunc{"/_ping": ping("")}, up, "not Docker"},
		"a path as version":    {map[string]http.HandlerFunc{"/_ping": ping("../../x")}, up, "not Docker"},
	} {
		t.Run(name, func(t *testing.T) {
			e := patient(t, fake(t, c.routes))
			if strings.Contains(name, "hang") {
				e = quick(t, e.Host())
			}
			all := everything(t.Context(), e, "brenda")
			_, all["list"] = e.List(t.Context(), true)
			for what, err := range all {
				f := fault.As(err)
				if err == nil || f.Kind != c.kind || !strings.Contains(f.Msg, c.says) || strings.Contains(f.Msg, "/var/lib") {
					t.Errorf("%s: %v (kind %v), want kind %v", what, err, fault.KindOf(err), c.kind)
				}
			}
		})
	}
	t.Run("hang in the operation", func(t *testing.T) {
		delete(hangs, "/json")
		e := quick(t, fake(t, hangs))
		for what, err := range everything(t.Context(), e, "brenda") {
			if fault.KindOf(err) != off {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestEndlessAnswer: an answer that is no stream has a size.
func TestEndlessAnswer(t *testing.T) {
	e := engine(t, docker.Config{Host: fake(t, map[string]http.HandlerFunc{"/containers/json": endless(`[{"Id":"`)}), Wait: time.Minute})
	if _, err := e.List(t.Context(), true); fault.KindOf(err) != fault.Upstream || !strings.Contains(fault.As(err).Msg, "too long") {
		t.Errorf("%v", err)
	}
}

// endless sends a beginning and then the same byte for ever.
func endless(begin string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, begin)
		for piece := strings.Repeat("a", 1<<16); err == nil; {
			_, err = io.WriteString(w, piece)
		}
	}
}

// TestLies: descriptions that would lead elsewhere.
func TestLies(t *testing.T) {
	for name, c := range map[string]struct {
		inspect string
		kind    fault.Kind
	}{
		"id is a path":   {box("../../images/x", "brenda"), fault.Upstream},
		"id is empty":    {box("", "brenda"), fault.Upstream},
		"id is a name":   {box("brenda", "brenda"), fault.Upstream},
		"another's":      {box(fakeID, "other"), fault.NotFound},
		"nothing at all": {`{}`, fault.Upstream},
		"null":           {`null`, fault.Upstream},
		"no state":       {`{"Id":"` + fakeID + `","Name":"/brenda","Config":{}}`, fault.Upstream},
	} {
		t.Run(name, func(t *testing.T) {
			touched := func(http.ResponseWriter, *http.Request) { t.Error("something was done") }
			e := patient(t, fake(t, map[string]http.HandlerFunc{
				"/brenda/json": answer(c.inspect), "/start": touched, "/stop": touched, "/restart": touched, "/logs": touched, "/stats": touched,
			}))
			for what, err := range everything(t.Context(), e, "brenda") {
				if fault.KindOf(err) != c.kind {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	e := patient(t, fake(t, map[string]http.HandlerFunc{
		"/containers/json": answer(`[{"Id":"../x","Names":["/brenda"]},{"Id":"` + fakeID +
			`","Names":null,"Image":"x"},{},{"Id":"` + fakeID + `","Names":["/brenda"],"State":"running","Ports":[{"PrivatePort":80,"PublicPort":8080,"Type":"tcp","IP":"::"},{"PrivatePort":81}]}]`),
		"/stats": answer(`{"read":"2026-01-01T00:00:00Z","cpu_stats":{"system_cpu_usage":18446744073709551615,"online_cpus":4294967295,"cpu_usage":{"total_usage":18446744073709551615}},` +
			`"memory_stats":{"usage":1,"limit":0,"stats":{"inactive_file":18446744073709551615}}}`),
	}))
	list, err := e.List(t.Context(), true)
	if err != nil || len(list) != 1 || fmt.Sprint(list[0].Ports) != "map[80/tcp:[{:: 8080}]]" || list[0].Stats.CPUPercent != 0 || list[0].Stats.MemoryPercent != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestBadLogs: logs whose frames lie. What a frame says of its length takes no memory.
func TestBadLogs(t *testing.T) {
	const off, up = fault.Unavailable, fault.Upstream
	long := strings.Repeat("x", 200<<10)
	for name, c := range map[string]struct {
		log   http.HandlerFunc
		lines int
		kind  fault.Kind
	}{
		"4 GB promised":      {answer(frame(1, 1<<32-1, "short\n")), 0, off},
		"3 GB of the daemon": {answer(frame(3, 3<<30, "boom")), 0, up},
		"half a head":        {answer(frame(1, 3, "ab\n") + "\x01\x00\x00"), 1, off},
		"no such stream":     {answer(frame(9, 3, "ab\n")), 0, up},
		"no frame at all":    {answer("hello, this is text\n"), 0, up},
		"cut":                {half(frame(1, 3, "ab\n")), 1, off},
		"frames of nothing":  {answer(strings.Repeat(frame(1, 0, ""), 10000) + frame(2, 2, "a\n")), 1, -1},
		"a long line":        {answer(frame(1, len(long), long) + frame(1, 1, "\n")), 4, -1},
		"no end":             {endless(frame(1, 1<<32-1, "")), 1 << 16, off}, // 4 GB are not sent in 30 s; the test leaves before
		"not UTF-8":          {answer(frame(1, 3, "\xff\xfe\n")), 1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			e := patient(t, fake(t, map[string]http.HandlerFunc{"/logs": c.log}))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			lines := 0
			err := e.Logs(t.Context(), "brenda", vitals.LogQuery{Tail: 10}, func(vitals.Container) error { return nil },
				func(vitals.Line) error {
					if lines++; lines == 50 {
						return errEnough
					}
					return nil
				})
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("took %d MB of memory", grown>>20)
			}
			switch {
			case errors.Is(err, errEnough):
				if c.lines < 50 {
					t.Error("too many lines")
				}
			case (err == nil) != (c.kind == -1) || err != nil && fault.KindOf(err) != c.kind || lines != c.lines:
				t.Errorf("%d lines, %v; want %d, kind %v", lines, err, c.lines, c.kind)
			}
		})
	}
}

// TestBadStats: a stream of samples that is none.
func TestBadStats(t *testing.T) {
	const sample = `{"read":"2026-01-01T00:00:00Z","cpu_stats":{"system_cpu_usage":200,"online_cpus":2,"cpu_usage":{"total_usage":20}},` +
		`"precpu_stats":{"system_cpu_usage":100,"cpu_usage":{"total_usage":10}}}` + "\n"
	for name, c := range map[string]struct {
		h       http.HandlerFunc
		samples int
		kind    fault.Kind
	}{
		"stalls":    {begun(sample), 1, fault.Unavailable},
		"half":      {answer(sample + `{"read":`), 1, fault.Upstream},
		"negative":  {answer(`{"cpu_stats":{"system_cpu_usage":-1}}` + "\n"), 0, fault.Upstream},
		"no end":    {endless(`{"read":"`), 0, fault.Upstream},
		"cut":       {half(sample), 1, fault.Unavailable},
		"over":      {answer(sample), 1, fault.Unavailable}, // the container runs: why did it end?
		"not at it": {hang, 0, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			e := patient(t, fake(t, map[string]http.HandlerFunc{"/stats": c.h}))
			if name == "stalls" || name == "not at it" {
				e = quick(t, e.Host())
			}
			n := 0
			err := e.Stats(t.Context(), "brenda", true, func(_ vitals.Container, u vitals.Usage) error {
				if n++; u.CPUPercent != 20 {
					t.Errorf("sample %+v", u)
				}
				return nil
			})
			if n != c.samples || err == nil || fault.KindOf(err) != c.kind {
				t.Errorf("%d samples, %v", n, err)
			}
		})
	}
}

// TestNoDaemon: nothing to connect to, in every way.
func TestNoDaemon(t *testing.T) {
	nobody := socket(t)
	ln, err := net.Listen("unix", nobody)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	garbage := socket(t)
	gl, err := net.Listen("unix", garbage)
	if err != nil {
		t.Fatal(err)
	}
	defer gl.Close()
	go func() {
		for {
			c, err := gl.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1000))
			c.Write(bytes.Repeat([]byte("SSH-2.0\x00\r\n"), 100))
			c.Close()
		}
	}()
	for name, c := range map[string][2]string{
		"no socket":     {"unix://" + socket(t), "not there"},
		"nobody":        {"unix://" + nobody, "nothing listens"},
		"nobody on TCP": {"tcp://127.0.0.1:1", "nothing listens"},
		"garbage":       {"unix://" + garbage, "does not speak HTTP"},
	} {
		e := patient(t, c[0])
		_, err := e.List(t.Context(), true)
		if f := fault.As(err); err == nil || f.Kind != fault.Unavailable || !strings.Contains(f.Msg, c[1]) || strings.Contains(f.Msg, "/") {
			t.Errorf("%s: %v", name, err)
		}
	}
	denied := docker.Unreachable(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if f := fault.As(denied); f.Kind != fault.Unavailable || !strings.Contains(f.Msg, "group docker") {
		t.Errorf("permission denied: %v", denied)
	}
	for _, host := range []string{"", "docker", "ssh://a", "unix://", "npipe://x", "tcp://a b", "unix://" + strings.Repeat("x", 200)} {
		if docker.CheckHost(host) == nil {
			t.Errorf("%q is taken", host)
		}
	}
	for _, host := range []string{docker.DefaultHost, "tcp://proxy:2375", "https://10.0.0.1:2376"} {
		if err := docker.CheckHost(host); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// TestLeaving: a client that leaves ends what is followed at once; the daemon is not to blame.
func TestLeaving(t *testing.T) {
	e := patient(t, fake(t, map[string]http.HandlerFunc{"/logs": begun(frame(1, 2, "a\n"))}))
	ctx, cancel := context.WithCancelCause(t.Context())
	err := e.Logs(ctx, "brenda", vitals.LogQuery{Tail: 1, Follow: true}, func(vitals.Container) error { return nil },
		func(vitals.Line) error { cancel(errEnough); return nil })
	if !errors.Is(err, errEnough) {
		t.Errorf("%v", err)
	}
	if err := e.Reachable(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestComesBack: a daemon that went away and came back with another version is found.
func TestComesBack(t *testing.T) {
	var was []string
	routes := map[string]http.HandlerFunc{"/_ping": func(w http.ResponseWriter, r *http.Request) {
		ping([]string{"1.40", "1.40", "1.41"}[len(was)])(w, r)
	}, "/containers/json": func(w http.ResponseWriter, r *http.Request) {
		was = append(was, r.URL.Path)
		if len(was) == 2 {
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-")
			c.Close()
			return
		}
		io.WriteString(w, "[]")
	}}
	e := patient(t, fake(t, routes))
	for i := range 3 {
		if _, err := e.List(t.Context(), true); (err != nil) != (i == 1) {
			t.Errorf("list %d: %v", i, err)
		}
	}
	if strings.Join(was, " ") != "/v1.40/containers/json /v1.40/containers/json /v1.41/containers/json" {
		t.Errorf("asked for %v", was)
	}
}
