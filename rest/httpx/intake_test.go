package httpx_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"brenda/rest/httpx"
)

// stop is where requests wait.
type stop struct{ arrived, leave chan struct{} }

// serve answers every request with the length of its audio, behind the limits of in.
func serve(t *testing.T, in *httpx.Intake, hold *stop) *httptest.Server {
	t.Helper()
	dir := t.TempDir()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httpx.NewRecorder(w)
		body := in.Wrap(rec, r)
		defer body.Done()
		err := body.Admit(r.ContentLength)
		if err == nil {
			var blobs httpx.Blobs
			_, blobs, err = httpx.ReadBlobs[target](r, dir, "audio")
			defer blobs.Close()
			if err == nil && hold != nil {
				hold.arrived <- struct{}{} // it is read, and held
				<-hold.leave
			}
			if err == nil && blobs["audio"] != nil {
				_, _ = fmt.Fprint(w, blobs["audio"].Size())
			}
		}
		if err != nil {
			httpx.Fail(rec, r, err)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

// longBody is a JSON object of size bytes, nearly all of it base64, made as it is read.
func longBody(size int64) io.Reader {
	const head, tail = `{"audio":"`, `"}`
	n := size - int64(len(head)+len(tail))
	n -= n % 4
	pad := strings.Repeat(" ", int(size-n)-len(head)-len(tail))
	return io.MultiReader(strings.NewReader(head), io.LimitReader(letters{}, n), strings.NewReader(tail+pad))
}

var block = bytes.Repeat([]byte("A"), 32<<10)

// letters has no end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	return copy(p, block), nil
}

func send(t *testing.T, srv *httptest.Server, body io.Reader, length int64) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = length
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Close {
		res.Header.Set("Connection", "close") // the client takes it out
	}
	return res.StatusCode, string(b), res.Header
}

// TestLargestBody: the largest body is taken in a fraction of its size, with its length declared or not.
func TestLargestBody(t *testing.T) {
	in := httpx.NewIntake(largest, 0, 20*time.Second)
	srv := serve(t, in, nil)
	for name, length := range map[string]int64{"declared": largest, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(20))
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			var most atomic.Uint64
			watched := io.TeeReader(longBody(largest), &watch{most: &most})
			status, text, _ := send(t, srv, watched, length)
			if status != 200 || text == "" {
				t.Fatalf("got %d %s", status, text)
			}
			extra := int64(most.Load()) - int64(before.HeapInuse)
			t.Logf("%d bytes of body took %.1f MB of heap at most", largest, float64(extra)/1e6)
			if extra > 20<<20 {
				t.Errorf("%d bytes of heap is too much", extra)
			}
		})
	}
}

// watch looks at the heap at every 4 MB that pass it.
type watch struct {
	n    int
	most *atomic.Uint64
}

func (w *watch) Write(p []byte) (int, error) {
	if w.n += len(p); w.n > 4<<20 {
		w.n = 0
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.most.Store(max(w.most.Load(), m.HeapInuse))
	}
	return len(p), nil
}

// TestTooLarge: the client gets its answer although it is still sending, and the connection is closed.
func TestTooLarge(t *testing.T) {
	in := httpx.NewIntake(largest, 0, 20*time.Second)
	srv := serve(t, in, nil)
	for name, length := range map[string]int64{"declared": largest + 1, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			status, text, header := send(t, srv, longBody(largest+1), length)
			if status != 413 || !strings.Contains(text, `"too_large"`) || header.Get("Connection") != "close" {
				t.Errorf("got %d %s, headers %v", status, text, header)
			}
		})
	}
}

// TestRefusedBodyIsReadOn: a client that writes all of its body before it reads, as most do, still gets the answer.
func TestRefusedBodyIsReadOn(t *testing.T) {
	in := httpx.NewIntake(httpx.MaxBody, 0, 20*time.Second)
	srv := serve(t, in, nil)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 10 << 20
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(conn, letters{}, size); err != nil { // 'A' is no JSON
		t.Fatalf("the connection was closed while the body was sent: %v", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestBudgetOfAllBodies(t *testing.T) {
	const size = 8 << 20
	in := httpx.NewIntake(size, 2*size, 20*time.Second)
	hold := &stop{make(chan struct{}, 3), make(chan struct{})}
	srv := serve(t, in, hold)
	results := make(chan int, 2)
	for range 2 {
		go func() {
			res, err := srv.Client().Post(srv.URL, "", io.LimitReader(longBody(size), size)) // length unknown
			if err != nil {
				results <- 0
				return
			}
			_ = res.Body.Close()
			results <- res.StatusCode
		}()
	}
	for range 2 {
		<-hold.arrived // both are read, and held
	}
	status, text, header := send(t, srv, strings.NewReader(`{"audio":"AAAA"}`), 16)
	if status != 503 || !strings.Contains(text, "overloaded") || header.Get("Retry-After") == "" {
		t.Errorf("beyond the budget: %d %s", status, text)
	}
	close(hold.leave)
	for range 2 {
		if got := <-results; got != 200 {
			t.Errorf("within the budget: %d", got)
		}
	}
	if status, text, _ := send(t, srv, strings.NewReader(`{"audio":"AAAA"}`), 16); status != 200 || text != "3" {
		t.Errorf("when the others were done: %d %s", status, text)
	}
}

func TestSlowBodyIsCut(t *testing.T) {
	in := httpx.NewIntake(httpx.MaxBody, 0, 20*time.Millisecond)
	srv := serve(t, in, nil)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"audio\":")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusBadRequest || !bytes.Contains(b, []byte("slow_body")) {
		t.Errorf("got %d %s", res.StatusCode, b)
	}
}

// TestDeadlineOfBodyDoesNotEndTheAnswer: the limit on pauses is over when the body is.
func TestDeadlineOfBodyDoesNotEndTheAnswer(t *testing.T) {
	in := httpx.NewIntake(httpx.MaxBody, 0, 30*time.Millisecond)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := in.Wrap(w, r)
		defer body.Done()
		if _, err := httpx.Read[target](r); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the request ended")
		case <-time.After(150 * time.Millisecond):
		}
	}))
	defer srv.Close()
	send(t, srv, strings.NewReader(`{}`), 2)
}

func BenchmarkBlob(b *testing.B) {
	body := `{"audio":"` + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 16<<20)) + `"}`
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		_, blobs, err := httpx.ReadBlobs[target](post(body), b.TempDir(), "audio")
		if err != nil {
			b.Fatal(err)
		}
		blobs.Close()
	}
}
