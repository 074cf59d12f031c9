// Package session holds conversations: who talks, what was said, what runs now.
//
// A live session is one goroutine that owns its state; everybody else sends it operations. Its turns run beside it, and
// tell it when they end. A [Hub] finds or makes the sessions, and ends them when nobody has used them for a while: the
// conversation itself is in the [Store] and goes on at the next word.
package session

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// Config is what every session of a hub shares.
type Config struct {
	System        string        // the system prompt
	Voice         string        // the default voice
	Language      string        // ISO 639-1 of speech in and out
	ContextTokens int           // the LLM's context window, in tokens
	MaxTokens     int           // the longest answer, in tokens
	MaxSessions   int           // live sessions; beyond it a new one is refused as overloaded
	Idle          time.Duration // how long an unused session stays in memory
	EventBuffer   int           // events that may wait for a slow client before its turn waits; 0 means 64
}

// Observer is told of every turn that ended. It must not block.
type Observer interface {
	TurnEnded(session string, r pipeline.Result)
}

// Hub holds the live sessions.
type Hub struct {
	cfg     Config
	engines pipeline.Engines
	store   Store
	watch   Observer
	log     *slog.Logger

	running atomic.Int64 // turns

	mu       sync.Mutex
	live     map[string]*live
	follow   map[string]map[*Session]func(Turn)
	draining bool
	wg       sync.WaitGroup
	closing  chan struct{}
}

// New returns a hub. Close ends it.
func New(cfg Config, engines pipeline.Engines, store Store, watch Observer, log *slog.Logger) *Hub {
	if cfg.EventBuffer == 0 {
		cfg.EventBuffer = 64
	}
	return &Hub{
		cfg: cfg, engines: engines, store: store, watch: watch, log: log,
		live: map[string]*live{}, follow: map[string]map[*Session]func(Turn){}, closing: make(chan struct{}),
	}
}

// Stats counts what lives.
type Stats struct {
	Sessions int // in memory
	Turns    int // running
}

// Stats returns the present counts.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{Sessions: len(h.live), Turns: int(h.running.Load())}
}

// Session returns the conversation of this id, which must be valid. Nothing is opened before it is used.
func (h *Hub) Session(id string) *Session { return &Session{hub: h, id: id} }

// Close refuses new work, waits for running turns until ctx ends, then cuts them, and returns when all is over.
func (h *Hub) Close(ctx context.Context) {
	h.mu.Lock()
	if h.draining {
		h.mu.Unlock()
		return
	}
	h.draining = true
	h.mu.Unlock()
	h.drain(ctx)
	close(h.closing)
	h.wg.Wait()
}

// drain waits until no turn runs, or ctx ends.
func (h *Hub) drain(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for h.running.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// errGone is returned to a sender whose session ended before it took the operation.
var errGone = errors.New("session gone")

// do has op run by the goroutine of the session, which is started if need be.
func (h *Hub) do(ctx context.Context, id string, op func(*live)) error {
	for {
		l, err := h.acquire(id)
		if err != nil {
			return err
		}
		if err := l.do(ctx, op); !errors.Is(err, errGone) {
			return err
		}
	}
}

func (h *Hub) acquire(id string) (*live, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return nil, &fault.Error{
			Kind: fault.Unavailable, Code: "draining", Err: fault.ErrDraining,
			Msg: "the server is shutting down; try again in a moment",
		}
	}
	if l, ok := h.live[id]; ok {
		return l, nil
	}
	if h.cfg.MaxSessions > 0 && len(h.live) >= h.cfg.MaxSessions {
		return nil, &fault.Error{
			Kind: fault.Unavailable, Code: "overloaded", RetryAfter: 10 * time.Second,
			Msg: "too many conversations at once; try again later",
		}
	}
	l := newLive(h, id)
	h.live[id] = l
	h.wg.Go(l.run)
	return l, nil
}

// retire takes an idle session out of the hub.
func (h *Hub) retire(l *live) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live[l.id] == l {
		delete(h.live, l.id)
	}
}
