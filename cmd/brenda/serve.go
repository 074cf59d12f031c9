package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"brenda/rest"
)

type serveCmd struct{}

// Run serves until ctx ends, and then lets running answers finish.
func (*serveCmd) Run(ctx context.Context, env *environment) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", env.Listen)
	if err != nil {
		return fmt.Errorf("%w; another program uses the port? (brenda doctor)", err)
	}
	in, err := newInstance(ctx, env.config, env.log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	all := parts{LLM: true, STT: true, TTS: true}
	return in.serve(ctx, ln, all, func() { greet(env, in, ln.Addr()) })
}

// greet tells a person where to look, once it can serve.
func greet(env *environment, in *instance, addr net.Addr) {
	base := "http://" + addr.String()
	if env.TLS.Cert != "" {
		base = "https://" + addr.String()
	}
	token := ""
	if len(env.Tokens) > 0 {
		token = ` -H "Authorization: Bearer $TOKEN"`
	}
	fmt.Fprintf(env.out, `
Brenda is ready: %s
  state      %s/ready
  API        %s/docs
  try        curl -N%s %s/v1/ai/chaining/chat -d '{"text":"Quelle est la capitale de la France ?"}'
`, base, base, base, token, base)
	for _, note := range in.notes() {
		fmt.Fprintln(env.out, "  note       "+note)
	}
}

// serve answers on ln until ctx ends; then it stops accepting, lets turns finish, ends the engines, and returns. ready is
// called when all parts that are wanted can serve.
func (in *instance) serve(ctx context.Context, ln net.Listener, want parts, ready func()) error {
	srv := rest.NewServer(in.handler, in.log)
	srv.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	g, warming := errgroup.WithContext(ctx)
	g.Go(func() error { return in.listen(srv, ln) })
	g.Go(func() error {
		if err := in.warm(warming, want); err != nil {
			in.log.Error("not everything can serve", "error", err)
			return nil // the rest is served; /ready tells what is missing
		}
		ready()
		return nil
	})
	g.Go(func() error {
		<-warming.Done()
		return in.shutdown(context.WithoutCancel(ctx), srv)
	})
	err := g.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

func (in *instance) listen(srv *http.Server, ln net.Listener) error {
	if in.cfg.TLS.Cert != "" {
		return srv.ServeTLS(ln, in.cfg.TLS.Cert, in.cfg.TLS.Key)
	}
	return srv.Serve(ln)
}

// shutdown ends in the order in which things depend on each other: no new work, running turns, connections, engines.
func (in *instance) shutdown(ctx context.Context, srv *http.Server) error {
	in.log.Info("ending", "drain", in.cfg.Drain)
	in.draining.Store(true)
	drain, cancel := context.WithTimeout(ctx, in.cfg.Drain)
	defer cancel()
	in.calls.Close(drain)
	in.hub.Close(drain)
	rest, cancelRest := context.WithTimeout(ctx, 5*time.Second)
	defer cancelRest()
	err := srv.Shutdown(rest)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close() // a client that does not read its answer keeps nobody up
	}
	return errors.Join(err, in.close())
}

// connect returns a client of the server that runs here, or of one made for this command alone. done ends the latter.
func connect(ctx context.Context, env *environment, want parts) (c *client, done func(), err error) {
	if reachable(ctx, env.config) == nil {
		return newClient(env.config), func() {}, nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	cfg := *env.config
	cfg.Listen, cfg.Tokens, cfg.TLS = ln.Addr().String(), nil, tlsConfig{}
	in, err := newInstance(ctx, &cfg, quieter(env.log))
	if err != nil {
		return nil, nil, errors.Join(err, ln.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- in.serve(ctx, ln, want, func() { close(ready) }) }()
	done = func() {
		stop()
		if err := <-ended; err != nil {
			env.log.Warn("ending", "error", err)
		}
	}
	select {
	case <-ready:
		return newClient(&cfg), done, nil
	case <-in.stuck:
		done()
		return nil, nil, fmt.Errorf("%w; see: brenda doctor", in.stuckErr)
	case <-ctx.Done():
		done()
		return nil, nil, context.Cause(ctx)
	}
}

// quieter returns a log for a server that a command started for itself: warnings only, unless more was asked for.
func quieter(log *slog.Logger) *slog.Logger {
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return log
	}
	return slog.New(atLeast{log.Handler(), slog.LevelWarn})
}

// atLeast drops records below a level.
type atLeast struct {
	slog.Handler
	level slog.Level
}

// Enabled implements slog.Handler.
func (a atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= a.level && a.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (a atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{a.Handler.WithAttrs(attrs), a.level}
}

// WithGroup implements slog.Handler.
func (a atLeast) WithGroup(name string) slog.Handler {
	return atLeast{a.Handler.WithGroup(name), a.level}
}
