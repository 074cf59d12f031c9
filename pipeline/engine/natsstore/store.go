// Package natsstore keeps conversations in an embedded NATS JetStream: one process, no port, every write on
// the disk before it is acknowledged.
//
// A finished turn is one message in the stream TURNS under the subject turn.<session>; the key-value bucket
// "sessions" remembers when a session began and which model it uses. Only nats.go's API is used for the
// data, so the same code can later talk to a cluster.
//
// The store never stands in the way of speaking. Files that cannot be read are moved aside to
// <dir>.bad-<time> and a new store is begun; a disk that is full makes every call answer
// [fault.Unavailable] "history_unavailable" until there is space again, without a restart of the program.
package natsstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/shirou/gopsutil/v3/disk"

	"brenda/pipeline/fault"
	"brenda/pipeline/session"
)

// Defaults of [Config].
const (
	DefaultMaxTurns = 200
	DefaultMaxAge   = 30 * 24 * time.Hour
	DefaultMaxBytes = 1 << 30
	DefaultMinFree  = 16 << 20
)

const (
	opTimeout  = 5 * time.Second // a call that the disk holds longer than this counts as a failure
	retryAfter = time.Second     // how often a broken store is tried again, at most
)

// ErrInUse is in the error of [Open] when another process has the store open.
var ErrInUse = errors.New("the store is locked by another process")

var _ session.Store = (*Store)(nil)

// Config says where conversations are kept and for how long.
type Config struct {
	Dir      string        // the store's own folder; made when absent. <Dir>.lock beside it is the lock
	MaxTurns int           // turns kept per session, the oldest go first; 0 means 200
	MaxAge   time.Duration // how long a turn is kept; 0 means 30 days, negative means for ever
	MaxBytes int64         // all turns together, the oldest go first; 0 means 1 GiB, negative means no limit
	MinFree  int64         // bytes of disk that must stay free; 0 means 16 MiB, negative means no check
	Log      *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.MaxTurns <= 0 {
		c.MaxTurns = DefaultMaxTurns
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MinFree == 0 {
		c.MinFree = DefaultMinFree
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is a [session.Store] on the local disk. Its methods may be called from any goroutine.
type Store struct {
	cfg  Config
	log  *slog.Logger
	lock *flock.Flock

	retryDelay time.Duration // how often a broken store is tried again, at most

	mu      sync.RWMutex // held for reading by every call, for writing while the server inside is exchanged
	be      *backend     // nil while the store is broken
	retryAt time.Time    // when a broken store may be tried again
	closed  bool

	appends, failures, restarts atomic.Uint64
}

// Open opens the store in cfg.Dir and takes its lock. It fails only when the lock cannot be had (an error
// that holds [ErrInUse]) or the folder cannot be made at all; any other trouble is logged, and the store
// comes up empty or comes up unavailable and mends itself later.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	cfg.Dir = dir
	lock, err := takeLock(dir + ".lock")
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, log: cfg.Log, lock: lock, retryDelay: retryAfter}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start(false)
	return s, nil
}

func takeLock(path string) (*flock.Flock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("history: lock: %w", err)
	}
	if !got {
		holder := "another process"
		if pid, err := os.ReadFile(path); err == nil && len(pid) > 0 {
			holder = "process " + strings.TrimSpace(string(pid))
		}
		return nil, &fault.Error{
			Kind: fault.Conflict, Code: "store_in_use", Err: ErrInUse,
			Msg: "the conversation store is in use by " + holder + "; stop it first or use another data folder",
		}
	}
	// The number is a help for the reader of the error above; the lock itself does not need it.
	_ = os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600)
	return lock, nil
}

// Close ends the server inside, waits for its goroutines and gives the lock back. It may be called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.be != nil {
		s.be.close()
		s.be = nil
	}
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("history: unlock: %w", err)
	}
	return nil
}

// Stats tells how the store does, for metrics and readiness.
type Stats struct {
	Available bool   // false while the store is broken
	Appends   uint64 // turns acknowledged since Open
	Failures  uint64 // calls that failed for the store's own reasons
	Restarts  uint64 // times the server inside was started again
	Sessions  uint64 // sessions on disk
	Turns     uint64 // turns on disk
	Bytes     uint64 // bytes of turns on disk
}

// Stats returns the store's counters. Numbers of what is on disk are zero while the store is unavailable.
func (s *Store) Stats(ctx context.Context) Stats {
	st := Stats{Appends: s.appends.Load(), Failures: s.failures.Load(), Restarts: s.restarts.Load()}
	_ = s.use(ctx, func(ctx context.Context, b *backend) error {
		info, err := b.turns.Info(ctx)
		if err != nil {
			return err
		}
		st.Available = true
		st.Sessions, st.Turns, st.Bytes = info.State.NumSubjects, info.State.Msgs, info.State.Bytes
		return nil
	})
	return st
}

// use runs f on the server inside. A failure that is the store's own closes that server, and a later call
// starts it anew: JetStream never writes again to a stream that once had a failed write.
func (s *Store) use(ctx context.Context, f func(context.Context, *backend) error) error {
	be, err := s.acquire() //nolint:contextcheck // the server outlives the call that starts it
	if err != nil {
		return err
	}
	opCtx, cancel := be.guard(ctx)
	err = f(opCtx, be)
	cancel()
	s.mu.RUnlock()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isAnswer(err):
		return err
	}
	s.failures.Add(1)
	s.retire(be, err) //nolint:contextcheck // it ends even when the caller has gone
	return unavailable(err)
}

// acquire returns the running server with s.mu held for reading.
func (s *Store) acquire() (*backend, error) {
	for range 2 {
		s.mu.RLock()
		if s.be != nil {
			return s.be, nil
		}
		closed := s.closed
		s.mu.RUnlock()
		if closed {
			return nil, unavailable(errClosed)
		}
		s.mu.Lock()
		if s.be == nil && !s.closed && !time.Now().Before(s.retryAt) {
			s.restarts.Add(1)
			s.start(true)
		}
		s.mu.Unlock()
	}
	return nil, unavailable(errBroken)
}

// retire closes a server that failed, unless somebody else already did.
func (s *Store) retire(be *backend, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.be != be {
		return
	}
	s.log.Error("the conversation store failed; history is off until it works again", "error", cause)
	be.close()
	s.be = nil
	s.retryAt = time.Now().Add(s.retryDelay)
}

// start brings the server up, s.mu held; verify makes it read every message first. Files that cannot be
// used are moved aside unless the disk is to blame; if all fails the store stays unavailable and is tried
// again later.
func (s *Store) start(verify bool) {
	s.retryAt = time.Now().Add(s.retryDelay)
	be, err := startBackend(s.cfg, s.log, verify)
	if err == nil {
		s.be = be
		return
	}
	if space := s.room(); space != nil || !writable(s.cfg.Dir) {
		s.log.Error("the conversation store cannot be opened; history is off until it can",
			"dir", s.cfg.Dir, "error", errors.Join(err, space))
		return
	}
	aside := s.cfg.Dir + ".bad-" + time.Now().UTC().Format("20060102T150405.000000Z")
	s.log.Error("THE CONVERSATION STORE IS DAMAGED: it is moved aside and a new one is begun; "+
		"earlier conversations are not available", "moved_to", aside, "error", err)
	if err := os.Rename(s.cfg.Dir, aside); err != nil {
		s.log.Error("the damaged store cannot be moved; history is off", "error", err)
		return
	}
	if s.be, err = startBackend(s.cfg, s.log, false); err != nil {
		s.be = nil
		s.log.Error("no new conversation store could be begun; history is off", "error", err)
	}
}

// room returns an error when the disk is too full to write to. A server that meets a full disk in the
// middle of a write is recoverable, one that never does is better.
func (s *Store) room() error {
	if s.cfg.MinFree < 0 {
		return nil
	}
	u, err := disk.Usage(filepath.Dir(s.cfg.Dir))
	if err != nil || u.Free >= uint64(s.cfg.MinFree) {
		return nil //nolint:nilerr // not knowing is no reason to refuse; a full disk will say so itself
	}
	return fmt.Errorf("%w: %d bytes free, %d wanted", errNoRoom, u.Free, s.cfg.MinFree)
}

// writable tells whether files in dir can be written and synced, which is what a damaged store needs to be
// told from a broken disk.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return false
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Sync(), f.Close()) == nil
}

var (
	errClosed = errors.New("the store is closed")
	errBroken = errors.New("the store is broken and will be tried again")
	errNoRoom = errors.New("the disk is almost full")
)

func unavailable(err error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "history_unavailable", Err: err,
		Msg:        "the conversation cannot be saved or read at the moment; see the server's log",
		RetryAfter: retryAfter,
	}
}

// isAnswer tells an answer of the store ("no such key", "that turn exists") from a failure of it.
func isAnswer(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) || errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, errNoRoom)
}
