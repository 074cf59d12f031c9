// Package llamaserver writes text with GGUF models on this machine: it runs llama.cpp's HTTP server as a
// supervised child, one for each loaded model, and talks to it as package openaichat does.
//
// The server is the user's own llama-server when there is one that runs, else the one inside the Python
// package xllamacpp. A child listens on a random port of the loopback with a random key, is ready when it
// has written its first token, and comes back after a crash.
package llamaserver

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

// Config says which models there are and how they are run. Zero fields mean the defaults.
type Config struct {
	Server  string // path of a llama-server; empty: the one in PATH, if any
	Package string // folder that holds the Python package xllamacpp, for when no llama-server runs
	Python  string // default "python3"

	Models  map[string]string // name → path of a GGUF
	Dir     string            // every *.gguf in it is a model too, named like the file without its ending
	Default string            // the model of a prompt that names none

	Context        int  // tokens of one slot's context; default 4096
	Slots          int  // answers written at once; default 2
	Threads        int  // for writing; default: one per core
	PrefillThreads int  // for reading prompts; default: one per core
	CacheRAM       int  // MiB for prompts of earlier conversations; default 256 (llama.cpp's own is 8192)
	SWAFull        bool // models with a sliding window need it to reuse prompts, for some memory

	MaxLoaded int           // models in memory at once; default 1
	MaxTokens int           // of an answer whose prompt sets no bound; default 512
	Stall     time.Duration // silence after which a child is taken for hung and restarted; default 1 min
	Policy    proc.Policy   // restarts
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if c.Python == "" {
		c.Python = "python3"
	}
	cores := runtime.GOMAXPROCS(0) // knows cgroups
	def(&c.Context, 4096)
	def(&c.Slots, 2)
	def(&c.Threads, cores)
	def(&c.PrefillThreads, cores)
	def(&c.CacheRAM, 256)
	def(&c.MaxLoaded, 1)
	if c.Stall <= 0 {
		c.Stall = time.Minute
	}
	if c.Policy.BackoffMin <= 0 {
		c.Policy.BackoffMin = 250 * time.Millisecond // a person is waiting
	}
	return c
}

// Engine is a pipeline.Generator over the models of one machine. Close ends its children.
type Engine struct {
	cfg Config
	log *slog.Logger

	findMu sync.Mutex
	found  *runner // the server that was found to run

	mu       sync.Mutex
	children map[string]*child // by model
	clock    uint64            // orders uses
	closed   bool
	changed  chan struct{} // closed and replaced when a child becomes free, ends or is added
}

// New returns an engine. It starts nothing: the first request for a model, or Load, does.
func New(cfg Config, log *slog.Logger) *Engine {
	return &Engine{
		cfg: cfg.withDefaults(), log: log, children: map[string]*child{}, changed: make(chan struct{}),
	}
}

// Generate implements pipeline.Generator. It loads the model first when that is not loaded. When the child
// dies before its first token the request waits for the restart and is asked again; later than that it is
// fault.Upstream.
func (e *Engine) Generate(
	ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	c, err := e.acquire(ctx, p.Model)
	if err != nil {
		return pipeline.Completion{}, err
	}
	defer e.release(c)
	return c.generate(ctx, p, emit)
}

// Warm has the model read p, so that a later prompt of the same Affinity that starts like it is answered
// sooner. The reading cannot be cancelled half way.
func (e *Engine) Warm(ctx context.Context, p pipeline.Prompt) (pipeline.Usage, error) {
	p.MaxTokens = 1
	done, err := e.Generate(ctx, p, func(pipeline.Delta) error { return nil })
	return done.Usage, err
}

// Load brings a model into memory and returns when it can write, and how long that took. When there is no
// room the model that rested longest leaves, after what it is writing. An unknown name is fault.NotFound;
// empty is the default.
func (e *Engine) Load(ctx context.Context, name string) (time.Duration, error) {
	begin := time.Now()
	c, err := e.acquire(ctx, name)
	if err != nil {
		return 0, err
	}
	defer e.release(c)
	if err := c.proc.Wait(ctx); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// Loaded lists the models that can write at once, the one used last first.
func (e *Engine) Loaded() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ready []*child
	for _, c := range e.children {
		if c.proc.State().Phase == proc.Ready && !c.closing {
			ready = append(ready, c)
		}
	}
	slices.SortFunc(ready, func(a, b *child) int { return int(b.used) - int(a.used) })
	names := make([]string, 0, len(ready))
	for _, c := range ready {
		names = append(names, c.name)
	}
	return names
}

// States tells what each child does, by model.
func (e *Engine) States() map[string]proc.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make(map[string]proc.State, len(e.children))
	for name, c := range e.children {
		all[name] = c.proc.State()
	}
	return all
}

// Close ends all children and waits until they are gone. Requests in flight fail.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	all := make([]*child, 0, len(e.children))
	for _, c := range e.children {
		all = append(all, c)
	}
	e.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() { _ = c.proc.Close() })
	}
	wg.Wait()
	return nil
}

// acquire returns the child of a model, started if need be but perhaps not ready, and counts the caller as
// its user.
func (e *Engine) acquire(ctx context.Context, model string) (*child, error) {
	if model == "" {
		model = e.cfg.Default
	}
	path, err := e.path(model)
	if err != nil {
		return nil, err
	}
	run, err := e.runner(ctx)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if e.closed {
			return nil, fault.New(fault.Unavailable, "engine_stopped", "the LLM is shutting down")
		}
		c, victim := e.children[model], (*child)(nil)
		switch {
		case c != nil && !c.leaving:
			e.use(c)
			return c, nil
		case c == nil:
			if victim = e.mustLeave(path); victim == nil {
				c = e.start(ctx, model, path, run)
				e.use(c)
				return c, nil
			}
		}
		if err := e.waitFor(ctx, victim); err != nil {
			return nil, err
		}
	}
}

// waitFor has victim leave (nil: somebody else sees to it) and waits for a change. The lock is held around
// it.
func (e *Engine) waitFor(ctx context.Context, victim *child) error {
	if victim != nil {
		victim.leaving = true // no new users, or a busy model could never be replaced
	}
	if victim != nil && victim.users == 0 && !victim.closing {
		victim.closing = true
		e.mu.Unlock()
		_ = victim.proc.Close()
		e.mu.Lock()
		delete(e.children, victim.name)
		e.wake()
		return nil
	}
	changed := e.changed
	e.mu.Unlock()
	defer e.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if victim != nil && !victim.closing {
		victim.leaving = false
		e.wake() // another who waits for the same will say so again
	}
	return context.Cause(ctx)
}

func (e *Engine) use(c *child) {
	e.clock++
	c.users++
	c.used = e.clock
}

func (e *Engine) release(c *child) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.users--
	e.wake()
}

func (e *Engine) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// mustLeave returns the child that has to go before the model in path fits; nil when there is room. One that
// leaves already comes first, then the one that rested longest.
func (e *Engine) mustLeave(path string) *child {
	if len(e.children) == 0 || (len(e.children) < e.cfg.MaxLoaded && fits(path)) {
		return nil
	}
	var oldest *child
	for _, c := range e.children {
		if c.leaving {
			return c
		}
		if oldest == nil || c.used < oldest.used {
			oldest = c
		}
	}
	return oldest
}
