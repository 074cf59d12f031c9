// Package proc runs engines that may crash, hang or eat memory in child processes, so that the server
// survives them.
//
// [Process] supervises any command: its own process group, ended with the server even by kill -9,
// restarted with a growing pause, given up for a while when it crashes again and again. [Worker] is a
// Process that runs this same binary and speaks a framed protocol over stdin and stdout ([Serve] is the
// child's side): many calls at once, streamed results, prompt cancellation. Linux only.
package proc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"brenda/pipeline/fault"
)

// Command is what to start: a program, its arguments and what to add to the environment.
type Command struct {
	Path string
	Args []string // without the program's own name
	Env  []string // "KEY=value", added to the server's environment and stronger than it
	Dir  string   // working directory; empty means the server's
}

// Config describes a supervised child.
type Config struct {
	Name string // for messages and the log, e.g. "llama-server"

	// Command is asked for before each start, so that a start may take another port or key.
	Command func() (Command, error)

	// Ready is polled until it returns nil; nil means ready once started. Its context ends with the child.
	Ready         func(ctx context.Context) error
	ReadyInterval time.Duration // default 50 ms
	ReadyTimeout  time.Duration // not ready by then counts as a crash; default 2 min

	Nice   int           // added to our own niceness, 0…19: a child that others of ours go before
	Grace  time.Duration // between TERM and KILL; default 5 s
	Policy Policy
	Log    *slog.Logger // default: none

	// attach connects a worker to the child that was just started and returns what to do when it is gone.
	attach func(c *child) (ready func(context.Context) error, detach func(reason string))
}

// Phase is what a child is doing.
type Phase string

// The phases.
const (
	Starting Phase = "starting" // coming up, or waiting for its next start after a crash
	Ready    Phase = "ready"
	Failed   Phase = "failed" // crashed too often; tried again after a while
	Stopped  Phase = "stopped"
)

// State is a snapshot of a supervised child.
type State struct {
	Phase    Phase     `json:"phase"`
	PID      int       `json:"pid,omitempty"`      // 0 when nothing runs
	Restarts int       `json:"restarts,omitempty"` // starts beyond the first
	Reason   string    `json:"reason,omitempty"`   // how it last ended; holds no path
	Since    time.Time `json:"since"`              // of this phase
	RetryAt  time.Time `json:"retry_at,omitzero"`  // when it is started again, after a crash
}

// Process supervises one child. All methods may be called from any goroutine.
type Process struct {
	cfg    Config
	log    *slog.Logger
	out    *ring
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	state   State
	starts  int           // also names the current run
	detail  string        // the last line the child wrote before its end: for the log only
	current *child        // nil between two runs
	changed chan struct{} // closed and replaced at each change of state
}

// Start begins to supervise a child until ctx ends or Close is called. It returns at once; Wait waits
// for readiness.
func Start(ctx context.Context, cfg Config) *Process {
	cfg.Policy = cfg.Policy.withDefaults()
	if cfg.ReadyInterval <= 0 {
		cfg.ReadyInterval = 50 * time.Millisecond
	}
	if cfg.ReadyTimeout <= 0 {
		cfg.ReadyTimeout = 2 * time.Minute
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &Process{
		cfg: cfg, log: cfg.Log.With("child", cfg.Name), out: newRing(ringBytes), cancel: cancel,
		done: make(chan struct{}), changed: make(chan struct{}),
		state: State{Phase: Starting, Since: time.Now()},
	}
	go p.supervise(ctx)
	return p
}

// Close ends the child (TERM, a grace, KILL, always the whole group) and waits until it is gone. It may
// be called twice.
func (p *Process) Close() error {
	p.cancel()
	<-p.done
	return nil
}

// State returns what the child is doing now.
func (p *Process) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Output returns the end of what the child wrote to stdout and stderr, at most 64 KB.
func (p *Process) Output() string { return p.out.String() }

// Restart kills the child at once and starts another without a pause; the reason shows in State and the
// log. It does not count as a crash. Use it for a child that lives but answers no more.
func (p *Process) Restart(reason string) {
	p.mu.Lock()
	c := p.current
	p.mu.Unlock()
	if c != nil {
		c.kill(reason, true)
	}
}

// Wait returns nil as soon as the child is ready. While the breaker is open or after Close it returns
// fault.Unavailable at once; it returns the context's cause when that comes first.
func (p *Process) Wait(ctx context.Context) error {
	_, err := p.waitPast(ctx, 0)
	return err
}

// waitPast is Wait for a run later than the given one; it returns the run's number.
func (p *Process) waitPast(ctx context.Context, run int) (int, error) {
	for {
		p.mu.Lock()
		s, starts, changed := p.state, p.starts, p.changed
		p.mu.Unlock()
		switch {
		case s.Phase == Ready && starts > run:
			return starts, nil
		case s.Phase == Failed || s.Phase == Stopped:
			return 0, p.unavailable(s)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// unavailable is the error for calls that cannot be served in state s.
func (p *Process) unavailable(s State) error {
	p.mu.Lock()
	detail := p.detail
	p.mu.Unlock()
	if s.Phase == Stopped {
		return fault.New(fault.Unavailable, "engine_stopped", "the engine %s is stopped", p.cfg.Name)
	}
	e := fault.New(fault.Unavailable, "engine_failed",
		"the engine %s keeps failing (%s); it is tried again shortly", p.cfg.Name, s.Reason)
	e.RetryAfter = max(time.Until(s.RetryAt), time.Second)
	if detail != "" {
		e.Err = errors.New(detail)
	}
	return e
}

// set changes the state and wakes those who wait for it.
func (p *Process) set(change func(s *State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.state.Phase
	change(&p.state)
	if p.state.Phase != before {
		p.state.Since = time.Now()
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// supervise runs the child again and again until ctx ends.
func (p *Process) supervise(ctx context.Context) {
	defer close(p.done)
	defer p.cancel()
	defer p.set(func(s *State) { s.Phase, s.PID, s.RetryAt = Stopped, 0, time.Time{} })
	brk := &breaker{policy: p.cfg.Policy}
	for ctx.Err() == nil {
		reason, up, wanted := p.runOnce(ctx, brk)
		if ctx.Err() != nil {
			return
		}
		if wanted {
			p.log.WarnContext(ctx, "restarting child", "reason", reason)
			p.set(func(s *State) { s.Phase, s.PID, s.Reason = Starting, 0, reason })
			continue
		}
		pause, open := brk.crashed(time.Now(), up)
		detail := p.out.lastLine()
		p.log.ErrorContext(ctx, "child ended", "reason", reason, "last_output", detail, "uptime", up,
			"retry_in", pause, "gave_up", open)
		p.mu.Lock()
		p.detail = detail
		p.mu.Unlock()
		p.set(func(s *State) {
			s.Phase, s.PID, s.Reason, s.RetryAt = Starting, 0, reason, time.Now().Add(pause)
			if open {
				s.Phase = Failed
			}
		})
		sleep(ctx, pause)
	}
}

// runOnce starts the child, sees it become ready and waits for its end. It returns how it ended, how
// long it was ready, and whether it was killed by wish after it had been ready.
func (p *Process) runOnce(ctx context.Context, brk *breaker) (reason string, up time.Duration, wanted bool) {
	c, err := p.spawn()
	if err != nil {
		p.out.Write([]byte("\n" + err.Error() + "\n")) //nolint:errcheck // a ring takes everything
		return "it could not be started", 0, false
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		drain(ctx, c.stderr, p.out, p.log)
	}()
	ready, detach := p.cfg.Ready, func(string) {}
	if p.cfg.attach != nil {
		ready, detach = p.cfg.attach(c)
	}
	p.began(c)
	since, err := p.live(ctx, brk, c, ready)
	reason = c.describe()
	if err != nil {
		reason = err.Error()
	}
	p.mu.Lock()
	p.current = nil
	p.mu.Unlock()
	_ = c.stdin.Close()
	_ = c.stderr.SetReadDeadline(time.Now().Add(drainLimit))
	<-drained
	detach(reason)
	closeAll(c.stderr, c.stdout)
	if since.IsZero() {
		return reason, 0, false
	}
	_, wanted = c.killedFor()
	return reason, time.Since(since), wanted
}

func (p *Process) spawn() (*child, error) {
	what, err := p.cfg.Command()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(what.Path, what.Args...) //nolint:noctx // ended by group, with a grace: see child.stop
	cmd.Dir = what.Dir
	cmd.Env = append(os.Environ(), what.Env...)
	return spawn(cmd, p.cfg.Nice, p.cfg.attach != nil)
}

// began records a new run. While the breaker is half open the phase stays Failed, so that calls do not
// pile up.
func (p *Process) began(c *child) {
	p.mu.Lock()
	p.starts++
	p.current = c
	p.mu.Unlock()
	p.set(func(s *State) {
		s.PID, s.RetryAt, s.Restarts = c.cmd.Process.Pid, time.Time{}, p.starts-1
	})
}

// live waits for the child to become ready and then to end; when ctx ends it stops the child. It returns
// since when it was ready, and an error when it never was.
func (p *Process) live(ctx context.Context, brk *breaker, c *child, ready func(context.Context) error,
) (since time.Time, err error) {
	began := time.Now()
	if err := p.awaitReady(ctx, c, ready); err != nil {
		if !c.stop(ctx, p.cfg.Grace) {
			p.log.ErrorContext(ctx, "child does not end", "pid", c.cmd.Process.Pid)
		}
		return time.Time{}, err
	}
	select {
	case <-c.done: // ended while it became ready
	default:
		brk.recovered()
		since = time.Now()
		p.log.InfoContext(ctx, "child ready", "pid", c.cmd.Process.Pid, "after", since.Sub(began))
		p.set(func(s *State) { s.Phase = Ready })
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if !c.stop(context.WithoutCancel(ctx), p.cfg.Grace) {
			p.log.ErrorContext(ctx, "child does not end", "pid", c.cmd.Process.Pid)
		}
	}
	return since, nil
}

// awaitReady polls until the child is ready. An end of the child is no error here: it is seen by the
// caller.
func (p *Process) awaitReady(ctx context.Context, c *child, ready func(context.Context) error) error {
	if ready == nil {
		return nil
	}
	rctx, cancel := context.WithTimeout(ctx, p.cfg.ReadyTimeout)
	defer cancel()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-c.done:
			cancel()
		case <-rctx.Done():
		}
	}()
	defer func() { cancel(); <-watching }()
	var last error
	for {
		err := ready(rctx)
		switch {
		case err == nil:
			return nil
		case rctx.Err() == nil:
			last = err
			sleep(rctx, p.cfg.ReadyInterval)
			continue
		}
		select {
		case <-c.done:
			return nil
		default:
		}
		if last != nil {
			p.out.Write([]byte("\nnot ready: " + last.Error() + "\n")) //nolint:errcheck // a ring takes everything
		}
		return fmt.Errorf("it was not ready within %v", p.cfg.ReadyTimeout)
	}
}

// sleep pauses for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
