package natsstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	turnsStream    = "TURNS"
	subjectPrefix  = "turn."
	sessionsBucket = "sessions"
	bucketStream   = "KV_" + sessionsBucket // the stream that nats.go keeps a bucket in

	startTimeout = 30 * time.Second // a store of the default size opens in far less than a second
	maxTurnBytes = 768 << 10        // NATS carries 1 MiB in one message; the rest is for headers
	maxStarts    = 3                // unfinished starts in a row before the files themselves are blamed
)

// Files in the store's folder. JetStream keeps its own in the sub-folder "jetstream".
const (
	layoutFile   = "layout.json" // what was there at the last start or end: less than that later means a loss
	startingFile = "starting"    // how many starts in a row did not come to their end
)

// backend is one run of the embedded server with a connection to it.
type backend struct {
	srv      *server.Server
	nc       *nats.Conn
	js       jetstream.JetStream
	turns    jetstream.Stream
	meta     jetstream.Stream
	sessions jetstream.KeyValue
	maxAge   time.Duration
	dir      string
	log      *slog.Logger

	broken chan struct{} // closed when the server gives a stream up
	once   sync.Once
}

// startBackend starts the server on cfg.Dir; verify makes it read every message. An error that is not about
// the disk means that the files there are not usable.
func startBackend(cfg Config, log *slog.Logger, verify bool) (_ *backend, err error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := countStart(cfg.Dir); err != nil {
		return nil, err
	}
	b := &backend{maxAge: cfg.MaxAge, dir: cfg.Dir, log: log, broken: make(chan struct{})}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			b.close()
		}
	}()
	if err := b.serve(cfg); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout) //nolint:forbidigo // Open takes none
	defer cancel()
	if err := b.checkLayout(ctx); err != nil {
		return nil, err
	}
	if err := b.makeStreams(ctx, cfg); err != nil {
		return nil, err
	}
	if verify {
		if err := errors.Join(b.verify(ctx, b.turns), b.verify(ctx, b.meta)); err != nil {
			return nil, err
		}
	}
	if err := b.writeLayout(ctx); err != nil {
		return nil, err
	}
	return b, os.Remove(filepath.Join(cfg.Dir, startingFile))
}

// countStart notes that a start begins. A panic in one of the server's own goroutines cannot be caught, so
// files that cause one would end the program at every start; after a few of them the files are given up.
func countStart(dir string) error {
	path := filepath.Join(dir, startingFile)
	n := 0
	if text, err := os.ReadFile(path); err == nil {
		n, _ = strconv.Atoi(string(text))
	}
	if n >= maxStarts {
		return fmt.Errorf("%d starts in a row did not come to their end", n)
	}
	return os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
}

func (b *backend) serve(cfg Config) error {
	opts := &server.Options{
		ServerName: "brenda", DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: cfg.Dir, SyncAlways: true, DisableJetStreamBanner: true,
		// Both far from what is used: a limit that follows the free disk would refuse the streams on a fuller disk.
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 50,
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("new server: %w", err)
	}
	b.srv = srv
	srv.SetLoggerV2(&natsLog{log: b.log, gaveUp: b.giveUp}, false, false, false)
	srv.Start() // recovers the streams before it returns
	select {
	case <-b.broken:
		return errors.New("the embedded server did not start")
	default:
	}
	if !srv.ReadyForConnections(startTimeout) || !srv.JetStreamEnabled() {
		return errors.New("the embedded server did not become ready")
	}
	b.nc, err = nats.Connect("", nats.InProcessServer(srv), nats.NoReconnect(), nats.Name("brenda"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(opTimeout))
	return err
}

func (b *backend) makeStreams(ctx context.Context, cfg Config) (err error) {
	maxAge := max(cfg.MaxAge, 0)
	b.turns, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: turnsStream, Subjects: []string{subjectPrefix + "*"}, Storage: jetstream.FileStorage, Replicas: 1,
		MaxMsgsPerSubject: int64(cfg.MaxTurns), MaxAge: maxAge, MaxBytes: max(cfg.MaxBytes, -1),
		Discard: jetstream.DiscardOld, AllowDirect: true,
		Duplicates: 100 * time.Millisecond, // the least there is: numbers make turns unique, not message ids
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", turnsStream, err)
	}
	ttl := maxAge
	if ttl > 0 {
		ttl += refreshAfter(maxAge) // an entry outlives its last turn: it is written anew as turns come, see touch
	}
	b.sessions, err = b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: sessionsBucket, Storage: jetstream.FileStorage, History: 1, TTL: ttl, Replicas: 1,
	})
	if err != nil {
		return fmt.Errorf("bucket %s: %w", sessionsBucket, err)
	}
	if b.meta, err = b.js.Stream(ctx, bucketStream); err != nil {
		return fmt.Errorf("bucket %s: %w", sessionsBucket, err)
	}
	return nil
}

// giveUp ends the calls that wait for an answer which will not come.
func (b *backend) giveUp() { b.once.Do(func() { close(b.broken) }) }

// guard returns a context that ends with the server's giving up.
func (b *backend) guard(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-b.broken:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-done }
}

// close ends the server and waits for it. It works on a backend that is half made.
func (b *backend) close() {
	if b.nc != nil {
		if b.meta != nil {
			ctx, cancel := context.WithTimeout(context.Background(), opTimeout) //nolint:forbidigo // Close takes none
			if err := b.writeLayout(ctx); err != nil {
				b.log.Debug("layout not written", "error", err)
			}
			cancel()
		}
		b.nc.Close()
	}
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	}
}
