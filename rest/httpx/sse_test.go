package httpx_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tmaxmax/go-sse"

	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

type event struct {
	Type    string `json:"type"`
	Content string `json:"content,omitempty"`
}

func TestStreamFraming(t *testing.T) {
	texts := []string{"Bonjour", "deux\nlignes\r\n", "data: piège\n\n", "é☃😀\u2028", ""}
	rec := httptest.NewRecorder()
	out := httpx.NewStream(rec)
	defer out.Close()
	for _, s := range texts {
		if err := out.Send(event{"text", s}); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Finish(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !rec.Flushed {
		t.Error("nothing was flushed")
	}
	var got []string
	for ev, err := range sse.Read(rec.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(ev.Data, "\n") {
			t.Errorf("an event has several data lines: %q", ev.Data)
		}
		got = append(got, ev.Data)
	}
	if len(got) != len(texts)+1 || got[len(texts)] != "[DONE]" {
		t.Fatalf("got %q", got)
	}
	for i, want := range texts {
		var ev event
		if err := json.Unmarshal([]byte(got[i]), &ev); err != nil || ev.Content != want || ev.Type != "text" {
			t.Errorf("event %d is %q (%v), want content %q", i, got[i], err, want)
		}
	}
}

func TestStreamKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := httptest.NewRecorder()
		out := httpx.NewStream(rec)
		time.Sleep(time.Minute) // before the first event nothing is sent, or an error could have no status
		if rec.Body.Len() != 0 {
			t.Fatalf("sent %q before the first event", rec.Body)
		}
		_ = out.Send(event{"text", "a"})
		time.Sleep(httpx.KeepAlive - time.Millisecond)
		_ = out.Send(event{"text", "b"}) // not silent yet
		time.Sleep(httpx.KeepAlive + time.Millisecond)
		_ = out.Finish()
		out.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(rec.Body.String(), ": keep-alive\n\n"); n != 1 {
			t.Errorf("%d comments in %q, want 1", n, rec.Body)
		}
		if out.Send(event{}) == nil {
			t.Error("a closed stream still sends")
		}
	})
}

func TestStreamFails(t *testing.T) {
	broken := fault.New(fault.Unavailable, "engine_full", "try later")
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	rec := httptest.NewRecorder()
	out := httpx.NewStream(rec)
	defer out.Close()
	if err := out.Fail(r, broken); !errors.Is(err, broken) || rec.Body.Len() > 0 {
		t.Fatalf("before the first event: %v, sent %q", err, rec.Body)
	}
	_ = out.Send(event{"text", "a"})
	if err := out.Fail(r, broken); err != nil {
		t.Fatal(err)
	}
	want := `data: {"type":"error","error":{"code":"engine_full","message":"try later"}}` + "\n\ndata: [DONE]\n\n"
	if !strings.HasSuffix(rec.Body.String(), want) {
		t.Errorf("got %q", rec.Body)
	}
}

type deafWriter struct{ *httptest.ResponseRecorder }

func (deafWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStreamTellsThatTheClientIsGone(t *testing.T) {
	out := httpx.NewStream(deafWriter{httptest.NewRecorder()})
	defer out.Close()
	for range 2 {
		if err := out.Send(event{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestAccepts(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                   "text/event-stream",
		"*/*":                                "text/event-stream",
		"audio/wav":                          "audio/wav",
		"Audio/WAV; q=1":                     "audio/wav",
		"audio/*":                            "audio/wav",
		"audio/mpeg;q=0.9, audio/wav;q=0.8":  "audio/mpeg",
		"audio/mpeg, */*;q=0.1":              "audio/mpeg",
		"audio/wav;q=0, */*;q=0.5":           "text/event-stream",
		"application/json":                   "text/event-stream",
		"audio/mpeg;q=x, audio/wav;q=0.2":    "audio/wav",
		"text/event-stream, audio/wav":       "text/event-stream",
		"nonsense,,;,audio/mpeg;q=0.001":     "audio/mpeg",
		"text/html, audio/mpeg, audio/*;q=1": "audio/wav",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		if got := httpx.Accepts(r, "text/event-stream", "audio/wav", "audio/mpeg"); got != want {
			t.Errorf("Accept %q gave %q, want %q", accept, got, want)
		}
	}
}

func TestStatusOfEveryKind(t *testing.T) {
	for kind, want := range map[fault.Kind]int{
		fault.Internal: 500, fault.Invalid: 400, fault.Unauthorized: 401, fault.Forbidden: 403, fault.NotFound: 404,
		fault.Conflict: 409, fault.TooLarge: 413, fault.Unsupported: 415, fault.BadRange: 416, fault.Misdirected: 421,
		fault.RateLimited: 429, fault.Upstream: 502, fault.Unavailable: 503, fault.Timeout: 504, fault.Cancelled: 499,
	} {
		rec := httptest.NewRecorder()
		rec.Header().Set("Content-Disposition", "attachment")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		httpx.Fail(rec, r, &fault.Error{Kind: kind, Msg: "m", Err: errors.New("secret"), RetryAfter: 1500 * time.Millisecond})
		var body struct{ Error httpx.Problem }
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if rec.Code != want || body.Error.Code == "" || body.Error.Message != "m" {
			t.Errorf("kind %d gave %d %s, want %d", kind, rec.Code, rec.Body, want)
		}
		if retry := rec.Header().Get("Retry-After"); (want == 503 || want == 429) != (retry == "2") {
			t.Errorf("status %d has Retry-After %q", want, retry)
		}
		if strings.Contains(rec.Body.String(), "secret") || rec.Header().Get("Content-Disposition") != "" {
			t.Errorf("status %d tells %s with %v", want, rec.Body, rec.Header())
		}
	}
}

func TestUnknownErrorsAreHidden(t *testing.T) {
	rec := httptest.NewRecorder()
	h := httpx.Handler(func(http.ResponseWriter, *http.Request) error { return errors.New("/home/x: boom") })
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "boom") {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

// TestErrorAfterTheAnswerBeganCutsIt: the client must see that the answer is not whole.
func TestErrorAfterTheAnswerBeganCutsIt(t *testing.T) {
	h := httpx.Handler(func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		return errors.New("engine died")
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(httpx.NewRecorder(w), r)
	}))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("got %q as if it were whole", b)
	}
}

func TestRecorderPassesHijackAndFlush(t *testing.T) {
	taken := make(chan int, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rec := httpx.NewRecorder(w)
		var direct http.ResponseWriter = rec
		if _, ok := direct.(http.Flusher); !ok {
			t.Error("no Flusher")
		}
		conn, buf, err := direct.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
		_ = buf.Flush()
		taken <- rec.Status()
	}))
	defer srv.Close()
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL, nil)
	res, err := srv.Client().Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := <-taken; got != 101 || res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d, recorded %d", res.StatusCode, got)
	}
}
