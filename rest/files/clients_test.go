package files_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"brenda/pipeline/enginetest"
	"brenda/rest/files"
	"brenda/rest/files/vault"
)

// tool runs a program that must be there, and returns what it printed.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, &out, &errs)
	}
	return out.String()
}

// cutter passes connections on to a server, but cuts each of them once it has brought so many bytes up or down, as a bad
// network would. Then the limit grows, so that it comes to an end.
func cutter(t *testing.T, target string, limit int64) (url string, cuts *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cuts = &atomic.Int64{}
	var all sync.WaitGroup
	pass := func(in net.Conn) {
		out, err := net.Dial("tcp", strings.TrimPrefix(target, "http://"))
		if err != nil {
			_ = in.Close()
			return
		}
		closeBoth := func() {
			_ = in.Close()
			_ = out.Close()
		}
		copyTo := func(dst, src net.Conn) {
			defer closeBoth()
			if n, _ := io.CopyN(dst, src, limit); n == limit {
				cuts.Add(1)
			}
		}
		all.Go(func() { copyTo(out, in) })
		copyTo(in, out)
	}
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	return "http://" + ln.Addr().String(), cuts
}

func same(t *testing.T, name string, want []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(b, want) {
		t.Errorf("%s: %d bytes of %d (%v)", filepath.Base(name), len(b), len(want), err)
	}
}

func TestCurl(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	dir, content := t.TempDir(), randomBytes(3<<20)
	if err := os.WriteFile(filepath.Join(dir, "l'été.bin"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, dir, "curl", "-fsS", "-T", "l'été.bin", s.url+uploadRoute+"/to/new.bin")
	tool(t, dir, "curl", "-fsS", "-F", "files=@l'été.bin", "-F", "path=form", s.url+uploadRoute)
	same(t, filepath.Join(s.root, "to/new.bin"), content)
	same(t, filepath.Join(s.root, "form/l'été.bin"), content)
	tool(t, dir, "curl", "-fsSOJ", s.url+downloadRoute+"to/new.bin")
	same(t, filepath.Join(dir, "new.bin"), content)
	if out := tool(t, dir, "curl", "-fsS", "-r", "10-19", s.url+downloadRoute+"to/new.bin"); out != string(content[10:20]) {
		t.Errorf("a range: %q", out)
	}
}

// TestResumingClients: wget and aria2c get a file whole through a network that cuts connections, by ranges.
func TestResumingClients(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	content := randomBytes(9 << 20)
	s.write(t, "big.bin", string(content))
	for name, args := range map[string][]string{
		"wget":   {"-q", "-c", "-t", "50", "--waitretry=0", "--retry-connrefused"},
		"aria2c": {"-q", "-c", "-x", "4", "-s", "4", "-k", "1M", "-m", "50", "--retry-wait=0", "--no-conf", "--console-log-level=error"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			url, cuts := cutter(t, s.url, 1<<20)
			tool(t, dir, name, append(args, url+downloadRoute+"big.bin")...)
			same(t, filepath.Join(dir, "big.bin"), content)
			if cuts.Load() < 2 {
				t.Errorf("the network was cut only %d times", cuts.Load())
			}
			t.Logf("%d cuts", cuts.Load())
		})
	}
}

// TestJavaScriptForm: a form as a page sends it.
func TestJavaScriptForm(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	dir, content := t.TempDir(), randomBytes(2<<20)
	name := filepath.Join(dir, "photo.jpg")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	out := tool(t, ".", "node", "testdata/clients.mjs", "form", s.url, name, "pages/été")
	var got struct{ Status int }
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Status != 201 {
		t.Fatalf("%s (%v)", out, err)
	}
	same(t, filepath.Join(s.root, "pages/été/photo.jpg"), content)
	same(t, filepath.Join(s.root, "pages/été/l'été.txt"), []byte("deuxième"))
}

// TestBrowserForm: a page of Brenda's own origin in Chromium sends a form, and reads back what it sent.
// deploy/test-clients.sh installs what drives the browser.
func TestBrowserForm(t *testing.T) {
	modules := enginetest.CacheDir(t, "clients")
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, vault.Options{}, files.Config{})
	const french = "Où est l'œuf de Noël – ça va ? n° 1 & 2.bin"
	dir, content := t.TempDir(), randomBytes(3<<20)
	if err := os.WriteFile(filepath.Join(dir, french), content, 0o600); err != nil {
		t.Fatal(err)
	}
	out := tool(t, ".", "node", "testdata/chromium.mjs", chromium, s.url, filepath.Join(dir, french), "reçus/été", modules)
	var got struct {
		Status int
		Same   bool
		Names  []string
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Status != 201 || !got.Same ||
		!slices.Equal(got.Names, []string{french, "l'été.txt"}) {
		t.Fatalf("%s (%v)", out, err)
	}
	same(t, filepath.Join(s.root, "reçus/été", french), content)
	same(t, filepath.Join(s.root, "reçus/été/l'été.txt"), []byte("deuxième"))
	noLitter(t, s.root)
	t.Log(strings.TrimSpace(out))
}

// TestTusClient: the usual client of resumable uploads gets a file through a network that cuts connections.
// deploy/test-files.sh installs it.
func TestTusClient(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir, content := t.TempDir(), randomBytes(5<<20)
	name := filepath.Join(dir, "film é.mp4")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	url, cuts := cutter(t, s.url, 700_000)
	out := tool(t, ".", "node", "testdata/clients.mjs", "tus", url, name, "films", filepath.Join(cache, "brenda/files-clients"))
	same(t, filepath.Join(s.root, "films/film é.mp4"), content)
	t.Logf("%d cuts, %s", cuts.Load(), strings.TrimSpace(out))
	if cuts.Load() < 2 {
		t.Error("the network was not cut")
	}
	noLitter(t, s.root)
}

// TestPageOfThisMachine: a page of this machine, on another port, may use a form and read the answer.
func TestPageOfThisMachine(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	ct, body := form([3]string{"files", "a", "1"})
	a := s.do(t, http.MethodPost, uploadRoute, body, "Content-Type", ct, "Origin", page.URL)
	if a.status != 201 || a.header.Get("Access-Control-Allow-Origin") != page.URL {
		t.Errorf("%d %v", a.status, a.header)
	}
	a = s.do(t, http.MethodOptions, tusRoute+"/x", "", "Origin", page.URL, "Access-Control-Request-Method", "PATCH",
		"Access-Control-Request-Headers", "tus-resumable, upload-offset")
	if a.status != 204 || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "PATCH") ||
		a.header.Get("Access-Control-Allow-Headers") == "" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
}
