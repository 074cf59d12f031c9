package files_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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
