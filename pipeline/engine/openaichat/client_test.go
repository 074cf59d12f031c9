package openaichat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func hello() pipeline.Prompt {
	return pipeline.Prompt{Messages: []pipeline.Message{{Role: "user", Content: "Dis bonjour."}}}
}

func collect(c *Client, p pipeline.Prompt) (string, pipeline.Completion, error) {
	var text strings.Builder
	done, err := c.Generate(context.Background(), p, func(d pipeline.Delta) error {
		text.WriteString(d.Text)
		return nil
	})
	return text.String(), done, err
}

// The bodies are as the servers send them, shortened.
const (
	llamaBody = `data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"model":"m","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Bonjour"}}],"model":"m"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" à tous"}}],"model":"m"}

data: {"choices":[{"finish_reason":"length","index":0,"delta":{}}],"model":"m"}

data: {"choices":[],"usage":{"completion_tokens":5,"prompt_tokens":33,"total_tokens":38,"prompt_tokens_details":{"cached_tokens":24}},"timings":{"cache_n":24,"prompt_n":9,"predicted_n":5}}

data: [DONE]

`
	ollamaBody = `data: {"id":"chatcmpl-554","object":"chat.completion.chunk","model":"qwen2.5:1.5b","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"Bonjour"},"finish_reason":null}]}

data: {"id":"chatcmpl-554","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":" à tous"},"finish_reason":null}]}

data: {"id":"chatcmpl-554","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}

data: {"id":"chatcmpl-554","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":33,"completion_tokens":5,"total_tokens":38}}

data: [DONE]

`
	vllmBody = `data: {"id":"chatcmpl-7d","object":"chat.completion.chunk","model":"Qwen/Qwen2.5-1.5B-Instruct","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-7d","choices":[{"index":0,"delta":{"reasoning_content":"Hmm."},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-7d","choices":[{"index":0,"delta":{"content":"Bonjour"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-7d","choices":[{"index":0,"delta":{"content":" à tous"},"logprobs":null,"finish_reason":"stop","stop_reason":null}]}

data: {"id":"chatcmpl-7d","choices":[],"usage":{"prompt_tokens":33,"total_tokens":38,"completion_tokens":5}}

data: [DONE]

`
	// A bare server: comments, carriage returns, no usage, no [DONE].
	bareBody = ": ping\r\n\r\nevent: message\r\nid: 1\r\ndata: {\"choices\":\r\ndata: [{\"delta\":{\"content\":\"Bonjour à tous\"}}]}\r\n\r\n" +
		"data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"eos\"}]}\r\n\r\n"
)

func TestAnswersOfServers(t *testing.T) {
	cases := map[string]struct {
		body, finish string
		usage        pipeline.Usage
	}{
		"llama-server": {llamaBody, "length", pipeline.Usage{PromptTokens: 33, CachedTokens: 24, CompletionTokens: 5, TotalTokens: 38}},
		"llama-server without usage": {
			strings.Replace(llamaBody, `"usage":{"completion_tokens":5,"prompt_tokens":33,"total_tokens":38,"prompt_tokens_details":{"cached_tokens":24}},`, "", 1),
			"length",
			pipeline.Usage{PromptTokens: 33, CachedTokens: 24, CompletionTokens: 5, TotalTokens: 38},
		},
		"Ollama": {ollamaBody, "stop", pipeline.Usage{PromptTokens: 33, CompletionTokens: 5, TotalTokens: 38}},
		"vLLM":   {vllmBody, "stop", pipeline.Usage{PromptTokens: 33, CompletionTokens: 5, TotalTokens: 38}},
		"bare":   {bareBody, "stop", pipeline.Usage{PromptTokens: 5, CompletionTokens: 1, TotalTokens: 6}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Conversation-Id") != "" {
					t.Error("X-Conversation-Id turns cancelling off")
				}
				for _, b := range []byte(c.body) { // every character is cut wherever it can be
					w.Write([]byte{b})
					w.(http.Flusher).Flush()
				}
			})
			text, done, err := collect(client(t, Config{URL: url}), hello())
			if err != nil || text != "Bonjour à tous" {
				t.Fatalf("text %q, error %v", text, err)
			}
			if done.FinishReason != c.finish || done.Usage != c.usage {
				t.Errorf("got %+v, want %s %+v", done, c.finish, c.usage)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	stream := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { io.WriteString(w, s) }
	}
	status := func(n int, s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(n)
			io.WriteString(w, s)
		}
	}
	const tooLong = "context_length_exceeded"
	cases := map[string]struct {
		answer func(http.ResponseWriter)
		kind   fault.Kind
		code   string
	}{
		"llama-server context": {status(400, `{"error":{"code":400,"message":"request (8030 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":8030,"n_ctx":2048}}`), fault.Invalid, tooLong},
		"OpenAI context":       {status(400, `{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`), fault.Invalid, tooLong},
		"vLLM context":         {status(400, `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","param":null,"code":400}`), fault.Invalid, tooLong},
		"vLLM context, newer":  {status(400, `{"error":{"message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096.","type":"BadRequestError","param":null,"code":400}}`), fault.Invalid, tooLong},
		"Ollama context":       {status(400, `{"error":{"message":"the input length exceeds the context length","type":"invalid_request_error","param":null,"code":null}}`), fault.Invalid, tooLong},
		"context in stream":    {stream("data: {\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size\",\"type\":\"exceed_context_size_error\"}}\n\n"), fault.Invalid, tooLong},
		"OpenAI model":         {status(404, `{"error":{"message":"The model 'x' does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`), fault.NotFound, "model_not_found"},
		"Ollama model":         {status(404, `{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`), fault.NotFound, "model_not_found"},
		"Ollama model, string": {status(404, `{"error":"model 'x' not found"}`), fault.NotFound, "model_not_found"},
		"vLLM model":           {status(404, `{"object":"error","message":"The model 'x' does not exist.","type":"NotFoundError","param":null,"code":404}`), fault.NotFound, "model_not_found"},
		"wrong key":            {status(401, `{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}`), fault.Upstream, "llm_unauthorized"},
		"not an LLM":           {status(404, `<html>nginx</html>`), fault.Upstream, "llm_not_compatible"},
		"loading":              {status(503, `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`), fault.Unavailable, "llm_busy"},
		"limited":              {status(429, `{}`), fault.Unavailable, "llm_busy"},
		"failing":              {status(500, `oops /home/someone`), fault.Upstream, "llm_failed"},
		"failing in stream":    {stream("data: {\"error\":{\"message\":\"CUDA error\",\"type\":\"server_error\",\"code\":500}}\n\n"), fault.Upstream, "llm_failed"},
		"refused":              {status(422, `{"error":"temperature"}`), fault.Invalid, "llm_refused"},
		"cut":                  {stream("data: {\"choices\":[{\"delta\":{\"content\":\"Bon\"}}]}\n\n"), fault.Upstream, "llm_cut"},
		"done too early":       {stream("data: [DONE]\n\n"), fault.Upstream, "llm_cut"},
		"not JSON":             {stream("data: hello\n\n"), fault.Upstream, "llm_cut"},
		"event without end":    {stream("data: " + strings.Repeat("x", maxEvent+1)), fault.Upstream, "llm_cut"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) { c.answer(w) })
			_, _, err := collect(client(t, Config{URL: url, Key: "geheim"}), hello())
			e := fault.As(err)
			if e == nil || e.Kind != c.kind || e.Code != c.code {
				t.Fatalf("error = %v, want kind %v code %s", err, c.kind, c.code)
			}
			if strings.Contains(e.Msg, "/home") || strings.Contains(e.Error(), "geheim") {
				t.Errorf("the message tells too much: %s", e)
			}
			if c.code == "llm_busy" && e.RetryAfter != 7*time.Second {
				t.Errorf("RetryAfter = %v, want the server's 7 s", e.RetryAfter)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, _, err = collect(client(t, Config{URL: "http://" + l.Addr().String()}), hello())
	if e := fault.As(err); e.Kind != fault.Unavailable || !strings.Contains(e.Msg, "llm.url") {
		t.Errorf("error = %v, want Unavailable naming llm.url", err)
	}
	for _, bad := range []string{"", "localhost:11434", "ftp://x", "http://", ":"} {
		if _, err := New(Config{URL: bad}, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("New(%q) = %v, want fault.Invalid", bad, err)
		}
	}
}

func TestRequest(t *testing.T) {
	half := 0.5
	var got map[string]any
	var auth, path string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = nil
		path, auth = r.URL.Path, r.Header.Get("Authorization")
		json.NewDecoder(r.Body).Decode(&got)
		io.WriteString(w, llamaBody)
	})
	p := hello()
	p.MaxTokens, p.Temperature, p.Affinity = 9, &half, "session"
	collect(client(t, Config{URL: url + "/v1/", Key: "k", Model: "base", Slots: 2}), p)
	want := `map[cache_prompt:true id_slot:0 max_tokens:9 messages:[map[content:Dis bonjour. role:user]] model:base stream:true stream_options:map[include_usage:true] temperature:0.5]`
	if s := fmt.Sprint(got); s != want || path != "/v1/chat/completions" || auth != "Bearer k" {
		t.Errorf("to %s by %s:\n got %s\nwant %s", path, auth, s, want)
	}
	p.MaxTokens, p.Temperature = 0, nil
	collect(client(t, Config{URL: url}), p)
	want = `map[max_tokens:512 messages:[map[content:Dis bonjour. role:user]] stream:true stream_options:map[include_usage:true]]`
	if s := fmt.Sprint(got); s != want || auth != "" {
		t.Errorf("plain request by %q:\n got %s\nwant %s", auth, s, want)
	}
	client(t, Config{URL: url, Slots: 1}).Warm(t.Context(), p)
	if got["max_tokens"] != 1.0 || got["id_slot"] != 0.0 {
		t.Errorf("Warm asked for %v", got)
	}
}

// A llama-server answers for any name with the one model it has.
func TestUnknownModelOfLlamaServer(t *testing.T) {
	lists, posts := 0, 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "llama.cpp")
		if r.URL.Path == "/v1/models" {
			lists++
			io.WriteString(w, `{"object":"list","data":[{"id":"m.gguf","aliases":["m"]}]}`)
			return
		}
		posts++
		io.WriteString(w, llamaBody)
	})
	c := client(t, Config{URL: url})
	p := hello()
	for _, p.Model = range []string{"m", "m.gguf", "m", ""} {
		if _, _, err := collect(c, p); err != nil {
			t.Errorf("model %q: %v", p.Model, err)
		}
	}
	p.Model = "other"
	if _, _, err := collect(c, p); fault.KindOf(err) != fault.NotFound {
		t.Errorf("error = %v, want fault.NotFound", err)
	}
	if lists != 2 || posts != 4 {
		t.Errorf("%d lists and %d posts, want 2 and 4", lists, posts)
	}
	if names, err := c.Models(t.Context()); err != nil || fmt.Sprint(names) != "[m.gguf]" {
		t.Errorf("Models = %v, %v", names, err)
	}
}

func TestCancelClosesConnection(t *testing.T) {
	gone := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does a Go server see the connection close
		io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"un\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"deux\"}}]}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	calls := 0
	_, err := client(t, Config{URL: url}).Generate(ctx, hello(), func(pipeline.Delta) error {
		calls++
		cancel(fault.ErrBargeIn)
		return nil
	})
	if !errors.Is(err, fault.ErrBargeIn) || calls != 1 {
		t.Errorf("error %v after %d deltas, want barge-in after 1", err, calls)
	}
	<-gone
}

// pipeServer lets a server in the test's bubble answer without a network.
func pipeServer(c *Client, h http.HandlerFunc) {
	c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		pr, pw := io.Pipe()
		go func() {
			h(pipeWriter{pw}, r)
			pw.Close()
		}()
		context.AfterFunc(r.Context(), func() { pr.CloseWithError(r.Context().Err()) })
		return &http.Response{StatusCode: http.StatusOK, Body: pr, Header: http.Header{}}, nil
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type pipeWriter struct{ *io.PipeWriter }

func (pipeWriter) Header() http.Header { return nil }
func (pipeWriter) WriteHeader(int)     {}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, Config{URL: "http://llm", Stall: 30 * time.Second})
		pipeServer(c, func(w http.ResponseWriter, r *http.Request) {
			for range 3 {
				time.Sleep(29 * time.Second)
				io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"un\"}}]}\n\n")
			}
			for r.Context().Err() == nil { // it lives, but it writes no token
				time.Sleep(10 * time.Second)
				io.WriteString(w, ": ping\n\n")
			}
		})
		begin, calls := time.Now(), 0
		_, err := c.Generate(t.Context(), hello(), func(pipeline.Delta) error {
			calls++
			time.Sleep(time.Minute) // a slow receiver is no stall
			return nil
		})
		if e := fault.As(err); e.Code != "llm_stalled" || calls != 3 {
			t.Errorf("error %v after %d deltas", err, calls)
		}
		if d := time.Since(begin); d > 4*time.Minute+40*time.Second {
			t.Errorf("took %v", d)
		}
		time.Sleep(time.Minute)
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, Config{URL: "http://llm"})
		var written int
		pipeServer(c, func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"un\"}}]}\n\n")
				written++
			}
			io.WriteString(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n")
		})
		release := make(chan struct{})
		done := make(chan error)
		go func() {
			_, err := c.Generate(t.Context(), hello(), func(pipeline.Delta) error { <-release; return nil })
			done <- err
		}()
		synctest.Wait()
		if written > 2 {
			t.Errorf("the server wrote %d deltas while the receiver held the first", written)
		}
		close(release)
		if err := <-done; err != nil || written != 1000 {
			t.Errorf("error %v, %d written", err, written)
		}
	})
}

func TestSlots(t *testing.T) {
	s := newSlots(2)
	a, freeA := s.take("a")
	b, freeB := s.take("b")
	none, freeNone := s.take("a")
	if a == b || none != -1 {
		t.Fatalf("slots %d, %d, %d: want two different and none", a, b, none)
	}
	freeNone()
	freeB()
	freeA()
	for range 3 {
		id, free := s.take("b")
		free()
		if id != b {
			t.Errorf("b got slot %d, want its own %d", id, b)
		}
	}
	if id, free := s.take("c"); id != a {
		t.Errorf("c got slot %d, want %d, which rested longest", id, a)
	} else {
		free()
	}
	if id, _ := newSlots(0).take("a"); id != -1 {
		t.Errorf("a server without slots gave %d", id)
	}
}

func TestSecret(t *testing.T) {
	s := Secret("geheim")
	data, _ := json.Marshal(map[string]Secret{"key": s})
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", s)
	all := fmt.Sprintf("%s %v %+v %#v %q", s, s, Config{Key: s}, Config{Key: s}, s) + string(data) + log.String()
	if strings.Contains(all, "geheim") || s.Reveal() != "geheim" {
		t.Errorf("the secret shows: %s", all)
	}
}

// TestConformance runs the suite that the real engine passes too over a server that keeps to the protocol.
func TestConformance(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var req request
		json.NewDecoder(r.Body).Decode(&req)
		words := 0
		for _, m := range req.Messages {
			words += len(strings.Fields(m.Content))
		}
		switch {
		case r.URL.Path == "/v1/models":
			io.WriteString(w, `{"data":[]}`)
			return
		case req.Model != "":
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error":"model not found"}`)
			return
		case words > 100:
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":{"type":"exceed_context_size_error"}}`)
			return
		}
		for range req.MaxTokens {
			if _, err := io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"un \"}}]}\n\n"); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n")
	})
	enginetest.Generator(t, client(t, Config{URL: url}), 100)
}
