package peer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"brenda/pipeline/engine/peer"
)

func TestUnreachable(t *testing.T) {
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for url, want := range map[string]bool{gone.URL: true, "http://nobody.invalid": true, cut.URL: false} {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
		}
		if err == nil || peer.Unreachable(err) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-1": 0, "soon": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
	} {
		if got := peer.RetryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q is %v", text, got)
		}
	}
}
