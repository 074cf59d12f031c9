// Package ytdlp finds the sound and video behind a page with yt-dlp.
//
// Each question is a child process. It sees the network only through an [outbound.Lease]; the client's URL stands after
// "--", no shell is involved, and no configuration, cache or plug-in of the machine is read.
package ytdlp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

// Config says what to run.
type Config struct {
	Package string   // folder that holds the Python package yt_dlp; empty: the program yt-dlp in PATH
	Mend    string   // the command that installs it, for the message where it is missing
	Env     []string // all that a child's environment has besides the proxy: PATH, HOME and the like
	Timeout time.Duration
	Entries int          // of a playlist; default 100
	Log     *slog.Logger // default: none
}

// Engine runs yt-dlp. It may be used from any number of goroutines.
type Engine struct {
	cfg     Config
	command []string
	guard   *outbound.Guard
}

// New returns an engine. Where the program is missing the error is fault.Unavailable, with the command that brings it.
func New(cfg Config, guard *outbound.Guard) (*Engine, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 90 * time.Second
	}
	if cfg.Entries <= 0 {
		cfg.Entries = 100
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	command, err := find(cfg.Package)
	if err != nil {
		return nil, &fault.Error{
			Kind: fault.Unavailable, Code: "engine_missing", Msg: "yt-dlp is not installed; run: " + cfg.Mend, Err: err,
		}
	}
	return &Engine{cfg: cfg, command: command, guard: guard}, nil
}

// find returns the command line's beginning.
func find(dir string) ([]string, error) {
	if dir == "" {
		path, err := exec.LookPath("yt-dlp")
		return []string{path}, err
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "yt_dlp", "__main__.py")); err != nil {
		return nil, err
	}
	return []string{python, "-s", "-c", program, dir, strconv.Itoa(outbound.MaxRedirects)}, nil // -s: no packages of the user
}

// program starts yt-dlp, which has no option for how many redirects it follows, with the limit of its HTTP libraries
// lowered: those within TLS are seen by nobody else. (A third library that it may use has this very limit.)
const program = `
import sys, urllib.request
sys.path[0], limit = sys.argv.pop(1), int(sys.argv.pop(1))
urllib.request.HTTPRedirectHandler.max_redirections = limit
try:
    import requests.sessions
    requests.sessions.DEFAULT_REDIRECT_LIMIT = limit
except ImportError:
    pass
import yt_dlp
yt_dlp.main()
`

// maxAnswer is how much yt-dlp may say of one page, in bytes.
const maxAnswer = 32 << 20

// Find returns what sound or video is behind u. Where there is none it is fault.Unsupported with code "no_media".
func (e *Engine) Find(ctx context.Context, u string) (Item, error) {
	target, err := outbound.Target(u)
	if err != nil {
		return Item{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	lease, err := e.guard.Lease(ctx)
	if err != nil {
		return Item{}, err
	}
	defer lease.Close()
	args := append(e.command[1:len(e.command):len(e.command)],
		"--ignore-config", "--no-plugin-dirs", "--no-cache-dir", "--no-remote-components", "--no-exec",
		"--proxy", lease.URL(), "--socket-timeout", "20", "--retries", "1", "--extractor-retries", "1",
		"--no-playlist", "--flat-playlist", "--playlist-items", "1:"+strconv.Itoa(e.cfg.Entries), "--no-check-formats",
		"--compat-options", "no-certifi", // whom this machine trusts, as Brenda does
		"--no-warnings", "--no-progress", "--color", "never", "-J", "--", target.String())
	said, out := &outbound.Tail{}, &outbound.Capped{Left: maxAnswer}
	cmd := lease.Command(ctx, e.cfg.Env, e.command[0], args...)
	cmd.Stdout, cmd.Stderr = out, said
	if err := cmd.Run(); err != nil {
		return Item{}, e.explain(ctx, lease, err, said.String())
	}
	var raw *rawItem // yt-dlp says null when it found nothing
	if err := json.Unmarshal(out.Bytes(), &raw); err != nil {
		return Item{}, fault.Wrap(fmt.Errorf("yt-dlp: %w", err), fault.Internal, "engine_failed", "the page could not be examined")
	}
	if raw == nil {
		return Item{}, errNoMedia(nil)
	}
	return raw.item(), nil
}

func errNoMedia(err error) error {
	return &fault.Error{Kind: fault.Unsupported, Code: "no_media", Msg: "there is no sound or video behind the URL", Err: err}
}

// explain returns the fault of a child that failed.
func (e *Engine) explain(ctx context.Context, lease *outbound.Lease, err error, said string) error {
	e.cfg.Log.DebugContext(ctx, "yt-dlp failed", "error", err, "said", said)
	err = fmt.Errorf("yt-dlp: %w: %s", err, said)
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return context.Cause(ctx)
	case strings.Contains(said, "Unsupported URL"), strings.Contains(said, "No video formats found"):
		return errNoMedia(err)
	case strings.Contains(said, "redirect loop"): // so it says of each that is too many
		return outbound.TooManyRedirects()
	case lease.Err() != nil:
		return lease.Err()
	case ctx.Err() != nil, strings.Contains(said, "timed out"):
		return fault.Wrap(err, fault.Timeout, "upstream_timeout", "the server behind the URL is too slow")
	}
	return fault.Wrap(err, fault.Upstream, "upstream_failed", "the server behind the URL does not give its medium")
}
