package sdserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"time"

	"brenda/pipeline/engine/imagepeer"
	"brenda/pipeline/engine/proc"
)

// HostConfig says how to run an sd-server.
type HostConfig struct {
	Path string   // the program
	Args []string // what loads a model: "-m", FILE; more is allowed
	Log  *slog.Logger
}

// readyTimeout is the longest that a model may take to load: gigabytes from a slow disk.
const readyTimeout = 10 * time.Minute

// Start runs an sd-server on a free port of this machine until the process returned is closed. It returns at once; Paint
// waits until the model is loaded.
func Start(ctx context.Context, cfg HostConfig) (*Engine, *proc.Process, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("sd-server: %w", err)
	}
	e, err := New(imagepeer.Config{URL: "http://127.0.0.1:" + port})
	if err != nil {
		return nil, nil, err
	}
	args := append(append([]string{}, cfg.Args...), "--listen-ip", "127.0.0.1", "--listen-port", port)
	host := proc.Start(ctx, proc.Config{
		Name:    "sd-server",
		Command: func() (proc.Command, error) { return proc.Command{Path: cfg.Path, Args: args}, nil },
		Ready: func(ctx context.Context) error {
			return e.peer.Get(ctx, "/sdcpp/v1/capabilities", &capabilities{})
		},
		ReadyInterval: 200 * time.Millisecond, ReadyTimeout: readyTimeout, Nice: 5, Grace: time.Second, Log: cfg.Log,
	})
	e.host = host
	return e, host, nil
}

func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// The old server is gone in a moment: it is killed. endMost is for a process stuck in the kernel.
const (
	endEvery = 5 * time.Millisecond
	endMost  = 5 * time.Second
)

// abandon frees a server of ours from all its jobs by starting it again. It returns when the old one is gone, so that
// the next job waits for the new one.
func (e *Engine) abandon() {
	if e.host == nil {
		return
	}
	before := e.host.State()
	if before.Phase != proc.Ready {
		return // a new one is coming
	}
	e.host.Restart("a picture was cancelled")
	look := time.NewTicker(endEvery)
	defer look.Stop()
	most := time.NewTimer(endMost)
	defer most.Stop()
	for {
		if now := e.host.State(); now.Phase != proc.Ready || now.Restarts != before.Restarts {
			return
		}
		select {
		case <-look.C:
		case <-most.C:
			return
		}
	}
}

// printed is how sd-server shows a step: "|====>   | 3/20 - 1.21s/it". Loading shows B/s instead.
var printed = regexp.MustCompile(`(\d{1,4})/(\d{1,4}) - [0-9.]+ ?(?:s/it|it/s)`)

// lastStep returns the last step in an output, as it was printed and as numbers.
func lastStep(output string) (text string, step, steps int) {
	all := printed.FindAllStringSubmatch(output, -1)
	if len(all) == 0 {
		return "", 0, 0
	}
	last := all[len(all)-1]
	step, _ = strconv.Atoi(last[1]) // digits
	steps, _ = strconv.Atoi(last[2])
	return last[0], step, steps
}

// step returns how many steps of this job are done, and of how many, as far as the server tells: a picture that starts
// from another takes fewer than it was asked to.
func (w *watch) step() (step, steps int) {
	text, step, steps := lastStep(w.output())
	if text == w.stale {
		return w.last.Step, w.last.Steps
	}
	w.stale = "" // this job's own steps are here
	return step, steps
}
