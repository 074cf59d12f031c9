// Package dockertest runs a real Docker daemon for tests: deploy/test-docker.sh in a folder of its own.
package dockertest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Images that the daemon has. Both hold busybox; only the first one's name says that it is Brenda's.
const (
	Brenda = "brenda-busybox:1"
	Plain  = "plain-busybox:1"
)

// Daemon is a running daemon.
type Daemon struct {
	Host string // for DOCKER_HOST

	t      testing.TB
	script string
	dir    string
	cmd    *exec.Cmd
	done   chan struct{}
}

// Start starts a daemon with both images, and ends it with the test.
func Start(tb testing.TB) *Daemon {
	tb.Helper()
	_, self, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(self), "../../../../deploy/test-docker.sh")
	dir, err := os.MkdirTemp("", "bd") //nolint:usetesting // a socket's path must be short
	if err != nil {
		tb.Fatal(err)
	}
	d := &Daemon{Host: "unix://" + filepath.Join(dir, "sock"), t: tb, script: script, dir: dir}
	tb.Cleanup(func() {
		if out, err := d.run("clean"); err != nil {
			tb.Errorf("ending dockerd: %v\n%s", err, out)
		}
		if d.done != nil {
			<-d.done
		}
	})
	d.Serve()
	if out, err := d.run("image"); err != nil {
		tb.Fatalf("starting dockerd: %v\n%s\n%s", err, out, d.Log())
	}
	return d
}

// run calls the script.
func (d *Daemon) run(verb string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) //nolint:forbidigo // runs in clean-ups, too
	defer cancel()
	out, err := exec.CommandContext(ctx, d.script, verb, d.dir).CombinedOutput()
	return string(out), err
}

// Serve starts the daemon again after [Daemon.Kill]. It does not wait until it answers.
func (d *Daemon) Serve() {
	d.t.Helper()
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.done = make(chan struct{})
	d.cmd = exec.Command(d.script, "serve", d.dir) //nolint:noctx // ended by clean, or with this process
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait()
	}(d.cmd, d.done)
}

// Log returns what the daemon wrote.
func (d *Daemon) Log() string {
	b, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(b)
}

// Kill ends the daemon as a crash would. Its containers go on.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// Docker runs Docker's own command and returns what it writes.
func (d *Daemon) Docker(args ...string) string {
	d.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(d.t.Context(), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Host)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return strings.TrimSpace(out.String())
}

// Sh starts a container of an image that runs a line of shell, without a network. It returns its id.
func (d *Daemon) Sh(name, image, line string, options ...string) string {
	d.t.Helper()
	args := append([]string{"run", "-d", "--name", name, "--network", "none"}, options...)
	return d.Docker(append(args, image, "sh", "-c", line)...)
}
