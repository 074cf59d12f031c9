package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	oomScore   = 500                    // the kernel takes an engine before it takes the server
	drainLimit = 500 * time.Millisecond // for the last words of a child that is gone
	killLimit  = 5 * time.Second        // a process stuck in the kernel is left behind after that
)

// child is one run of a command, in its own process group.
type child struct {
	cmd    *exec.Cmd
	nice   int
	stdin  *os.File      // our end; the child ends when it closes
	stdout *os.File      // our end, nil when stdout goes where stderr goes
	stderr *os.File      // our end
	done   chan struct{} // closed when the child is reaped
	err    error         // how it ended; valid after done

	mu     sync.Mutex
	gone   bool   // the process must not be signalled any more: its number may belong to another
	reason string // why we killed it, if we did
	wanted bool   // we killed it to have a fresh one; that is no crash
}

// spawn starts the command. frames keeps stdout apart from stderr, for a worker's protocol.
func spawn(cmd *exec.Cmd, nice int, frames bool) (*child, error) {
	c := &child{cmd: cmd, nice: nice, done: make(chan struct{})}
	theirs, err := c.pipes(frames)
	defer closeAll(theirs...)
	if err != nil {
		closeAll(c.stdin, c.stdout, c.stderr)
		return nil, fmt.Errorf("making pipes: %w", err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go c.run(started)
	if err := <-started; err != nil {
		closeAll(c.stdin, c.stdout, c.stderr)
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return c, nil
}

// pipes connects the command and returns the ends that are the child's.
func (c *child) pipes(frames bool) (theirs []*os.File, err error) {
	in, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.stdin, c.cmd.Stdin = ours, in
	theirs = append(theirs, in)
	ours, out, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	c.stderr, c.cmd.Stderr, c.cmd.Stdout = ours, out, out
	theirs = append(theirs, out)
	if !frames {
		return theirs, nil
	}
	ours, out, err = os.Pipe()
	if err != nil {
		return theirs, err
	}
	c.stdout, c.cmd.Stdout = ours, out
	return append(theirs, out), nil
}

// run starts the child and waits for its end. The kernel sends Pdeathsig when the *thread* that forked
// ends, not the process, so this goroutine keeps its thread for as long as the child lives.
func (c *child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	pid := c.cmd.Process.Pid
	// Best effort: without the right to, the child keeps our score.
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(strconv.Itoa(oomScore)), 0o644)
	if c.nice > 0 {
		// Its threads are still to come, and inherit it.
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, min(ownNice()+c.nice, 19))
	}

	// Look without reaping: as long as the leader is a zombie its group's number cannot be given away, so
	// what it started can be killed safely.
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.mu.Lock()
	_ = unix.Kill(-pid, unix.SIGKILL)
	c.gone = true
	c.mu.Unlock()
	c.err = c.cmd.Wait()
	close(c.done)
}

// signal sends sig to the whole group, unless it has ended.
func (c *child) signal(sig unix.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		_ = unix.Kill(-c.cmd.Process.Pid, sig)
	}
}

// kill ends the group at once and keeps the reason. wanted tells a restart that somebody wishes from a
// fault of the child's, which counts as a crash.
func (c *child) kill(reason string, wanted bool) {
	c.mu.Lock()
	if c.reason == "" && !c.gone {
		c.reason, c.wanted = reason, wanted
	}
	c.mu.Unlock()
	c.signal(unix.SIGKILL)
}

// killedFor returns why we killed the child ourselves, or "", and whether it was to have a fresh one.
func (c *child) killedFor() (reason string, wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason, c.wanted
}

// stop asks the group to end, waits for grace, then kills it. It reports whether the child is gone.
func (c *child) stop(ctx context.Context, grace time.Duration) bool {
	c.signal(unix.SIGTERM)
	_ = c.stdin.Close()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	c.signal(unix.SIGKILL)
	timer.Reset(killLimit)
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}

// describe says in a few words how the child ended, without any path.
func (c *child) describe() string {
	if r, _ := c.killedFor(); r != "" {
		return r
	}
	var exit *exec.ExitError
	switch {
	case c.err == nil:
		return "it ended by itself"
	case !errors.As(c.err, &exit):
		return "it ended in an unknown way"
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	const outOfMemory = " (probably out of memory: try a smaller model)"
	switch {
	case ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL:
		return "it was killed" + outOfMemory
	case ok && ws.Signaled():
		return "it died of " + unix.SignalName(ws.Signal())
	case exit.ExitCode() == 137: // a shell's or container's way to say SIGKILL
		return "exit status 137" + outOfMemory
	}
	return "exit status " + strconv.Itoa(exit.ExitCode())
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// ownNice returns the niceness of this process.
func ownNice() int {
	const zero = 20 // the system call counts down from here, so that what it returns is positive
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return zero - n
}
