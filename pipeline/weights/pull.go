package weights

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"brenda/pipeline/fault"
)

// Options say what a Pull does.
type Options struct {
	Set   string // the set to fetch when no names are given: "default" (when empty) or "test"
	Force bool   // fetch again what is there
	From  string // the user's own copy of the one model named: its file or folder, or a CTranslate2 folder of Whisper
}

// lockPoll is how often a waiting Pull looks whether the other one has finished.
const lockPoll = 200 * time.Millisecond

// Pull fetches models: those named, else those of a set. A model that is there is left alone. Each is
// verified, then appears at once; one that fails does not keep the others from coming. When ctx ends, what
// has been downloaded stays for the next Pull to go on from.
func (m *Manager) Pull(ctx context.Context, names []string, opt Options, p Progress) error {
	entries, err := m.choose(names, opt)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if len(names) == 0 && e.StandIn != "" {
			m.try(ctx, e, opt, p)
		} else if err := m.pull(ctx, e, opt, p); err != nil {
			errs = append(errs, err)
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("pull: %w", err)
		}
	}
	return errors.Join(errs...)
}

// try fetches an entry of a set that another one can stand in for: once, and openly without it where that fails.
func (m *Manager) try(ctx context.Context, e Entry, opt Options, p Progress) {
	hasty := *m
	hasty.retry = nil
	if err := hasty.pull(ctx, e, opt, p); err != nil && ctx.Err() == nil {
		m.log.Info("model not fetched", "model", e.Name, "error", err)
		p.Note(e.Name + " cannot be fetched from here; " + e.StandIn + " stands in for it")
	}
}

func (m *Manager) choose(names []string, opt Options) ([]Entry, error) {
	if opt.From != "" && len(names) != 1 {
		return nil, fault.New(fault.Invalid, "invalid_request",
			"a local file needs the name of the one model that it is")
	}
	var out []Entry
	if len(names) > 0 {
		for _, name := range slices.Compact(slices.Clone(names)) {
			e, err := m.entry(name)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	}
	set := opt.Set
	if set == "" {
		set = "default"
	}
	for _, e := range m.entries {
		if slices.Contains(e.Sets, set) {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.NotFound, "set_not_found",
			`no set is called %q; there are "default" and "test"`, set)
	}
	return out, nil
}

func (m *Manager) pull(ctx context.Context, e Entry, opt Options, p Progress) error {
	unlock, err := m.lock(ctx, e.Name, p)
	if err != nil {
		return err
	}
	defer unlock()
	if _, ok := m.installed(e.Name); ok && !opt.Force && opt.From == "" {
		p.Note(e.Name + " is already there")
		return nil
	}
	sources := e.Sources
	if opt.From != "" {
		if sources, err = localSource(e, opt.From); err != nil {
			return err
		}
	}
	var tried []error
	for _, s := range sources {
		err := m.fetch(ctx, e, s, p)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, errNoRoom) {
			return fmt.Errorf("pull %s: %w", e.Name, err)
		}
		m.log.WarnContext(ctx, "source failed", "model", e.Name, "source", s.String(), "error", err)
		tried = append(tried, fmt.Errorf("%s: %w", s, err))
	}
	return fault.Wrap(errors.Join(tried...), fault.Upstream, "model_not_fetched",
		"%s could not be fetched", e.Name)
}

// lock makes this process the only one to change an entry. The function it returns gives it back.
func (m *Manager) lock(ctx context.Context, name string, p Progress) (unlock func(), err error) {
	dir := filepath.Join(m.dir, ".locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("models directory: %w", err)
	}
	l := flock.New(filepath.Join(dir, name+".lock"))
	ok, err := l.TryLock()
	if err == nil && !ok {
		p.Note(name + ": another brenda is fetching it; waiting")
		_, err = l.TryLockContext(ctx, lockPoll)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() {
		if err := l.Unlock(); err != nil {
			m.log.WarnContext(ctx, "cannot unlock", "model", name, "error", err)
		}
	}, nil
}

var errNoRoom = errors.New("not enough disk space")

// room checks that a source fits onto the disk; have is what an earlier Pull left of it.
func (m *Manager) room(e Entry, s Source, have int64) error {
	free, err := m.free(m.dir)
	if err != nil {
		return err
	}
	if need := s.need(e) - have; need > 0 && uint64(need) > free {
		return fmt.Errorf("%w: %s needs %s, %s is free in the models directory",
			errNoRoom, e.Name, megabytes(need), megabytes(int64(min(free, 1<<62)))) //nolint:gosec // bounded
	}
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+999_999)/1_000_000) }

// fetch gets an entry from one source into the partial folder and, when it is whole, to its place.
func (m *Manager) fetch(ctx context.Context, e Entry, s Source, p Progress) error {
	w := workshop{m: m, entry: e, source: s, dir: filepath.Join(m.dir, ".partial", e.Name), progress: p}
	for _, sub := range []string{"build", "tmp"} {
		if err := os.RemoveAll(filepath.Join(w.dir, sub)); err != nil {
			return fmt.Errorf("clear partial download: %w", err)
		}
	}
	for _, sub := range []string{"build", "tmp", "packages"} {
		if err := os.MkdirAll(filepath.Join(w.dir, sub), 0o755); err != nil {
			return fmt.Errorf("partial download: %w", err)
		}
	}
	if err := m.room(e, s, dirSize(filepath.Join(w.dir, "packages"))); err != nil {
		return err
	}
	if err := w.assemble(ctx); err != nil {
		return err
	}
	files, err := w.verify(ctx)
	if err != nil {
		return err
	}
	man := Manifest{Name: e.Name, Kind: e.Kind, Source: s.String(), Pulled: m.now().UTC(), Files: files}
	if err := w.install(man); err != nil {
		return err
	}
	m.log.InfoContext(ctx, "model installed", "model", e.Name, "source", s.String(), "bytes", sum(files))
	return nil
}

// install moves the finished folder to its place, then clears the partial one. An older version goes last.
func (w workshop) install(man Manifest) error {
	build, old := filepath.Join(w.dir, "build"), filepath.Join(w.dir, "old")
	final := filepath.Join(w.m.dir, man.Name)
	if err := writeManifest(build, man); err != nil {
		return err
	}
	if err := syncPath(build); err != nil {
		return err
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := os.Rename(final, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("install: %w", err)
	}
	if err := os.Rename(build, final); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := syncPath(w.m.dir); err != nil {
		return err
	}
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("clear partial download: %w", err)
	}
	return nil
}

// dirSize adds up the files below dir. What vanishes meanwhile, or cannot be read, counts as nothing.
func dirSize(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // see above
		}
		if st, err := d.Info(); err == nil {
			n += st.Size()
		}
		return nil
	})
	return n
}

// localSource makes a source of the user's own file, or of a folder: of the model's files, or of CTranslate2.
func localSource(e Entry, from string) ([]Source, error) {
	st, err := os.Stat(from)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "file_not_found", "no such file: %s", filepath.Base(from))
	}
	if st.IsDir() {
		if e.Kind == Vision && len(e.Files) > 1 {
			return []Source{{local: from, Files: e.Files}}, nil // each under its path in the catalogue
		}
		if e.Kind != STT {
			return nil, fault.New(fault.Invalid, "invalid_request", "%s cannot be made from a folder", e.Name)
		}
		name := "ggml-" + strings.TrimPrefix(e.Name, "whisper-") + "-q8_0.bin"
		return []Source{{local: from, Files: []File{{Path: name}}}}, nil
	}
	var out []Source
	for _, s := range append([]Source{{}}, e.Sources...) {
		if files := s.files(e); len(files) == 1 {
			out = append(out, Source{local: from, Files: files})
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "invalid_request", "%s has several files and cannot be one", e.Name)
	}
	return out, nil
}
