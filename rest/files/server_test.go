package files_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/rest"
	"brenda/rest/files"
	"brenda/rest/files/vault"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

type silent struct{}

func (silent) Request(string, string, int, time.Duration) {}

func handler(s *files.Service) http.Handler {
	table := rest.Routes(rest.Features{Files: s, Page: formPage})
	return rest.New(rest.Config{}, table, silent{}, slog.New(slog.DiscardHandler))
}

// formPage is a page of the server's own origin.
func formPage(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := io.WriteString(w, `<!doctype html><title>test</title><form><input type="file" name="files"><input name="path"></form>`)
	return err
}

// server is a server of files under test.
type server struct {
	url   string
	root  string
	vault *vault.Vault
	http  *http.Client
}

// start serves an empty root.
func start(tb testing.TB, opt vault.Options, cfg files.Config) *server {
	tb.Helper()
	return startAt(tb, memoryDir(tb), opt, cfg)
}

func startAt(tb testing.TB, root string, opt vault.Options, cfg files.Config) *server {
	tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	v, err := vault.Open(root, opt, quiet)
	if err != nil {
		tb.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = rest.NewServer(handler(files.New(v, cfg)), quiet)
	srv.Start()
	tb.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		if err := v.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &server{url: srv.URL, root: root, vault: v, http: srv.Client()}
}

// child is a server in another process: one that can be killed and measured.
type child struct {
	server
	cmd *exec.Cmd
}

// program is how the child is built, without the race detector, for all children of a test. With the flags of make build,
// everything but itself comes from the cache.
func program(tb testing.TB) string {
	tb.Helper()
	bin := filepath.Join(tb.TempDir(), "server")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./testdata/server")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// startChild serves a folder; most is how many bytes an upload may have, 0 for the usual.
func startChild(tb testing.TB, bin, root string, most int64) *child {
	tb.Helper()
	cmd := exec.Command(bin, "-root", root, "-max", strconv.FormatInt(most, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c := &child{cmd: cmd}
	tb.Cleanup(c.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal("the child did not start: ", err)
	}
	c.server = server{url: "http://" + strings.TrimSpace(line), root: root, http: &http.Client{Transport: &http.Transport{}}}
	return c
}

// kill ends the child with SIGKILL, once.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// memory returns a figure of /proc/PID/status, in bytes.
func (c *child) memory(tb testing.TB, name string) int64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, name+": %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	tb.Fatalf("no %s", name)
	return 0
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the connection
}

// code returns the code of an answer that is an error, "" for others.
func (a answer) code() string {
	var e struct{ Error struct{ Code, Param string } }
	_ = json.Unmarshal([]byte(a.body), &e)
	return e.Error.Code
}

// send sends a request whose path is sent as it is. headers are names and values in turns.
func (s *server) send(ctx context.Context, method, path string, body io.Reader, headers ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, s.url+"/", body)
	if err != nil {
		return answer{err: err}
	}
	req.URL.Opaque = path
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := s.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b), err}
}

func (s *server) do(tb testing.TB, method, path, body string, headers ...string) answer {
	tb.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	a := s.send(tb.Context(), method, path, r, headers...)
	if a.err != nil && !errors.Is(a.err, io.ErrUnexpectedEOF) {
		tb.Logf("%s %s: %v", method, path, a.err)
	}
	return a
}

// object makes a JSON object of names and values in turns.
func object(pairs ...any) string {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// upload sends one file in a form.
func (s *server) upload(ctx context.Context, folder, name, content string, overwrite bool) answer {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, _ := w.CreateFormFile("files", name)
	_, _ = io.WriteString(part, content)
	_ = w.WriteField("path", folder)
	if overwrite {
		_ = w.WriteField("overwrite", "true")
	}
	_ = w.Close()
	return s.send(ctx, http.MethodPost, "/v1/files/upload", &b, "Content-Type", w.FormDataContentType())
}

// write puts a file below the root behind the server's back.
func (s *server) write(tb testing.TB, name, content string) {
	tb.Helper()
	full := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// litter returns what Brenda left below a root that should not be there: drafts anywhere, and uploads if there should be
// none.
func litter(tb testing.TB, root string) []string {
	tb.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		switch {
		case rel == ".brenda-state", rel == ".brenda-state/uploads":
		case strings.HasSuffix(rel, ".json") && !exists(strings.TrimSuffix(path, ".json")):
			// what is remembered for a while of an upload that is done
		case strings.Contains(rel, ".brenda-"):
			found = append(found, rel)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

// noLitter fails when something was left.
func noLitter(tb testing.TB, root string) {
	tb.Helper()
	if l := litter(tb, root); len(l) > 0 {
		tb.Errorf("litter: %q", l)
	}
}

// eventually waits until something is so. The test's own timeout ends it.
func eventually(tb testing.TB, so func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-tb.Context().Done():
			tb.Fatal("never")
		}
	}
}

// mkdirOnce is mkdir for a folder that is asked for often.
func mkdirOnce(tb testing.TB, parts ...string) string {
	tb.Helper()
	dir := filepath.Join(parts...)
	if _, err := os.Stat(dir); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// memoryDir returns a folder that lies in memory where the machine has such a place: a test of thousands of files, each
// of them synced, would keep a disk busy for minutes.
func memoryDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "brenda-test-") //nolint:usetesting // the one place that is not
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}
