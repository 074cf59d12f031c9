package weights

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// tools finds the registries' clients: the command line before the arguments.
type tools struct {
	pip, npm func() ([]string, error)
}

func findPip() ([]string, error) {
	for _, c := range [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}} {
		if _, err := exec.LookPath(c[0]); err == nil {
			return c, nil
		}
	}
	return nil, errors.New("pip is not installed (on Debian: apt-get install python3-pip)")
}

func findNpm() ([]string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return nil, errors.New("npm is not installed (on Debian: apt-get install npm)")
	}
	return []string{"npm"}, nil
}

const (
	parallelPackages = 2                      // start-up of the clients overlaps with the download of another
	watchEvery       = 200 * time.Millisecond // how often the folders are measured for the progress
	killGrace        = 3 * time.Second        // between asking a client to end and taking its pipes away
)

// packages brings every package of the source into the packages folder, verified. Those that are there stay.
func (w workshop) packages(ctx context.Context) error {
	total := w.source.download(w.entry)
	w.progress.Start(w.entry.Name, total)
	defer w.progress.Done()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelPackages)
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.watch(done)
	}()
	for i, p := range w.source.Packages {
		g.Go(func() error {
			if err := w.pack(gctx, i, p); err != nil {
				return fmt.Errorf("%s %s: %w", p.Registry, p.Name, err)
			}
			return nil
		})
	}
	err := g.Wait()
	close(done)
	<-watched
	return err
}

// watch reports how the packages folder grows, until done.
func (w workshop) watch(done <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var told int64
	tell := func() {
		var now int64
		for i, p := range w.source.Packages {
			if st, err := os.Stat(filepath.Join(w.dir, "packages", p.File)); err == nil {
				now += st.Size()
				continue
			}
			// The client may hold the file twice for a moment, in its own temporary folder and in ours.
			now += min(dirSize(w.scratch(i)), p.Bytes)
		}
		if now != told {
			w.progress.Advance(now - told)
			told = now
		}
	}
	for {
		select {
		case <-done:
			tell()
			return
		case <-tick.C:
			tell()
		}
	}
}

func (w workshop) scratch(i int) string {
	return filepath.Join(w.dir, "packages", fmt.Sprintf(".get-%d", i))
}

// pack fetches one package with its registry's client.
func (w workshop) pack(ctx context.Context, i int, p Package) error {
	final, scratch := filepath.Join(w.dir, "packages", p.File), w.scratch(i)
	want := File{Bytes: p.Bytes, SHA256: p.SHA256}
	if _, err := os.Stat(final); err == nil {
		if _, err := checkFile(ctx, final, want); err == nil {
			return nil
		}
		if err := os.Remove(final); err != nil {
			return err
		}
	}
	return w.m.again(ctx, func() error {
		if err := os.RemoveAll(scratch); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(scratch, "tmp"), 0o755); err != nil {
			return err
		}
		if err := w.client(ctx, p, scratch); err != nil {
			return err
		}
		got := filepath.Join(scratch, p.File)
		if _, err := checkFile(ctx, got, want); err != nil {
			return err
		}
		if err := os.Rename(got, final); err != nil {
			return err
		}
		return os.RemoveAll(scratch)
	})
}

// client runs pip or npm so that it leaves the package in dir, and its temporary files in dir/tmp.
func (w workshop) client(ctx context.Context, p Package, dir string) error {
	find, args := w.m.tools.pip, pipArgs(p, dir)
	if p.Registry == "npm" {
		find = w.m.tools.npm
		args = []string{
			"pack", p.Name + "@" + p.Version, "--silent", "--ignore-scripts",
			"--pack-destination", dir, "--cache", filepath.Join(dir, "tmp"),
		}
	}
	tool, err := find()
	if err != nil {
		return &permanentError{err}
	}
	cmd := exec.CommandContext(ctx, tool[0], append(tool[1:len(tool):len(tool)], args...)...)
	cmd.Env = append(cmd.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"))
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killGrace
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w: %s", tool[0], err, lastLines(out.String()))
	}
	return nil
}

// pipArgs asks for one wheel, the same whatever Python this machine has, since the file is unpacked and never
// installed.
func pipArgs(p Package, dir string) []string {
	platform := p.Platform
	if platform == "" {
		platform = "any"
	}
	return []string{
		"download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-deps",
		"--only-binary=:all:", "--platform", platform, "--implementation", "cp", "--python-version", "311",
		"--abi", "cp311", "--abi", "abi3", "--abi", "none", "--dest", dir, p.Name + "==" + p.Version,
	}
}

// lastLines returns the end of a client's output, on one line.
func lastLines(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}

// permanentError is an error that a second try does not mend.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

func permanent(err error) bool {
	_, wrong := errors.AsType[*mismatchError](err)
	_, final := errors.AsType[*permanentError](err)
	return wrong || final
}

// again runs try until it goes well, ctx ends, the error is permanent or the tries are used up.
func (m *Manager) again(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || ctx.Err() != nil || permanent(err) || n == len(m.retry) {
			return err
		}
		m.log.InfoContext(ctx, "download failed, trying again", "try", n+1, "error", err)
		pause := time.NewTimer(m.retry[n])
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		}
	}
}
