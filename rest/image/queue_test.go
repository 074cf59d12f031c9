package image_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline"
)

// TestQueueIsBounded has one picture made, one wait and say so, and a third refused at once.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := &painter{paint: func(ctx context.Context, o pipeline.Painting, emit func(pipeline.PaintStep) error) ([]byte, error) {
			<-release
			return obedient(ctx, o, emit)
		}}
		h := serve(t, p)
		answers := make(chan *httptest.ResponseRecorder, 2)
		small := m{"prompt": "a", "width": 64, "height": 64}
		for range 2 {
			go func() { answers <- post(h, "/generate", "", small) }()
			synctest.Wait()
		}
		if w := post(h, "/generate", "", small); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("the third got %d %s", w.Code, w.Body)
		}
		time.Sleep(3 * time.Second)
		close(release)
		for range 2 {
			w := <-answers
			if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), `data: {"type":"progress","step":0,"steps":20,"state":"queued"}`) {
				t.Errorf("got %d %.100s", w.Code, w.Body)
			}
		}
	})
}

// TestLateRefusal: what fails after the stream has begun with waiting is an event.
func TestLateRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &painter{paint: func(context.Context, pipeline.Painting, func(pipeline.PaintStep) error) ([]byte, error) {
			time.Sleep(3 * time.Second)
			return nil, errors.New("boom")
		}}
		w := post(serve(t, p), "/generate", "", m{"prompt": "a"})
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"code":"internal"`) || strings.Contains(w.Body.String(), "boom") {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

// TestClientGoes ends the painter's context, and frees the queue.
func TestClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &painter{paint: func(ctx context.Context, _ pipeline.Painting, _ func(pipeline.PaintStep) error) ([]byte, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		h := serve(t, p)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/generate", strings.NewReader(`{"prompt":"a"}`))
			h.ServeHTTP(httptest.NewRecorder(), r)
			cancel()
		}
		if len(p.asked) != 3 {
			t.Errorf("%d pictures were begun, want 3", len(p.asked))
		}
	})
}
