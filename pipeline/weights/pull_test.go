package weights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"brenda/pipeline/fault"
)

// blob returns n bytes that do not compress, the same in each run.
func blob(n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// newManager returns a manager of an empty folder with these entries and no pauses between tries.
func newManager(t *testing.T, entries ...Entry) *Manager {
	t.Helper()
	m, err := New(filepath.Join(t.TempDir(), "models"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m.entries, m.retry = entries, []time.Duration{0, 0}
	return m
}

// fileServer serves content with ranges and a version; it cuts the first connections after cut bytes.
type fileServer struct {
	content []byte
	etag    string
	cut     int
	cuts    atomic.Int32 // connections still to be cut
	mu      sync.Mutex
	ranges  []string // Range header of each request
	hold    chan struct{}
}

func (s *fileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	s.mu.Unlock()
	w.Header().Set("ETag", s.etag)
	if s.cuts.Add(-1) >= 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(s.content)))
		_, _ = w.Write(s.content[:s.cut])
		w.(http.Flusher).Flush()
		if s.hold != nil {
			<-s.hold
		}
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "model.bin", time.Time{}, bytes.NewReader(s.content))
}

func (s *fileServer) start(t *testing.T) (url string) {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL + "/model.bin"
}

func one(url string, content []byte) Entry {
	return Entry{
		Name: "one", Kind: LLM, Sets: []string{"default"},
		Files:   []File{{Path: "one.gguf", Bytes: int64(len(content)), SHA256: hash(content)}},
		Sources: []Source{{URL: url}},
	}
}

// recorder keeps what a Pull told; it may be used from several.
type recorder struct {
	mu     sync.Mutex
	have   int64
	notes  []string
	onNote func(string)
	onMove func(int64)
}

func (r *recorder) Start(string, int64) {}
func (r *recorder) Done()               {}
func (r *recorder) Advance(n int64) {
	r.mu.Lock()
	r.have += n
	have := r.have
	r.mu.Unlock()
	if r.onMove != nil {
		r.onMove(have)
	}
}

func (r *recorder) Note(s string) {
	r.mu.Lock()
	r.notes = append(r.notes, s)
	r.mu.Unlock()
	if r.onNote != nil {
		r.onNote(s)
	}
}

// clean checks that nothing but the finished model is left.
func clean(t *testing.T, m *Manager) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(m.dir, ".partial", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func TestPullResumesAfterACut(t *testing.T) {
	s := &fileServer{content: blob(3 << 20), etag: `"v1"`, cut: 1 << 20}
	s.cuts.Store(1)
	m := newManager(t, one(s.start(t), s.content))
	var p recorder
	if err := m.Pull(t.Context(), nil, Options{}, &p); err != nil {
		t.Fatal(err)
	}
	path, err := m.Path("one", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.content) {
		t.Errorf("wrong content, %v", err)
	}
	if len(s.ranges) != 2 || s.ranges[0] != "" || !strings.HasPrefix(s.ranges[1], "bytes=") {
		t.Errorf("requests for %q: the second should ask for the rest only", s.ranges)
	}
	if p.have != int64(len(s.content)) {
		t.Errorf("progress says %d of %d", p.have, len(s.content))
	}
	clean(t, m)
}

func TestPullStartsAgainWhenTheFileChanged(t *testing.T) {
	s := &fileServer{content: blob(2 << 20), etag: `"v2"`}
	m := newManager(t, one(s.start(t), s.content))
	dir := filepath.Join(m.dir, ".partial", "one", "packages")
	if err := errors.Join(os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "one.gguf.part"), []byte("old version"), 0o644),
		os.WriteFile(filepath.Join(dir, "one.gguf.part.etag"), []byte(`"v1"`), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := m.Pull(t.Context(), []string{"one"}, Options{}, Quiet{}); err != nil {
		t.Fatal(err)
	}
	if s.ranges[0] == "" {
		t.Error("it did not try to resume")
	}
}

func TestPullRefusesAWrongFile(t *testing.T) {
	s := &fileServer{content: blob(1 << 20), etag: `"v1"`}
	m := newManager(t, one(s.start(t), blob(1<<20 + 1)[1:]))
	err := m.Pull(t.Context(), nil, Options{}, Quiet{})
	if fault.KindOf(err) != fault.Upstream || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v", err)
	}
	if len(s.ranges) != 1 {
		t.Errorf("%d tries; a wrong file stays wrong", len(s.ranges))
	}
	if _, err := m.Path("one", ""); fault.KindOf(err) != fault.NotFound ||
		!strings.Contains(err.Error(), "brenda models pull one") {
		t.Errorf("path: %v", err)
	}
	if parts, _ := filepath.Glob(filepath.Join(m.dir, ".partial", "one", "packages", "*")); len(parts) > 0 {
		t.Errorf("a wrong file was kept to resume from: %v", parts)
	}
}

func TestPullTakesTheNextSource(t *testing.T) {
	s := &fileServer{content: blob(1000), etag: `"v1"`}
	e := one(s.start(t), s.content)
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(gone.Close)
	e.Sources = append([]Source{{URL: gone.URL + "/model.bin"}}, e.Sources...)
	m := newManager(t, e)
	if err := m.Pull(t.Context(), nil, Options{}, Quiet{}); err != nil {
		t.Fatal(err)
	}
	if i, _ := m.installed("one"); i.Source != e.Sources[1].URL {
		t.Errorf("installed from %q", i.Source)
	}
}

func TestPullSaysWhatItTried(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	url := gone.URL + "/model.bin"
	gone.Close()
	m := newManager(t, one(url, nil))
	err := m.Pull(t.Context(), nil, Options{}, Quiet{})
	if err == nil || !strings.Contains(err.Error(), url) || !strings.Contains(err.Error(), "one could not be fetched") {
		t.Errorf("got %v", err)
	}
}

func TestPullStopsAndGoesOn(t *testing.T) {
	s := &fileServer{content: blob(2 << 20), etag: `"v1"`, cut: 1 << 20, hold: make(chan struct{})}
	s.cuts.Store(1)
	m := newManager(t, one(s.start(t), s.content))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user pressed Ctrl-C")
	p := recorder{onMove: func(have int64) {
		if have == int64(s.cut) {
			cancel(why)
		}
	}}
	if err := m.Pull(ctx, nil, Options{}, &p); !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
	close(s.hold)
	if err := m.Pull(t.Context(), nil, Options{}, Quiet{}); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("bytes=%d-", s.cut); s.ranges[len(s.ranges)-1] != want {
		t.Errorf("asked for %q, want %q", s.ranges, want)
	}
	clean(t, m)
}

func TestPullGivesUpOnAStalledServer(t *testing.T) {
	s := &fileServer{content: blob(1 << 20), etag: `"v1"`, cut: 1000, hold: make(chan struct{})}
	s.cuts.Store(1)
	url := s.start(t)
	t.Cleanup(func() { close(s.hold) }) // before the server is closed
	m := newManager(t, one(url, s.content))
	m.stall = 100 * time.Millisecond
	if err := m.Pull(t.Context(), nil, Options{}, Quiet{}); err != nil {
		t.Fatal(err)
	}
	if len(s.ranges) != 2 || s.ranges[1] != "bytes=1000-" {
		t.Errorf("requests for %q", s.ranges)
	}
}

func TestTwoPullsDoNotFight(t *testing.T) {
	s := &fileServer{content: blob(1 << 20), etag: `"v1"`, cut: 1000, hold: make(chan struct{})}
	s.cuts.Store(1) // the first connection hangs until the second Pull waits
	e := one(s.start(t), s.content)
	a, started := newManager(t, e), make(chan struct{})
	b := newManager(t, e)
	b.dir = a.dir
	done := make(chan error, 1)
	go func() {
		var once sync.Once
		done <- a.Pull(t.Context(), nil, Options{}, &recorder{onMove: func(int64) { once.Do(func() { close(started) }) }})
	}()
	<-started
	var waited bool
	second := &recorder{onNote: func(text string) {
		if strings.Contains(text, "waiting") {
			waited = true
			close(s.hold)
		}
	}}
	if err := b.Pull(t.Context(), nil, Options{}, second); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !waited || len(s.ranges) != 2 {
		t.Errorf("notes %q, requests %q: the second should wait and fetch nothing", second.notes, s.ranges)
	}
}

func TestPullChecksTheDisk(t *testing.T) {
	s := &fileServer{content: blob(1 << 20), etag: `"v1"`}
	m := newManager(t, one(s.start(t), s.content))
	m.free = func(string) (uint64, error) { return 1000, nil }
	err := m.Pull(t.Context(), nil, Options{}, Quiet{})
	if !errors.Is(err, errNoRoom) || !strings.Contains(err.Error(), "2 MB") || len(s.ranges) > 0 {
		t.Errorf("got %v after %d requests", err, len(s.ranges))
	}
}

func TestFreeBytes(t *testing.T) {
	n, err := freeBytes(filepath.Join(t.TempDir(), "not", "there", "yet"))
	if err != nil || n == 0 {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestPullFromAFile(t *testing.T) {
	content := blob(5000)
	e := one("https://hub.invalid/one.gguf", content)
	m := newManager(t, e)
	file := filepath.Join(t.TempDir(), "mine.gguf")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Pull(t.Context(), []string{"one"}, Options{From: file}, Quiet{}); err != nil {
		t.Fatal(err)
	}
	if i, ok := m.installed("one"); !ok || i.Source != "file mine.gguf" {
		t.Errorf("installed %+v", i)
	}
	if err := os.WriteFile(file, content[1:], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Pull(t.Context(), []string{"one"}, Options{From: file}, Quiet{}); err == nil {
		t.Error("another file was accepted under this name")
	}
	if checks, err := m.Verify(t.Context(), nil); err != nil || len(checks) != 1 || !checks[0].OK() {
		t.Errorf("the first one should still be there: %+v %v", checks, err)
	}
	for name, o := range map[string]Options{"no name": {From: file}} {
		if err := m.Pull(t.Context(), nil, o, Quiet{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPullAsksForKnownNames(t *testing.T) {
	m := newManager(t, one("https://hub.invalid/x", nil))
	if err := m.Pull(t.Context(), []string{"two"}, Options{}, Quiet{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
	if err := m.Pull(t.Context(), nil, Options{Set: "nice"}, Quiet{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestReaderStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := io.ReadAll(readerCtx{ctx, strings.NewReader("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestStandIn pulls a set of which one model cannot be had and another one does its work.
func TestStandIn(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" {
			http.Error(w, "gone", http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("base"))
	}))
	defer srv.Close()
	sum := sha256.Sum256([]byte("base"))
	file := File{Path: "m.bin", Bytes: 4, SHA256: hex.EncodeToString(sum[:])}
	entry := func(name, standIn string) Entry {
		return Entry{
			Name: name, Kind: STT, Licence: "MIT", Sets: []string{"default"}, StandIn: standIn, Files: []File{file},
			Sources: []Source{{URL: srv.URL + "/" + name}},
		}
	}
	m := &Manager{
		dir: t.TempDir(), log: slog.New(slog.DiscardHandler), free: freeBytes, stall: time.Minute, now: time.Now,
		entries: []Entry{entry("small", "base"), entry("base", "")},
	}
	if err := m.Pull(t.Context(), nil, Options{}, Quiet{}); err != nil {
		t.Error(err)
	}
	if best, err := m.Best(t.Context(), STT, "small"); err != nil || best.Name != "base" {
		t.Errorf("%s, %v", best.Name, err)
	}
	if err := m.Pull(t.Context(), []string{"small"}, Options{}, Quiet{}); err == nil {
		t.Error("asked for by name, it must be told that it cannot be had")
	}
}
