package vault

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxWalk is how deep a tree is looked at. No path leads further than maxDepth, but moving folders into each other may.
const maxWalk = 2 * maxDepth

// flat is how deep a removal goes down before it brings what is deeper up, so that it needs few open folders.
const flat = 32

// count counts what is stored. With sweep it removes the drafts that a crash left; else they may be in use.
func (v *Vault) count(sweep bool) error {
	s := survey{v: v, sweep: sweep}
	if err := s.below(v.top, 0); err != nil {
		return err
	}
	parts := survey{v: v}
	if err := parts.below(v.partial, 0); err != nil {
		return err
	}
	v.used.set(s.sum.plus(tally{bytes: parts.sum.bytes}), time.Now())
	return nil
}

// survey walks through folders, and adds up what is in them without Brenda's own.
type survey struct {
	v      *Vault
	sweep  bool
	disk   uint64 // of the first folder; others are counted in mounts. 0: it does not matter
	sum    tally
	mounts int
}

func (s *survey) add(e entry) { s.sum = s.sum.plus(size(e)) }

// below adds what is in d. What cannot be looked into counts as empty.
func (s *survey) below(d dir, depth int) error {
	return unreadable(d.each(func(e entry) error {
		if strings.HasPrefix(e.name, hidden) {
			s.hidden(d, e)
			return nil
		}
		s.add(e)
		if !e.isDir() || depth == maxWalk {
			return nil
		}
		sub, err := d.enter(e.name)
		if err != nil {
			return unreadable(err)
		}
		defer sub.close()
		if s.disk != 0 && (e.dev != s.disk || sub.mounted()) {
			s.mounts++
		}
		return s.below(sub, depth+1)
	}))
}

// hidden removes a draft that a crash left. One that cannot be removed keeps nobody from starting.
func (s *survey) hidden(d dir, e entry) {
	if !s.sweep || !isDraft(e.name) {
		return
	}
	if err := s.v.remove(d, e); err != nil {
		s.v.log.Warn("draft of a crash not removed", "error", err)
	}
}

// mounted tells whether a folder is where another disk, or another part of the same one, begins. Kernels before 5.8 do not
// know the latter.
func (d dir) mounted() bool {
	var st unix.Statx_t
	err := retry(func() error { return unix.Statx(d.fd, "", unix.AT_EMPTY_PATH, 0, &st) })
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// unreadable forgives what cannot be looked into, or went away meanwhile.
func unreadable(err error) error {
	for _, e := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES, unix.EPERM} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// size returns what an entry counts for.
func size(e entry) tally {
	if e.mode == unix.S_IFREG {
		return tally{e.size, 1}
	}
	return tally{entries: 1}
}

// remove removes an entry with all that is in it. What is very deep is moved up next to it, and removed from there.
func (v *Vault) remove(in dir, e entry) error {
	if !e.isDir() {
		return gone(in.unlink(e.name))
	}
	deep := []string{e.name}
	for len(deep) > 0 {
		name := deep[0]
		deep = deep[1:]
		if err := in.removeTree(in, name, 0, &deep); err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes the folder name of in, which is below d.
func (d dir) removeTree(in dir, name string, depth int, deep *[]string) error {
	sub, err := in.enter(name)
	if err != nil {
		return gone(err)
	}
	defer sub.close()
	for range maxTries {
		err = gone(sub.each(func(e entry) error {
			switch {
			case !e.isDir():
				return gone(sub.unlink(e.name))
			case depth < flat:
				return d.removeTree(sub, e.name, depth+1, deep)
			}
			up := draftName()
			*deep = append(*deep, up)
			return gone(sub.rename(e.name, d, up))
		}))
		if err == nil {
			err = gone(in.rmdir(name))
		}
		if !errors.Is(err, unix.ENOTEMPTY) { // else a request that began before adds to it at this moment
			return err
		}
	}
	return err
}

// maxTries is how often something is done again that others come in between of: a folder is emptied, and they fill it.
const maxTries = 100

// gone forgives that something to be removed is gone already.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// visit calls f for every entry below d that clients can see, a folder before what is in it, and counts the others. rel is
// the entry's path from where the visit began; in is its folder, open until f returns.
func visit(ctx context.Context, d dir, rel Path, f func(rel Path, in dir, e entry) error) (skipped int, err error) {
	err = d.each(func(e entry) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name, errName := Name(e.name)
		below, errJoin := rel.Join(name)
		if strings.HasPrefix(e.name, hidden) {
			return nil
		}
		if errName != nil || errJoin != nil || !e.plain() {
			skipped++
			return nil
		}
		if err := f(below, d, e); err != nil {
			return err
		}
		if !e.isDir() {
			return nil
		}
		sub, err := d.enter(e.name)
		if err != nil {
			return err
		}
		defer sub.close()
		n, err := visit(ctx, sub, below, f)
		skipped += n
		return err
	})
	return skipped, err
}
