package proc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"brenda/pipeline/fault"
)

// WorkerConfig describes a worker: this binary, started once more to be an engine.
type WorkerConfig struct {
	Name string
	Exec []string // program and arguments; an empty or missing program means this binary
	Env  []string // "KEY=value", added to the server's environment

	CancelGrace time.Duration // how long Call waits for a cancelled call to end; default 300 ms
	KillOnStuck bool          // a child that has not ended a cancelled call by then is killed and started again

	ReadyTimeout time.Duration // from the start to the child's Serve; default 2 min
	StopGrace    time.Duration // between TERM and KILL when closing; default 2 s
	Policy       Policy
	Log          *slog.Logger
}

// Worker is a supervised child that answers calls. All methods may be called from any goroutine.
type Worker struct {
	cfg  WorkerConfig
	proc *Process
	conn atomic.Pointer[conn] // to the present child; nil before the first
}

// StartWorker starts a worker that lives until ctx ends or Close is called. It returns at once.
func StartWorker(ctx context.Context, cfg WorkerConfig) *Worker {
	if cfg.CancelGrace <= 0 {
		cfg.CancelGrace = 300 * time.Millisecond
	}
	if cfg.StopGrace <= 0 {
		cfg.StopGrace = 2 * time.Second
	}
	w := &Worker{cfg: cfg}
	w.proc = Start(ctx, Config{
		Name: cfg.Name, Command: w.command, ReadyTimeout: cfg.ReadyTimeout, Grace: cfg.StopGrace,
		Policy: cfg.Policy, Log: cfg.Log, attach: w.attach,
	})
	return w
}

func (w *Worker) command() (Command, error) {
	cmd := Command{Env: w.cfg.Env}
	if len(w.cfg.Exec) > 0 {
		cmd.Path, cmd.Args = w.cfg.Exec[0], w.cfg.Exec[1:]
	}
	if cmd.Path != "" {
		return cmd, nil
	}
	self, err := os.Executable()
	if err != nil {
		return cmd, fmt.Errorf("finding this binary: %w", err)
	}
	cmd.Path = self
	return cmd, nil
}

// attach makes the connection to a child that was just started.
func (w *Worker) attach(c *child) (func(context.Context) error, func(string)) {
	cn := newConn(c, w.cfg)
	w.conn.Store(cn)
	ready := func(ctx context.Context) error {
		select {
		case <-cn.hello:
			return nil
		case <-cn.dead:
			return cn.err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return ready, cn.detach
}

// Wait is [Process.Wait].
func (w *Worker) Wait(ctx context.Context) error { return w.proc.Wait(ctx) }

// State returns what the child is doing now.
func (w *Worker) State() State { return w.proc.State() }

// Output returns the end of what the child wrote to stderr.
func (w *Worker) Output() string { return w.proc.Output() }

// Restart is [Process.Restart]. Calls in flight fail with a fault.Unavailable that is worth trying
// again.
func (w *Worker) Restart(reason string) { w.proc.Restart(reason) }

// Close ends the child and waits until it is gone. Calls in flight fail. It may be called twice.
func (w *Worker) Close() error { return w.proc.Close() }

// Call asks the child to run a method and returns its result. It waits until the child is ready. Each
// piece that the method streams is given to emit, in order, from this goroutine; a slow emit holds the
// child back, a failing one cancels the call and is what Call returns. A nil emit drops the pieces.
// payload is the worker's to keep; what emit and the caller get is theirs.
//
// When ctx ends the child is told; Call returns the context's cause once the child has stopped, after
// CancelGrace at the latest. An error of the method arrives as a [fault.Error] with the same kind, code,
// message and field. A child that dies meanwhile is fault.Unavailable with code "engine_restarted":
// trying again is worth it.
func (w *Worker) Call(ctx context.Context, method string, meta any, payload []byte,
	emit func(meta json.RawMessage, payload []byte) error,
) (json.RawMessage, []byte, error) {
	f, err := callFrame(method, meta, payload)
	if err != nil {
		return nil, nil, err
	}
	for run := 0; ; {
		run, err = w.proc.waitPast(ctx, run)
		if err != nil {
			return nil, nil, err
		}
		c, ok := w.conn.Load().begin(f) // past the first readiness there is a connection
		if !ok {
			continue // it died after it became ready: wait for the next one
		}
		return c.wait(ctx, emit)
	}
}

// Ask is Call for a method that streams nothing. When the child dies under it, which the end of another call may cause, it
// asks once more.
func (w *Worker) Ask(ctx context.Context, method string, meta any, payload []byte) (json.RawMessage, []byte, error) {
	result, out, err := w.Call(ctx, method, meta, payload, nil)
	if f := fault.As(err); f != nil && f.Code == codeRestarted && ctx.Err() == nil {
		return w.Call(ctx, method, meta, payload, nil)
	}
	return result, out, err
}

func callFrame(method string, meta any, payload []byte) (frame, error) {
	cm := callMeta{Method: method}
	var err error
	if meta != nil {
		if cm.Meta, err = json.Marshal(meta); err != nil {
			return frame{}, fmt.Errorf("encoding a call of %s: %w", method, err)
		}
	}
	f := frame{typ: frameCall, payload: payload}
	if f.meta, err = json.Marshal(cm); err != nil {
		return frame{}, fmt.Errorf("encoding a call of %s: %w", method, err)
	}
	return f, f.check()
}

// codeRestarted is the code of a call whose child died.
const codeRestarted = "engine_restarted"

// restarted is the error of a call whose child died.
func restarted(name, reason string) error {
	e := fault.New(fault.Unavailable, codeRestarted, "the engine %s stopped in the middle (%s); try again",
		name, reason)
	e.RetryAfter = time.Second
	return e
}
