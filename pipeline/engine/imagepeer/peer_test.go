package imagepeer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddresses(t *testing.T) {
	for url, want := range map[string]string{
		"http://h:1":               "http://h:1",
		" https://h/v1/ ":          "https://h",
		"http://h/sd/?a=1#b":       "http://h/sd",
		"http://u:p@h/":            "http://u:p@h",
		"h:1":                      "",
		"ftp://h":                  "",
		"http://":                  "",
		"":                         "",
		"http://h\n.example.com/x": "",
	} {
		p, err := New(Config{URL: url})
		if (err != nil) != (want == "") || err == nil && p.Root() != want {
			t.Errorf("%q: got %v, want %q", url, err, want)
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestKeys(t *testing.T) {
	for key, want := range map[string]string{"": "", "sk-1": "Bearer sk-1", "me:pw": "Basic bWU6cHc="} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("key %q: got %q, want %q", key, got, want)
			}
			io.WriteString(w, "{}")
		}))
		p, err := New(Config{URL: srv.URL, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Get(context.Background(), "/x", &struct{}{}); err != nil {
			t.Error(err)
		}
		srv.Close()
	}
}

func TestPicture(t *testing.T) {
	for text, want := range map[string]string{
		"cGljdHVyZQ==":                       "picture",
		"data:image/png;base64,cGljdHVyZQ==": "picture",
		"cGlj\ndHVyZQ==\n":                   "picture",
		"":                                   "",
		"data:image/png;base64":              "",
		"cGljdHVyZQ":                         "",
		"http://10.0.0.1/x.png":              "",
	} {
		got, err := Picture(text)
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

// TestRefusals keep the server's own words, and a redirection, from the client.
func TestRefusals(t *testing.T) {
	for status, code := range map[int]string{
		301: "image_not_compatible", 400: "image_refused", 401: "image_unauthorized", 403: "image_unauthorized",
		404: "image_not_compatible", 422: "image_refused", 429: "image_busy", 500: "engine_failed", 503: "image_busy",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "9")
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
			io.WriteString(w, `{"error":"secret","detail":[{"msg":"why"}]}`)
		}))
		p, err := New(Config{URL: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Post(context.Background(), "/x", nil, nil)
		f := fault.As(err)
		if f.Code != code || StatusOf(err) != status || strings.Contains(f.Msg, "secret") || !strings.Contains(f.Error(), "why") {
			t.Errorf("%d: got %v", status, err)
		}
		if f.Kind == fault.Unavailable && f.RetryAfter != 9*time.Second {
			t.Errorf("%d: retry after %v", status, f.RetryAfter)
		}
		srv.Close()
	}
}

// hanging is a server that never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestSilence is bounded where answers are short, and for what is said after the end of the caller's context.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{URL: "http://h", Transport: hanging{}})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := p.Get(t.Context(), "/x", nil); fault.As(err).Code != "engine_stalled" || time.Since(begin) != listTimeout {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		if err := p.Get(ctx, "/x", nil); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
		begin = time.Now()
		if err := p.Tell(ctx, "/x"); fault.As(err).Code != "engine_stalled" || time.Since(begin) != cancelTimeout {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}
