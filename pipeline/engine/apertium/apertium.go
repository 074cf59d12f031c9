// Package apertium translates with Apertium's programs and the language pairs that are installed.
//
// A translation of Apertium's is a chain of a dozen programs, which takes half a second to start and two milliseconds
// to translate a sentence. So chains are kept running and asked one sentence after the other, each ended by a NUL. They
// are separate programs under the GPL, never linked.
//
// What must be known about them: some keep a little state from one sentence to the next. Of 200 sentences from French
// into Spanish none came out differently than by a fresh process, of 27 into Catalan none, of those 27 from Catalan into
// English one ("El sol s'aixeca": "the sun", by a fresh process "the alone").
package apertium

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
)

// Install is the command that installs Apertium with pairs for French.
const Install = "apt-get install apertium apertium-fr-es apertium-fra-cat apertium-eng-spa apertium-eng-cat"

// Config says where Apertium is and how much of it may run. Zero fields mean the defaults.
type Config struct {
	Modes        string        // folder of the modes; default DefaultModes
	Size         int           // chains of one mode that may run at once; default 2
	Timeout      time.Duration // an answer that takes longer counts as a hang; default 10 s
	StartTimeout time.Duration // for a chain to load its data; default 60 s
	Idle         time.Duration // chains that nobody used for so long are ended; default 10 min
	Log          *slog.Logger  // default: none
}

// Engine translates. Its methods may be called from any goroutine.
type Engine struct {
	cfg Config

	mu     sync.Mutex
	pools  map[string]*pool // by the mode's name
	closed bool
}

// New returns an engine. No program is started before the first sentence.
func New(cfg Config) *Engine {
	if cfg.Modes == "" {
		cfg.Modes = DefaultModes
	}
	if cfg.Size <= 0 {
		cfg.Size = 2
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.StartTimeout <= 0 {
		cfg.StartTimeout = time.Minute
	}
	if cfg.Idle <= 0 {
		cfg.Idle = 10 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Log = cfg.Log.With("engine", "apertium")
	return &Engine{cfg: cfg, pools: map[string]*pool{}}
}

// Ways implements translation.Engine: every pair that the installed modes lead to. It looks at the disk, so that a pair
// installed while the server runs is found.
func (e *Engine) Ways(context.Context) ([]translation.Way, error) {
	modes, err := readModes(e.cfg.Modes)
	if err != nil {
		return nil, err
	}
	if len(modes) == 0 {
		return nil, fault.New(fault.Unavailable, "engine_missing", "no translation pair is installed; run: %s", Install)
	}
	return ways(modes), nil
}

// Translate implements translation.Engine.
func (e *Engine) Translate(ctx context.Context, w translation.Way, sentence string) (string, error) {
	pools, err := e.path(ctx, w)
	if err != nil {
		return "", err
	}
	for _, p := range pools {
		if sentence, err = e.hop(ctx, p, sentence); err != nil {
			return "", err
		}
	}
	return sentence, nil
}

// path returns the pools of a way. Those that do not run yet are started side by side.
func (e *Engine) path(ctx context.Context, w translation.Way) ([]*pool, error) {
	stops := append(append([]string{w.From}, w.Pivot...), w.To)
	pools := make([]*pool, len(stops)-1)
	for i := range pools {
		var err error
		if pools[i], err = e.pool(stops[i], stops[i+1]); err != nil {
			return nil, err
		}
	}
	if len(pools) == 1 {
		return pools, nil
	}
	g, starting := errgroup.WithContext(ctx)
	for _, p := range pools {
		if p.running() == 0 {
			g.Go(func() error {
				_, err := p.ask(starting, encodeEnd("1"))
				return err
			})
		}
	}
	return pools, failed(ctx, w.From+"-"+w.To, g.Wait())
}

// hop translates a sentence with one mode.
func (e *Engine) hop(ctx context.Context, p *pool, sentence string) (string, error) {
	stream, err := encode(sentence)
	if err != nil {
		return "", translation.ErrMarks
	}
	answer, err := p.ask(ctx, stream)
	if err != nil {
		return "", failed(ctx, p.mode.name, err)
	}
	return polish(p.mode.to, decode(answer)), nil
}

// failed makes a fault of what went wrong.
func failed(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case errors.Is(err, errClosed):
		return fault.Wrap(err, fault.Unavailable, "shutting_down", "the server is shutting down")
	}
	return fault.Wrap(fmt.Errorf("apertium %s: %w", what, err), fault.Unavailable, "engine_restarted",
		"the translator failed and was started again; try again")
}

// pool returns the pool of the mode between two languages.
func (e *Engine) pool(from, to string) (*pool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fault.Wrap(errClosed, fault.Unavailable, "shutting_down", "the server is shutting down")
	}
	key := from + "-" + to
	if p, ok := e.pools[key]; ok {
		return p, nil
	}
	modes, err := readModes(e.cfg.Modes)
	if err != nil {
		return nil, err
	}
	for _, m := range modes {
		if m.from == from && m.to == to {
			e.pools[key] = newPool(m, e.cfg)
			return e.pools[key], nil
		}
	}
	return nil, fault.New(fault.Unavailable, "engine_missing", "the pair %s is not installed any more; run: %s", key, Install)
}

// Running counts the chains of programs that run.
func (e *Engine) Running() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, p := range e.pools {
		n += p.running()
	}
	return n
}

// Close ends all programs and waits until they are gone. Sentences in work fail. It may be called twice.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	pools := e.pools
	e.pools = map[string]*pool{}
	e.mu.Unlock()
	for _, p := range pools {
		p.close()
	}
	return nil
}
