package apertium

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	maxAnswer   = 1 << 20                // bytes of one translated sentence
	cancelGrace = 300 * time.Millisecond // for the answer to a question that nobody waits for any more
	complaints  = 2 << 10                // bytes kept of what the programs complain about
)

var (
	errHung  = errors.New("no answer in time")
	errMixed = errors.New("an answer that is not whole")
)

// chain is the running programs of a mode, joined by pipes. It answers one question at a time.
type chain struct {
	in   *os.File
	out  *os.File
	r    *bufio.Reader
	cmds []*exec.Cmd
	done chan struct{} // closed when all programs are gone
	says tail
}

// launch starts the programs. They do not depend on ctx.
func launch(ctx context.Context, stages []stage) (*chain, error) {
	c := &chain{done: make(chan struct{})}
	ctx = context.WithoutCancel(ctx)
	for _, s := range stages {
		cmd := exec.CommandContext(ctx, s.path, s.args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		c.cmds = append(c.cmds, cmd)
	}
	theirs, complaint, err := c.connect()
	if err != nil {
		closeAll(append(theirs, c.in, c.out, complaint)...)
		return nil, fmt.Errorf("making pipes: %w", err)
	}
	c.r = bufio.NewReader(c.out)
	started := make(chan error)
	go c.run(started, theirs, complaint)
	if err := <-started; err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// connect joins the programs by pipes. theirs are the ends that the programs hold, complaint is where their stderr
// comes out.
func (c *chain) connect() (theirs []*os.File, complaint *os.File, err error) {
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	complaint, stderr := pipe()
	next, in := pipe()
	c.in = in
	theirs = append(theirs, stderr, next)
	for i, cmd := range c.cmds {
		cmd.Stdin, cmd.Stderr = next, stderr
		r, w := pipe()
		cmd.Stdout, next = w, r
		theirs = append(theirs, w)
		if i < len(c.cmds)-1 {
			theirs = append(theirs, r)
		}
	}
	c.out = next
	return theirs, complaint, err
}

// run starts the programs and waits for their end. The kernel sends Pdeathsig when the thread that forked ends, so
// this goroutine keeps its thread for as long as they live.
func (c *chain) run(started chan<- error, theirs []*os.File, complaint *os.File) {
	defer close(c.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	running := 0
	for _, cmd := range c.cmds {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if running > 0 {
			cmd.SysProcAttr.Pgid = c.cmds[0].Process.Pid // not reaped yet, so it is still the group's number
		}
		if err = cmd.Start(); err != nil {
			err = fmt.Errorf("starting %s: %w", cmd.Path, err)
			break
		}
		running++
	}
	closeAll(theirs...)
	started <- err
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(&c.says, complaint) // ends when the last program does
	}()
	for _, cmd := range c.cmds[:running] {
		_ = cmd.Wait()
	}
	<-heard
	_ = complaint.Close()
}

// ask has one piece of the stream translated, which ends in lastGap as no answer does any more. After an error the chain
// must be killed.
func (c *chain) ask(ctx context.Context, text string, limit time.Duration) (string, error) {
	until := func(at time.Time) { _, _ = c.in.SetDeadline(at), c.out.SetDeadline(at) }
	until(time.Now().Add(limit))
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		until(time.Now().Add(min(limit, cancelGrace)))
	})
	defer func() {
		if !stop() {
			<-cut
		}
	}()
	answer, err := c.exchange(text)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", errHung
	}
	return "", fmt.Errorf("%w (%s)", err, c.says.String())
}

func (c *chain) exchange(text string) (string, error) {
	if _, err := io.WriteString(c.in, text+"\x00"); err != nil {
		return "", err
	}
	var answer []byte
	for {
		part, err := c.r.ReadSlice(0)
		answer = append(answer, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(answer) < maxAnswer:
			continue
		case err != nil:
			return "", err
		}
		text, ok := bytes.CutSuffix(answer[:len(answer)-1], []byte(lastGap))
		if !ok || c.r.Buffered() > 0 {
			return "", errMixed // when a program dies, those behind it end what they have with a NUL
		}
		return string(text), nil
	}
}

// kill ends all programs and waits until they are gone. It may be called twice.
func (c *chain) kill() {
	for _, cmd := range c.cmds {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
	}
	closeAll(c.in, c.out)
	<-c.done
}

// alive tells whether no program has ended, as far as one can tell without asking.
func (c *chain) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - complaints; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
