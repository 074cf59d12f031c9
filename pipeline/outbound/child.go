package outbound

import (
	"context"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// waitDelay is how long the pipes of a killed child are waited for.
const waitDelay = 2 * time.Second

// Command prepares a child that sees the network through the lease: [Command] with the proxy's address in env.
func (l *Lease) Command(ctx context.Context, env []string, path string, args ...string) *exec.Cmd {
	return Command(ctx, append(slices.Clone(env), l.Env()...), path, args...)
}

// Command prepares a child. Its environment is env, nothing of the server's; no shell is involved. It runs in a process
// group of its own, which is killed as a whole when ctx ends. It needs no care when the server is killed: it loses its
// pipes, and its proxy if it has one.
func Command(ctx context.Context, env []string, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = slices.Clone(env)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	return cmd
}

// Tail keeps the last bytes that a child wrote, for the log.
type Tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 4 << 10

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = slices.Delete(t.b, 0, over)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
