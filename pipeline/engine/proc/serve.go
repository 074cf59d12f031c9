package proc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Handler runs one call in the child. It streams through emit, which blocks while the receiver is behind
// and fails once the call is over, and obeys ctx. meta and payload are its own; so is what it gives
// away.
type Handler func(ctx context.Context, meta json.RawMessage, payload []byte,
	emit func(meta any, payload []byte) error) (resultMeta any, resultPayload []byte, err error)

// Stdio returns the pipes to the parent, for Serve. From then on whatever a C library prints to stdout
// goes to stderr, where it cannot be taken for a frame. Call it first thing in the child.
func Stdio() (r io.ReadCloser, w io.WriteCloser, err error) {
	out, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, nil, fmt.Errorf("moving stdout away: %w", err)
	}
	if err := unix.Dup3(2, 1, 0); err != nil {
		return nil, nil, fmt.Errorf("pointing stdout to stderr: %w", err)
	}
	if err := unix.SetNonblock(0, true); err != nil { // so that Close ends a Read
		return nil, nil, fmt.Errorf("preparing stdin: %w", err)
	}
	return os.NewFile(0, "stdin"), os.NewFile(uintptr(out), "frames"), nil
}

// server is the child's side.
type server struct {
	handlers map[string]Handler
	write    sync.Mutex // frames do not mix
	w        io.Writer

	mu    sync.Mutex
	calls map[uint64]*served
	group sync.WaitGroup
}

// served is one call that runs.
type served struct {
	cancel context.CancelCauseFunc
	credit chan struct{} // one token for each emit that may be sent
}

// Serve answers calls until r ends, which is the parent's wish or its death, or ctx ends. It says hello
// first, which makes the worker ready: load what is slow to load before. Each call runs in its own
// goroutine; a handler's panic is an error of its call. Serve returns nil after a clean end of r; calls
// that still run are cancelled and waited for, but not for long.
func Serve(ctx context.Context, r io.ReadCloser, w io.Writer, handlers map[string]Handler) error {
	s := &server{handlers: handlers, w: w, calls: map[uint64]*served{}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer s.finish()
	defer cancel(fault.ErrStopped)
	unhook := context.AfterFunc(ctx, func() { _ = r.Close() })
	defer unhook()
	if err := s.send(frame{typ: frameHello}); err != nil {
		return err
	}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		f, err := readFrame(in)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("reading a frame: %w", err)
		}
		s.dispatch(ctx, f)
	}
}

// finish waits for the handlers, which were cancelled. One that is stuck in C must not keep the process
// alive.
func (s *server) finish() {
	done := make(chan struct{})
	go func() { s.group.Wait(); close(done) }()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

func (s *server) dispatch(ctx context.Context, f frame) {
	s.mu.Lock()
	c := s.calls[f.id]
	s.mu.Unlock()
	switch {
	case f.typ == frameCall && c == nil:
		s.begin(ctx, f)
	case f.typ == frameCancel && c != nil:
		c.cancel(context.Canceled)
	case f.typ == frameAck && c != nil:
		select {
		case c.credit <- struct{}{}:
		default:
		}
	}
}

func (s *server) begin(ctx context.Context, f frame) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &served{cancel: cancel, credit: make(chan struct{}, window)}
	for range window {
		c.credit <- struct{}{}
	}
	s.mu.Lock()
	s.calls[f.id] = c
	s.mu.Unlock()
	s.group.Go(func() {
		defer cancel(context.Canceled)
		end := s.run(ctx, f, c)
		s.mu.Lock()
		delete(s.calls, f.id)
		s.mu.Unlock()
		_ = s.send(end) // the parent is gone: the reader sees it too
	})
}

// run calls the handler and returns the frame that ends the call.
func (s *server) run(ctx context.Context, f frame, c *served) (end frame) {
	fail := func(err error) frame { return frame{typ: frameError, id: f.id, meta: encodeError(err)} }
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", v, debug.Stack())
			end = fail(fmt.Errorf("panic: %v", v))
		}
	}()
	var cm callMeta
	if err := json.Unmarshal(f.meta, &cm); err != nil {
		return fail(fmt.Errorf("reading a call: %w", err))
	}
	h := s.handlers[cm.Method]
	if h == nil {
		return fail(fmt.Errorf("no method %q", cm.Method))
	}
	meta, payload, err := h(ctx, cm.Meta, f.payload, func(meta any, payload []byte) error {
		return s.emit(ctx, f.id, c, meta, payload)
	})
	if err == nil {
		end, err = encode(frameResult, f.id, meta, payload)
	}
	if err != nil {
		return fail(err)
	}
	return end
}

func (s *server) emit(ctx context.Context, id uint64, c *served, meta any, payload []byte) error {
	f, err := encode(frameEmit, id, meta, payload)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-c.credit:
		return s.send(f)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func encode(typ frameType, id uint64, meta any, payload []byte) (frame, error) {
	f := frame{typ: typ, id: id, payload: payload}
	if meta != nil {
		var err error
		if f.meta, err = json.Marshal(meta); err != nil {
			return f, fmt.Errorf("encoding a result: %w", err)
		}
	}
	return f, f.check()
}

func (s *server) send(f frame) error {
	s.write.Lock()
	defer s.write.Unlock()
	return writeFrame(s.w, f)
}
