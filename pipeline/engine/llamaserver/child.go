package llamaserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/openaichat"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

const (
	retries      = 3 // of a request whose child died before the first token
	noticeWithin = 5 * time.Second
	noticePoll   = 20 * time.Millisecond
)

// child is one loaded model.
type child struct {
	name string
	cfg  Config
	log  *slog.Logger
	proc *proc.Process

	// guarded by Engine.mu
	users   int
	used    uint64
	leaving bool // takes no new users
	closing bool // is being ended

	mu     sync.Mutex
	server server
}

// server is one run of a child's server: another port and key each time.
type server struct {
	run    int
	url    string
	key    openaichat.Secret
	client *openaichat.Client
}

// start begins a child. It lives until it is closed, not only as long as the request that asked for it.
func (e *Engine) start(ctx context.Context, name, path string, run *runner) *child {
	c := &child{name: name, cfg: e.cfg, log: e.log.With("model", name)}
	c.proc = proc.Start(context.WithoutCancel(ctx), proc.Config{
		Name: "llama-server",
		Command: func() (proc.Command, error) {
			s, port, err := c.nextServer()
			if err != nil {
				return proc.Command{}, err
			}
			return run.command(e.cfg, name, path, port, s.key)
		},
		Ready: c.ready, Policy: e.cfg.Policy, Log: c.log,
		// The model writes faster than anybody speaks. While a chunk is being spoken, or somebody is being heard, the cores
		// go to that first: two engines that share them evenly are both too late.
		Nice:  10,
		Grace: 2 * time.Second, // it has been seen to hang after TERM; there is nothing to save
	})
	e.children[name] = c
	e.wake()
	return c
}

// nextServer chooses port and key of the next run. Another process may take the port first: then the child
// dies, and its next start takes another.
func (c *child) nextServer() (server, int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return server{}, 0, fmt.Errorf("choosing a port: %w", err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, text, _ := net.SplitHostPort(addr)
	port, err := strconv.Atoi(text)
	if err != nil {
		return server{}, 0, fmt.Errorf("choosing a port: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := server{run: c.server.run + 1, url: "http://" + addr, key: openaichat.Secret(rand.Text())}
	s.client, err = openaichat.New(openaichat.Config{
		URL: s.url, Key: s.key, Slots: c.cfg.Slots, MaxTokens: c.cfg.MaxTokens, Stall: c.cfg.Stall,
	}, c.log)
	if err != nil {
		return server{}, 0, err
	}
	c.server = s
	return s, port, nil
}

func (c *child) current() server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// ready asks for health, then has the model write a token: the first one pays for faulting the weights in.
func (c *child) ready(ctx context.Context) error {
	s := c.current()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/health", http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", res.Status)
	}
	hello := pipeline.Message{Role: "user", Content: "Bonjour"}
	_, err = s.client.Warm(ctx, pipeline.Prompt{Messages: []pipeline.Message{hello}})
	return err
}

// generate asks the child, again when it died before it wrote anything.
func (c *child) generate(
	ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	p.Model = "" // this server has one
	begun := false
	for try := 0; ; try++ {
		if err := c.proc.Wait(ctx); err != nil {
			return pipeline.Completion{}, err
		}
		s := c.current()
		done, err := s.client.Generate(ctx, p, func(d pipeline.Delta) error {
			begun = true
			return emit(d)
		})
		if err == nil || begun || try >= retries {
			c.judge(err)
			return done, err
		}
		c.judge(err)
		code := fault.As(err).Code
		if (code != "llm_unreachable" && code != "llm_cut") || !c.died(ctx, s.run) {
			return done, err
		}
		c.log.WarnContext(ctx, "asking again after the end of the child", "error", err)
	}
}

// judge restarts a child that is silent although it lives: /health answers even then, or hangs while all is
// well, so what counts is that tokens come.
func (c *child) judge(err error) {
	if err != nil && fault.As(err).Code == "llm_stalled" {
		c.proc.Restart("it wrote nothing for " + c.cfg.Stall.String())
	}
}

// died waits until the supervisor has noticed that a run ended. It reports false when it does not: then the
// server lives and broke off for another reason.
func (c *child) died(ctx context.Context, run int) bool {
	limit := time.NewTimer(noticeWithin)
	defer limit.Stop()
	poll := time.NewTicker(noticePoll)
	defer poll.Stop()
	for {
		if c.current().run != run || c.proc.State().Phase != proc.Ready {
			return true
		}
		select {
		case <-poll.C:
		case <-limit.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
