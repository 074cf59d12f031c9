package openaiimages

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, model string, h http.HandlerFunc) *Engine {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	e, err := New(imagepeer.Config{URL: srv.URL + "/v1", Key: "sk-1"}, model)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ignore(pipeline.PaintStep) error { return nil }

func painting() pipeline.Painting {
	return pipeline.Painting{Prompt: "un chat", Negative: "un chien", Width: 64, Height: 128, Steps: 4, Seed: 7}
}

var picture = `{"created":1,"data":[{"b64_json":"` + base64.StdEncoding.EncodeToString([]byte("picture")) + `"}]}`

func TestGeneration(t *testing.T) {
	for model, want := range map[string]string{
		"":            `{"output_format":"png","prompt":"un chat\n\nAvoid: un chien","size":"64x128"}`,
		"gpt-image-1": `{"model":"gpt-image-1","output_format":"png","prompt":"un chat\n\nAvoid: un chien","size":"64x128"}`,
		"dall-e-3":    `{"model":"dall-e-3","prompt":"un chat\n\nAvoid: un chien","response_format":"b64_json","size":"64x128"}`,
	} {
		e := start(t, model, func(w http.ResponseWriter, r *http.Request) {
			var body map[string]any
			json.NewDecoder(r.Body).Decode(&body)
			sent, _ := json.Marshal(body)
			if string(sent) != want || r.URL.Path != "/v1/images/generations" || r.Header.Get("Authorization") != "Bearer sk-1" {
				t.Errorf("%s got %s", r.URL.Path, sent)
			}
			io.WriteString(w, picture)
		})
		got, err := e.Paint(context.Background(), painting(), ignore)
		if err != nil || string(got) != "picture" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestEdit(t *testing.T) {
	e := start(t, "m", func(w http.ResponseWriter, r *http.Request) {
		file, head, err := r.FormFile("image")
		if err != nil {
			t.Error(err)
			return
		}
		source, _ := io.ReadAll(file)
		got := fmt.Sprint(r.URL.Path, " ", string(source), " ", head.Header.Get("Content-Type"), " ", r.FormValue("prompt"), " ", r.FormValue("size"), " ", r.FormValue("model"))
		if got != "/v1/images/edits source image/png un chat 64x128 m" {
			t.Errorf("got %s", got)
		}
		io.WriteString(w, picture)
	})
	p := painting()
	p.Negative, p.Source = "", []byte("source")
	got, err := e.Paint(context.Background(), p, ignore)
	if err != nil || string(got) != "picture" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMisbehaviour(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		code   string
	}{
		"half JSON":     {200, `{"data":[{"b64_js`, "engine_failed"},
		"no picture":    {200, `{"data":[]}`, "engine_failed"},
		"an address":    {200, `{"data":[{"url":"http://10.0.0.1/x.png"}]}`, "engine_failed"},
		"broken base64": {200, `{"data":[{"b64_json":"a*b"}]}`, "engine_failed"},
		"refused":       {400, `{"error":{"message":"no such size","type":"invalid_request_error"}}`, "image_refused"},
		"key":           {401, `{"error":{"message":"bad key sk-1"}}`, "image_unauthorized"},
		"full":          {429, `{}`, "image_busy"},
		"crashed":       {500, `boom`, "engine_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, "", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				io.WriteString(w, c.answer)
			})
			if _, err := e.Paint(context.Background(), painting(), ignore); fault.As(err).Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

// TestClientGoes has the connection closed, which is how these servers are told.
func TestClientGoes(t *testing.T) {
	gone := errors.New("the client is gone")
	closed := make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.Background())
	e := start(t, "", func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		cancel(gone)
		<-r.Context().Done()
		close(closed)
	})
	if _, err := e.Paint(ctx, painting(), ignore); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	<-closed
}

func TestPalette(t *testing.T) {
	for list, want := range map[string]string{
		`{"data":[{"id":"sd-cpp-local"}]}`:                                 "[sd-cpp-local mine]",
		`{"data":[{"id":"gpt-5"},{"id":"gpt-image-1"},{"id":"dall-e-3"}]}`: "[gpt-image-1 dall-e-3 mine]",
		`{"data":[{"id":"mine"}]}`:                                         "[mine]",
	} {
		e := start(t, "mine", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, list) })
		p, err := e.Palette(context.Background())
		if err != nil || fmt.Sprint(p.Models) != want {
			t.Errorf("%s gave %v, %v", list, p.Models, err)
		}
	}
	e := start(t, "", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"object":"x"}`) })
	if _, err := e.Palette(context.Background()); fault.As(err).Code != "engine_failed" {
		t.Errorf("got %v", err)
	}
}
