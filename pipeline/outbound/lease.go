package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"brenda/pipeline/fault"
)

// Lease is a view of the network for one child process: an HTTP proxy of its own on loopback, which resolves, guards and
// counts bytes, requests and redirects. (Redirects within TLS it cannot see: the child must have a limit of its own.) It
// ends with its context or with Close, and all its connections with it.
type Lease struct {
	guard    *Guard
	server   *http.Server
	listener net.Listener
	ctx      context.Context //nolint:containedctx // that of the child
	cancel   context.CancelFunc
	left     atomic.Int64
	hops     hops
	running  sync.WaitGroup

	mu    sync.Mutex
	fault error
	conns map[net.Conn]struct{} // to servers and, of tunnels, to the child
}

// Lease opens a proxy for one child. Close must be called.
func (g *Guard) Lease(ctx context.Context) (*Lease, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &Lease{guard: g, listener: ln, ctx: ctx, cancel: cancel, conns: map[net.Conn]struct{}{}}
	l.left.Store(g.cfg.Bytes)
	l.server = &http.Server{
		Handler: http.HandlerFunc(l.handle), ReadHeaderTimeout: connectTimeout, MaxHeaderBytes: 256 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	l.running.Go(func() { _ = l.server.Serve(ln) }) // ends with Close
	return l, nil
}

// URL is the proxy's address, for the child.
func (l *Lease) URL() string { return "http://" + l.listener.Addr().String() }

// Env is what a child's environment must say so that every library in it finds the proxy.
func (l *Lease) Env() []string {
	u := l.URL()
	return []string{
		"http_proxy=" + u, "https_proxy=" + u, "all_proxy=" + u, "HTTP_PROXY=" + u, "HTTPS_PROXY=" + u, "ALL_PROXY=" + u,
		"no_proxy=", "NO_PROXY=",
	}
}

// Err returns the first reason why a connection of the child was refused or failed, nil when there is none. A child that
// failed did so for this reason, most likely.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// Exceeded tells whether the child was cut off because it read too much.
func (l *Lease) Exceeded() bool { return l.left.Load() < 0 }

// Close ends the proxy and all connections through it. It may be called twice.
func (l *Lease) Close() error {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	err := l.server.Close()
	l.mu.Lock()
	for c := range l.conns {
		_ = c.Close() // the child is gone or has no use for it
	}
	l.mu.Unlock()
	l.running.Wait()
	return err
}

func (l *Lease) note(err error) {
	if err == nil || l.ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == nil {
		l.fault = err
	}
}

// begin counts a request that runs, unless the lease has ended.
func (l *Lease) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return false
	}
	l.running.Add(1)
	return true
}

// handle serves one request of the child.
func (l *Lease) handle(w http.ResponseWriter, r *http.Request) {
	if !l.begin() {
		return
	}
	defer l.running.Done()
	if err := l.hops.ask(); err != nil {
		l.note(err)
		http.Error(w, "refused", status(fault.KindOf(err)))
		return
	}
	if r.Method == http.MethodConnect {
		l.tunnel(w, r)
		return
	}
	if r.URL.Scheme != "http" || r.URL.Host == "" || r.URL.User != nil {
		http.Error(w, "only http is relayed", http.StatusBadRequest)
		return
	}
	relay := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.Host = p.Out.URL.Host
			p.Out.Header.Del("Proxy-Authorization")
		},
		Transport: counted{l}, FlushInterval: -1, ErrorLog: l.server.ErrorLog,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			l.note(Explain(l.ctx, err))
			http.Error(w, "refused", status(fault.KindOf(Explain(l.ctx, err))))
		},
	}
	relay.ServeHTTP(w, r)
}

// status is what a child is told of a failure.
func status(k fault.Kind) int {
	switch k {
	case fault.Forbidden, fault.Invalid:
		return http.StatusForbidden
	case fault.Timeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusBadGateway
	}
}

// counted is the round tripper of plain requests: their bodies count towards the limit.
type counted struct{ lease *Lease }

// RoundTrip implements http.RoundTripper.
func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.lease.Exceeded() {
		return nil, TooLarge()
	}
	resp, err := c.lease.guard.client.relay.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := c.lease.hops.follow(resp); err != nil {
		_ = resp.Body.Close() // nobody reads it
		return nil, err
	}
	resp.Body = &countedBody{resp.Body, c.lease}
	return resp, nil
}

type countedBody struct {
	io.ReadCloser
	lease *Lease
}

func (b *countedBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.lease.guard.cfg.FirstByte, func() { _ = b.Close() })
	n, err := b.ReadCloser.Read(p)
	switch {
	case !timer.Stop() && err != nil:
		b.lease.note(errSilent())
	case err != nil && !errors.Is(err, io.EOF):
		b.lease.note(Explain(b.lease.ctx, err))
	}
	if over := b.lease.take(n); over != nil {
		return 0, over
	}
	return n, err
}

// take counts n bytes.
func (l *Lease) take(n int) error {
	if l.left.Add(-int64(n)) >= 0 {
		return nil
	}
	l.note(TooLarge())
	return TooLarge()
}
