package proc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// conn is the parent's connection to one run of a worker's child.
type conn struct {
	cfg   WorkerConfig
	child *child
	out   outbox
	hello chan struct{} // closed at the child's hello
	dead  chan struct{} // closed when no more frames come
	group sync.WaitGroup

	mu    sync.Mutex
	calls map[uint64]*call
	last  uint64 // the id given last
	fail  error  // why the connection ended
}

// call is one call in flight.
type call struct {
	conn *conn
	id   uint64
	in   chan frame // emits and the end; holds all that a child which keeps to the window can send
}

func newConn(c *child, cfg WorkerConfig) *conn {
	cn := &conn{
		cfg: cfg, child: c, hello: make(chan struct{}), dead: make(chan struct{}), calls: map[uint64]*call{},
		out: newOutbox(),
	}
	cn.group.Go(func() { cn.out.run(c.stdin) })
	cn.group.Go(cn.read)
	return cn
}

// detach ends the connection to a child that is gone.
func (cn *conn) detach(reason string) {
	cn.setErr(restarted(cn.cfg.Name, reason))
	cn.out.close()
	_ = cn.child.stdout.SetReadDeadline(time.Now().Add(drainLimit))
	cn.group.Wait()
}

func (cn *conn) setErr(err error) {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.fail == nil {
		cn.fail = err
	}
}

// err returns why the connection ended.
func (cn *conn) err() error {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.fail == nil {
		return restarted(cn.cfg.Name, "it closed its output")
	}
	return cn.fail
}

// read hands out the child's frames until its end. A child that breaks the protocol is killed.
func (cn *conn) read() {
	defer func() {
		cn.mu.Lock()
		cn.calls = nil
		cn.mu.Unlock()
		close(cn.dead)
	}()
	r := bufio.NewReaderSize(cn.child.stdout, 64<<10)
	for {
		f, err := readFrame(r)
		if err == nil {
			err = cn.dispatch(f)
		}
		if err != nil {
			cn.endChild(err)
			return
		}
	}
}

// endChild sees to it that a child whose frames ended ends too, with the true reason.
func (cn *conn) endChild(err error) {
	if errors.Is(err, errFrame) {
		cn.child.kill("it broke the protocol: "+err.Error(), false)
		return
	}
	t := time.NewTimer(drainLimit) // most often it died, and its exit says more
	defer t.Stop()
	select {
	case <-cn.child.done:
	case <-t.C:
		cn.child.kill("it closed its output", false)
	}
}

func (cn *conn) dispatch(f frame) error {
	switch f.typ {
	case frameHello:
		select {
		case <-cn.hello:
			return fmt.Errorf("%w: a second hello", errFrame)
		default:
			close(cn.hello)
		}
		return nil
	case frameEmit, frameResult, frameError:
	default:
		return fmt.Errorf("%w: type %d is not for a child to send", errFrame, f.typ)
	}
	cn.mu.Lock()
	c := cn.calls[f.id]
	if f.typ != frameEmit {
		delete(cn.calls, f.id)
	}
	cn.mu.Unlock()
	if c == nil {
		return nil // the late words of a cancelled call
	}
	select {
	case c.in <- f:
		return nil
	default:
		return fmt.Errorf("%w: more pieces than the window allows", errFrame)
	}
}

// begin sends a call. It reports false when the child is gone.
func (cn *conn) begin(f frame) (*call, bool) {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.calls == nil {
		return nil, false
	}
	cn.last++
	c := &call{conn: cn, id: cn.last, in: make(chan frame, window+1)}
	cn.calls[c.id] = c
	f.id = c.id
	cn.out.push(f)
	return c, true
}

// wait sees the call to its end.
func (c *call) wait(ctx context.Context, emit func(json.RawMessage, []byte) error,
) (json.RawMessage, []byte, error) {
	for {
		f, err := c.next(ctx)
		if err != nil {
			return nil, nil, err
		}
		switch f.typ {
		case frameResult:
			return f.meta, f.payload, nil
		case frameError:
			return nil, nil, decodeError(f.meta)
		default: // dispatch lets nothing else through but emits
		}
		if emit != nil {
			if err := emit(f.meta, f.payload); err != nil {
				c.cancel()
				return nil, nil, err
			}
		}
		c.conn.out.push(frame{typ: frameAck, id: c.id})
	}
}

// next returns the call's next frame, or why there is none; then the call is over.
func (c *call) next(ctx context.Context) (frame, error) {
	if ctx.Err() == nil {
		select {
		case f := <-c.in:
			return f, nil
		case <-ctx.Done():
		case <-c.conn.dead:
			select {
			case f := <-c.in: // it came before the end
				return f, nil
			default:
				return frame{}, c.conn.whyDead(ctx)
			}
		}
	}
	c.cancel()
	return frame{}, context.Cause(ctx)
}

// whyDead waits, for a moment, until it is known how the child ended.
func (cn *conn) whyDead(ctx context.Context) error {
	t := time.NewTimer(drainLimit)
	defer t.Stop()
	select {
	case <-cn.child.done:
		return restarted(cn.cfg.Name, cn.child.describe())
	case <-t.C:
	case <-ctx.Done():
	}
	return cn.err()
}

// cancel tells the child to stop the call and waits until it did, for CancelGrace at most.
func (c *call) cancel() {
	if c.conn.out.withdraw(c.id) {
		c.forget()
		return // the child never heard of it
	}
	c.conn.out.push(frame{typ: frameCancel, id: c.id})
	t := time.NewTimer(c.conn.cfg.CancelGrace)
	defer t.Stop()
	for {
		select {
		case f := <-c.in:
			if f.typ != frameEmit {
				return
			}
		case <-c.conn.dead:
			return
		case <-t.C:
			c.forget()
			if c.conn.cfg.KillOnStuck {
				c.conn.child.kill("it did not stop when asked", true)
			}
			return
		}
	}
}

// forget makes the call's later frames be dropped.
func (c *call) forget() {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	delete(c.conn.calls, c.id)
}
