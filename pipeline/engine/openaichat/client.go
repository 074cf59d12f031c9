// Package openaichat asks any server that speaks OpenAI's chat completions (llama-server, Ollama, vLLM,
// hosted ones) for text.
//
// It is net/http and a small event reader, no SDK: what matters here is that the end of the context closes
// the connection at once, which is how these servers are told to stop, and that a slow receiver holds the
// server back.
package openaichat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// Config says where the server is and how to ask it.
type Config struct {
	// URL is the server's root, with or without a trailing "/v1": "http://127.0.0.1:11434".
	URL string
	// Key is sent as a bearer token when it is not empty.
	Key Secret
	// Model is asked for when a prompt names none; empty leaves the choice to the server.
	Model string
	// MaxTokens bounds an answer when a prompt does not; 0 means 512. Without a bound a small model may never
	// stop.
	MaxTokens int
	// KeepAlive reuses connections: right for a remote server behind TLS. A local llama-server closes idle
	// connections without notice, which made one streaming POST in five fail with EOF, and a POST is not
	// retried.
	KeepAlive bool
	// Slots is how many llama.cpp slots this client has for itself. 0 means that the server is not llama.cpp,
	// or is shared: no llama.cpp field is sent then.
	Slots int
	// Stall is how long the server may stay silent, in prefill and between two tokens; 0 means 2 minutes.
	Stall time.Duration
}

const (
	defaultMaxTokens = 512
	defaultStall     = 2 * time.Minute
	listTimeout      = 10 * time.Second
	maxBody          = 1 << 20 // bytes of a body that is not a stream
)

// errStalled ends a request whose server has gone silent.
var errStalled = errors.New("no token for too long")

// Client is a pipeline.Generator. It may be used from many goroutines and owns none.
type Client struct {
	cfg   Config
	base  string
	http  *http.Client
	slots *slots
	log   *slog.Logger

	mu    sync.Mutex
	known map[string]bool // models that the server has been seen to list
}

// New returns a client. It fails on an URL that cannot be one; the server need not be up.
func New(cfg Config, log *slog.Logger) (*Client, error) {
	u, err := url.Parse(strings.TrimSpace(cfg.URL))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fault.New(fault.Invalid, "invalid_request", "llm.url must be like http://127.0.0.1:11434")
	}
	u.RawQuery, u.Fragment = "", ""
	base := strings.TrimSuffix(strings.TrimRight(u.String(), "/"), "/v1")
	if cfg.MaxTokens <= 0 {
		cfg.MaxTokens = defaultMaxTokens
	}
	if cfg.Stall <= 0 {
		cfg.Stall = defaultStall
	}
	tr, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		tr = &http.Transport{}
	}
	tr = tr.Clone()
	tr.DisableKeepAlives = !cfg.KeepAlive
	tr.DisableCompression = true // a compressed stream arrives in lumps
	if !cfg.KeepAlive {
		tr.DialContext = dialAbrupt
	}
	return &Client{
		cfg: cfg, base: base, http: &http.Client{Transport: tr}, slots: newSlots(cfg.Slots),
		log: log, known: map[string]bool{},
	}, nil
}

// dialAbrupt makes connections that are reset when they are closed. A server learns of an ordinary close only at its
// second write after it, and a llama.cpp would write one more token for nobody.
func dialAbrupt(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetLinger(0)
	}
	return conn, err
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Generate implements pipeline.Generator. Ending ctx closes the connection. Failures are fault.Unavailable
// when no server answers or it is full, fault.Upstream when it fails, fault.Timeout when it goes silent.
func (c *Client) Generate(
	ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	if err := c.checkModel(ctx, p.Model); err != nil {
		return pipeline.Completion{}, err
	}
	slot, release := c.slots.take(p.Affinity)
	defer release()
	body, err := c.request(p, slot)
	if err != nil {
		return pipeline.Completion{}, err
	}
	return c.stream(ctx, body, emit)
}

// Warm has the server read p and forget the answer, so that a later prompt which starts like it finds its
// work done. Most of a first token's delay is that reading. It needs p.Affinity to be the one of the later
// prompt.
func (c *Client) Warm(ctx context.Context, p pipeline.Prompt) (pipeline.Usage, error) {
	p.MaxTokens = 1
	done, err := c.Generate(ctx, p, func(pipeline.Delta) error { return nil })
	return done.Usage, err
}

// stream posts a request and reads its events to the end.
func (c *Client) stream(
	ctx context.Context, body request, emit func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	reqCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.cfg.Stall, func() { cancel(errStalled) })
	defer watch.Stop()

	data, err := json.Marshal(body)
	if err != nil {
		return pipeline.Completion{}, fmt.Errorf("generate: %w", err)
	}
	res, err := c.do(reqCtx, http.MethodPost, "/v1/chat/completions", data)
	if err != nil {
		return pipeline.Completion{}, err
	}
	defer res.Body.Close() // ends the connection, and with it the server's work
	a := answer{events: newEvents(res.Body), emit: func(d pipeline.Delta) error {
		if err := context.Cause(reqCtx); err != nil {
			return err // what was in our buffer when the end came is not for the receiver
		}
		watch.Stop() // a slow receiver is not a silent server
		defer watch.Reset(c.cfg.Stall)
		return emit(d)
	}, alive: func() { watch.Reset(c.cfg.Stall) }}
	done, err := a.read(body)
	if err != nil && (!a.refused || errors.Is(err, errStalled)) {
		return done, c.explain(reqCtx, err)
	}
	return done, err
}

// Models lists the names that the server knows, in its order.
func (c *Client) Models(ctx context.Context) ([]string, error) {
	names, _, err := c.list(ctx)
	return names, err
}

// list also tells whether the server is a llama.cpp, which serves what it has whatever model it is asked for.
func (c *Client) list(ctx context.Context) (names []string, llamaCPP bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	res, err := c.do(ctx, http.MethodGet, "/v1/models", nil)
	if err != nil {
		return nil, false, err
	}
	defer res.Body.Close()
	var body struct {
		Data []struct {
			ID      string   `json:"id"`
			Aliases []string `json:"aliases"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(&body); err != nil {
		return nil, false, c.explain(ctx, fmt.Errorf("list of models: %w", err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
	for _, m := range body.Data {
		names = append(names, m.ID)
		c.known[m.ID] = true
		for _, a := range m.Aliases {
			c.known[a] = true
		}
	}
	return names, res.Header.Get("Server") == "llama.cpp", nil
}

// checkModel refuses a name that a llama.cpp server would silently take for its own. Other servers refuse by
// themselves, and some of them serve models that they do not list.
func (c *Client) checkModel(ctx context.Context, model string) error {
	c.mu.Lock()
	known := model == "" || c.known[model]
	c.mu.Unlock()
	if known {
		return nil
	}
	_, llamaCPP, err := c.list(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		// The list is not what was asked for: let the real request say what is wrong.
		c.log.DebugContext(ctx, "models not listed", "error", err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if llamaCPP && !c.known[model] {
		return unknownModel(nil)
	}
	return nil
}

// do sends one request and turns every answer but 200 into an error.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	req.Header.Set("Accept", "text/event-stream, application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Key.Reveal())
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil && ctx.Err() != nil {
		return nil, c.explain(ctx, err)
	}
	return nil, refusal(res.StatusCode, res.Header, text)
}
