package apertium

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

var errClosed = errors.New("the translator is closed")

// pool keeps chains of one mode running. It starts one when all are busy, up to its size, and ends those that nobody
// needs any more.
type pool struct {
	mode mode
	cfg  Config
	log  *slog.Logger
	room chan struct{} // one token for each chain that may be in use

	mu     sync.Mutex
	idle   []*chain // the one used last is the last
	all    map[*chain]struct{}
	closed bool
	reaper *time.Timer    // ends idle chains; nil before there was one
	users  sync.WaitGroup // who uses, or ends, chains
}

func newPool(m mode, cfg Config) *pool {
	return &pool{
		mode: m, cfg: cfg, log: cfg.Log.With("mode", m.name), room: make(chan struct{}, cfg.Size),
		all: map[*chain]struct{}{},
	}
}

// ask has one piece of the stream translated. What a chain that died or hangs has left unanswered is asked again, once.
func (p *pool) ask(ctx context.Context, text string) (string, error) {
	select {
	case p.room <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-p.room }()
	if err := p.enter(); err != nil {
		return "", err
	}
	defer p.users.Done()
	for try := 0; ; try++ {
		answer, err := p.try(ctx, text)
		if err == nil || ctx.Err() != nil || errors.Is(err, errClosed) || try == 1 {
			return answer, err
		}
		p.log.WarnContext(ctx, "the programs of a translation are started again", "error", err)
	}
}

// enter counts a user, unless the pool is closed.
func (p *pool) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	p.users.Add(1)
	return nil
}

// try asks a chain, an idle one or a new one.
func (p *pool) try(ctx context.Context, text string) (string, error) {
	c := p.take()
	if c == nil {
		var err error
		if c, err = p.start(ctx); err != nil {
			return "", err
		}
	}
	answer, err := c.ask(ctx, text, p.cfg.Timeout)
	if err != nil {
		return "", errors.Join(err, p.drop(c))
	}
	p.put(c)
	return answer, nil
}

// take returns the idle chain that was used last, or nil.
func (p *pool) take() *chain {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.alive() {
			return c
		}
		delete(p.all, c)
	}
	return nil
}

// start brings a chain up, which includes that it loads its data: it has answered once.
func (p *pool) start(ctx context.Context) (*chain, error) {
	begin := time.Now()
	c, err := launch(ctx, p.mode.stages)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	closed := p.closed
	p.all[c] = struct{}{}
	p.mu.Unlock()
	if closed {
		return nil, errors.Join(errClosed, p.drop(c))
	}
	if _, err := c.ask(ctx, encodeEnd("1"), p.cfg.StartTimeout); err != nil {
		return nil, errors.Join(err, p.drop(c))
	}
	p.log.DebugContext(ctx, "translation programs started", "after", time.Since(begin))
	return c, nil
}

// put gives a chain back.
func (p *pool) put(c *chain) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return // Close ends it
	}
	p.idle = append(p.idle, c)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.cfg.Idle, p.reap)
		return
	}
	p.reaper.Reset(p.cfg.Idle)
}

// reap ends the chains that nobody has used for a while.
func (p *pool) reap() {
	if p.enter() != nil {
		return
	}
	defer p.users.Done()
	p.mu.Lock()
	unused := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range unused {
		_ = p.drop(c)
	}
}

// drop ends a chain. It returns errClosed when the pool was closed meanwhile, which may be why the chain failed.
func (p *pool) drop(c *chain) error {
	c.kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, c)
	if p.closed {
		return errClosed
	}
	return nil
}

// close ends all chains, also those in use, and waits until nobody is left.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	var all []*chain
	for c := range p.all {
		all = append(all, c)
	}
	p.idle = nil
	p.mu.Unlock()
	for _, c := range all {
		c.kill()
	}
	p.users.Wait()
}

// running counts the chains, busy or idle.
func (p *pool) running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}
