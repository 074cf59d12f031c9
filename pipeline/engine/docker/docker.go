// Package docker lists, starts, stops and watches the containers that belong to Brenda, through the Docker daemon.
//
// Only eight operations of the daemon are used: ping, list, inspect, start, stop, restart, logs, stats. A container is
// resolved to its full id once, is checked to be Brenda's, and everything after that goes by that id. The daemon is trusted
// to run containers, not to answer sensibly: every answer is bounded in size, and in time where it has an end.
package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"brenda/pipeline/fault"
)

// DefaultHost is where a daemon usually listens.
const DefaultHost = "unix:///var/run/docker.sock"

// MinAPI is the oldest version of the daemon's API that is spoken.
const MinAPI = "1.40"

// Config says which daemon to use.
type Config struct {
	Host     string        // unix:///path, tcp://host:port, http://… or https://…; empty means DefaultHost
	Certs    string        // folder of ca.pem, cert.pem and key.pem for TLS, which a unix socket has none of; empty: no TLS
	Own      string        // id of the container that this program runs in; empty means none
	ReadOnly bool          // start, stop and restart are fault.Forbidden
	Wait     time.Duration // for an answer; 0 means 5 s
	Log      *slog.Logger  // 0 means none
}

// Engine talks to one daemon, which may come and go. All methods may be called from any goroutine. Their errors are
// fault.Unavailable when the daemon cannot be reached, with the reason, and fault.Upstream when it fails.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	connect chan struct{} // held by the one who connects
	stall   time.Duration // the longest silence of a daemon that should send samples
	action  time.Duration // the longest time that a start or an end may take, besides the grace

	mu  sync.Mutex
	cur *daemon // nil before the first connection and after it was lost
}

// daemon is a connection whose version of the API is settled. It is never changed: a new daemon gets a new one.
type daemon struct {
	*client.Client
	base *http.Transport
}

// New returns an engine. It does not connect yet.
func New(cfg Config) (*Engine, error) {
	if cfg.Host == "" {
		cfg.Host = DefaultHost
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: cfg, log: cfg.Log, connect: make(chan struct{}, 1), stall: stall, action: cfg.Wait + starting}
	if _, err := e.dialer(); err != nil {
		return nil, err
	}
	return e, nil
}

// CheckHost returns what is wrong with the address of a daemon.
func CheckHost(host string) error {
	_, err := (&Engine{cfg: Config{Host: host}}).dialer()
	return err
}

// dialer makes a client that has not connected yet.
func (e *Engine) dialer() (*daemon, error) {
	switch scheme, _, _ := strings.Cut(e.cfg.Host, "://"); scheme {
	case "unix", "tcp", "http", "https":
	default:
		return nil, fmt.Errorf("%q is not unix:///path or tcp://host:port", e.cfg.Host)
	}
	d := &daemon{}
	opts := []client.Opt{client.WithHost(e.cfg.Host), client.WithUserAgent("brenda")}
	secure := e.cfg.Certs != "" && !strings.HasPrefix(e.cfg.Host, "unix:")
	if dir := e.cfg.Certs; secure {
		in := func(name string) string { return filepath.Join(dir, name) }
		opts = append(opts, client.WithTLSClientConfig(in("ca.pem"), in("cert.pem"), in("key.pem")))
	}
	if secure || strings.HasPrefix(e.cfg.Host, "https:") {
		opts = append(opts, client.WithScheme("https"))
	}
	opts = append(opts, func(c *client.Client) error {
		hc := c.HTTPClient()
		base, ok := hc.Transport.(*http.Transport)
		if !ok {
			return fmt.Errorf("the client's transport is a %T", hc.Transport)
		}
		d.base, hc.Transport = base, guard{base}
		return client.WithHTTPClient(hc)(c)
	})
	var err error
	d.Client, err = client.NewClientWithOpts(opts...)
	return d, err
}

// daemon returns the connection, made anew if need be.
func (e *Engine) daemon(ctx context.Context) (*daemon, error) {
	if d := e.current(); d != nil {
		return d, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.cfg.Wait, errSlow)
	defer cancel()
	select {
	case e.connect <- struct{}{}:
		defer func() { <-e.connect }()
	case <-ctx.Done():
		return nil, translate(ctx, ctx.Err())
	}
	if d := e.current(); d != nil {
		return d, nil
	}
	d, err := e.dialer()
	if err != nil {
		return nil, err
	}
	if err := d.settle(ctx); err != nil {
		d.base.CloseIdleConnections()
		return nil, translate(ctx, err)
	}
	e.mu.Lock()
	e.cur = d
	e.mu.Unlock()
	e.log.InfoContext(ctx, "connected to docker", "api", d.ClientVersion())
	return d, nil
}

func (e *Engine) current() *daemon {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cur
}

// settle asks the daemon for its version and agrees on one.
func (d *daemon) settle(ctx context.Context) error {
	ping, err := d.Ping(ctx)
	if err != nil {
		return err
	}
	switch v := ping.APIVersion; {
	case !version.MatchString(v):
		return fault.New(fault.Upstream, "docker_failed", "what answers at Docker's address is not Docker")
	case versions.LessThan(v, MinAPI):
		return fault.New(fault.Unavailable, "docker_too_old", "Docker is too old: it speaks API %s, %s is needed", v, MinAPI)
	}
	d.NegotiateAPIVersionPing(ping)
	return nil
}

var version = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}$`)

// failed returns what a call's error means, and forgets a connection that is of no use any more.
func (e *Engine) failed(ctx context.Context, d *daemon, err error) error {
	err = translate(ctx, err)
	if err != nil && fault.KindOf(err) == fault.Unavailable {
		e.mu.Lock()
		if e.cur == d {
			e.cur = nil
		}
		e.mu.Unlock()
		d.base.CloseIdleConnections()
	}
	return err
}

// Reachable returns nil when the daemon answers.
func (e *Engine) Reachable(ctx context.Context) error {
	d, err := e.daemon(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := e.soon(ctx)
	defer cancel()
	_, err = d.Ping(ctx)
	return e.failed(ctx, d, err)
}

// soon returns the context of a call that is answered at once.
func (e *Engine) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, e.cfg.Wait, errSlow)
}

// Close closes idle connections. The engine can be used on.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cur != nil {
		e.cur.base.CloseIdleConnections()
		e.cur = nil
	}
	return nil
}
