package files_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

// bigSize is how large the files of the tests of memory are; the environment may ask for more.
func bigSize(t *testing.T) int64 {
	t.Helper()
	if mb, err := strconv.ParseInt(os.Getenv("BRENDA_TEST_FILES_MB"), 10, 64); err == nil {
		return mb << 20
	}
	return usualMB << 20
}

// half makes a stream of which half can be compressed.
type half struct {
	block []byte
	left  int64
	at    int
}

func newHalf(size int64) *half {
	return &half{block: append(randomBytes(1<<20), make([]byte, 1<<20)...), left: size}
}

func (h *half) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), h.left)], h.block[h.at:])
	h.at = (h.at + n) % len(h.block)
	h.left -= int64(n)
	return n, nil
}

// TestMemory: what goes through the server takes no memory, however large it is.
func TestMemory(t *testing.T) {
	const allowed = 32 << 20
	size := bigSize(t)
	c := startChild(t, program(t), memoryDir(t), size+1<<20)
	send := func(method, path string, body io.Reader, headers ...string) {
		a := c.send(t.Context(), method, path, body, headers...)
		if a.status/100 != 2 || strings.Contains(a.body, `"error"`) {
			t.Fatalf("%s %s: %d %s (%v)", method, path, a.status, a.body, a.err)
		}
	}
	send(http.MethodGet, listRoute, nil)
	measure := func(name string, work func()) {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", c.cmd.Process.Pid), []byte("5"), 0); err != nil {
			t.Fatal(err)
		}
		base, begin := c.memory(t, "VmRSS"), time.Now()
		work()
		took, more := time.Since(begin), c.memory(t, "VmHWM")-base
		t.Logf("%-10s %d MB in %6.2f s (%4.0f MB/s): %.1f MB of memory more than the %.1f MB before",
			name, size>>20, took.Seconds(), float64(size>>20)/took.Seconds(), float64(more)/(1<<20), float64(base)/(1<<20))
		if more > allowed {
			t.Errorf("%s took %d bytes of memory", name, more)
		}
	}
	measure("upload", func() {
		const head = "--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"f\"\r\n\r\n"
		const tail = "\r\n--B\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\nd\r\n--B--\r\n"
		body := io.MultiReader(strings.NewReader(head), newHalf(size), strings.NewReader(tail))
		send(http.MethodPost, uploadRoute, body, "Content-Type", "multipart/form-data; boundary=B")
	})
	measure("put", func() { send(http.MethodPut, uploadRoute+"/put", newHalf(size)) })
	send(http.MethodDelete, deleteRoute, strings.NewReader(`{"path":"put"}`))
	measure("tus", func() {
		a := c.send(t.Context(), http.MethodPost, tusRoute, nil, tusHead(int(size), "tus")...)
		send(http.MethodPatch, a.header.Get("Location"), newHalf(size), tusPatch(0)...)
	})
	send(http.MethodDelete, deleteRoute, strings.NewReader(`{"path":"tus"}`))
	measure("download", func() {
		res, err := c.http.Get(c.url + downloadRoute + "d/f")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
			t.Errorf("%d bytes (%v)", n, err)
		}
	})
	measure("compress", func() { send(http.MethodPost, zipRoute, strings.NewReader(`{"path":"d","zip_name":"z.zip"}`)) })
	measure("decompress", func() {
		send(http.MethodPost, unzipRoute, strings.NewReader(`{"path":"z.zip","extract_path":"out"}`))
	})
	f, err := os.Open(filepath.Join(c.root, "out/f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	equal(t, f, newHalf(size))
}

// equal compares two streams.
func equal(t *testing.T, got, want io.Reader) {
	t.Helper()
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, errA := io.ReadFull(got, a)
		m, errB := io.ReadFull(want, b)
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			t.Error("the content is another one")
			return
		}
		if errA != nil || errB != nil {
			return
		}
	}
}

// nginx serves a folder, as something to compare with.
func nginx(t *testing.T, root string) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/log;
events {} http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p;
fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; server { listen %[2]s; root %[3]s; } }`, dir, addr, root)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", filepath.Join(dir, "conf"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx: %v (apt-get install nginx)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "http://" + addr + "/"
}

// TestThroughput compares a download of 100 MB with nginx, turn by turn in one run. The figures are printed; only a server
// that is far behind, which one that copies the file itself would be, fails.
func TestThroughput(t *testing.T) {
	const size = 100 << 20
	c := startChild(t, program(t), memoryDir(t), 0)
	c.write(t, "big", string(randomBytes(size)))
	buf := make([]byte, 1<<20)
	fetch := func(url string) time.Duration {
		begin := time.Now()
		res, err := c.http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, buf)
		if n != size || err != nil {
			t.Fatalf("%d bytes (%v)", n, err)
		}
		return time.Since(begin)
	}
	other := nginx(t, c.root) + "big"
	ours, theirs := time.Hour, time.Hour
	for range rounds {
		ours, theirs = min(ours, fetch(c.url+downloadRoute+"big")), min(theirs, fetch(other))
	}
	ratio := theirs.Seconds() / ours.Seconds()
	t.Logf("100 MB, best of %d: %.0f MB/s, nginx %.0f MB/s: %.2f of it", rounds, 100/ours.Seconds(), 100/theirs.Seconds(), ratio)
	if ratio < 0.4 {
		t.Error("far behind")
	}
}

// TestLongList compares a list of 10,000 entries with reading the folder and looking at each of its files.
func TestLongList(t *testing.T) {
	const entries = 10_000
	s := start(t, vault.Options{}, files.Config{})
	dir := mkdir(t, s.root, "many")
	for i := range entries {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%05d.txt", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := time.Hour, time.Hour
	for range rounds {
		begin := time.Now()
		a := s.do(t, http.MethodGet, listRoute+"many", "")
		ours = min(ours, time.Since(begin))
		if strings.Count(a.body, `"name"`) != entries {
			t.Fatalf("%d entries", strings.Count(a.body, `"name"`))
		}
		begin = time.Now()
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if _, err := os.Stat(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		theirs = min(theirs, time.Since(begin))
	}
	t.Logf("%d entries, best of %d: %v over HTTP, %v by os.ReadDir and os.Stat: %.2f times", entries, rounds, ours, theirs, float64(ours)/float64(theirs))
}
