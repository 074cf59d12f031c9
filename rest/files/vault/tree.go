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

// count counts what is stored, and removes drafts that a crash left next to their place.
func (v *Vault) count() error {
	sum, err := v.measure(v.top, 0)
	if err != nil {
		return err
	}
	parts, err := v.measure(v.partial, 0)
	if err != nil {
		return err
	}
	v.used.set(sum.plus(tally{bytes: parts.bytes}), time.Now())
	return nil
}

// measure adds up what is in a folder, without Brenda's own.
func (v *Vault) measure(d dir, depth int) (sum tally, err error) {
	err = d.each(func(e entry) error {
		if strings.HasPrefix(e.name, hidden) {
			if e.name != stateName {
				return v.remove(d, e)
			}
			return nil
		}
		sum = sum.plus(size(e))
		if !e.isDir() || depth == maxWalk {
			return nil
		}
		sub, err := d.enter(e.name)
		if err != nil {
			return unreadable(err)
		}
		defer sub.close()
		below, err := v.measure(sub, depth+1)
		sum = sum.plus(below)
		return err
	})
	return sum, unreadable(err)
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

// clear empties a folder.
func (v *Vault) clear(d dir) error {
	for {
		again := false
		err := d.each(func(e entry) error {
			err := v.remove(d, e)
			if errors.Is(err, unix.ENOTEMPTY) { // somebody adds to it at this moment
				again = true
				return nil
			}
			return err
		})
		if err != nil || !again {
			return err
		}
	}
}

// remove removes an entry with all that is in it. What is very deep is moved up to the drafts, and removed from there.
func (v *Vault) remove(d dir, e entry) error {
	if !e.isDir() {
		return gone(d.unlink(e.name))
	}
	deep := []string{}
	if err := v.removeTree(d, e.name, 0, &deep); err != nil {
		return err
	}
	for len(deep) > 0 {
		name := deep[0]
		deep = deep[1:]
		if err := v.removeTree(v.drafts, name, 0, &deep); err != nil {
			return err
		}
	}
	return nil
}

func (v *Vault) removeTree(in dir, name string, depth int, deep *[]string) error {
	d, err := in.enter(name)
	if err != nil {
		return gone(err)
	}
	defer d.close()
	err = d.each(func(e entry) error {
		switch {
		case !e.isDir():
			return gone(d.unlink(e.name))
		case depth < flat:
			return v.removeTree(d, e.name, depth+1, deep)
		}
		up := token()
		*deep = append(*deep, up)
		return d.rename(e.name, v.drafts, up)
	})
	if err != nil {
		return err
	}
	return gone(in.rmdir(name))
}

// gone forgives that something to be removed is gone already.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// discard removes a folder that was moved to the drafts, and counts the room that this frees. What cannot be removed now
// the next start removes.
func (v *Vault) discard(name string) {
	e, err := v.drafts.stat(name)
	if err == nil {
		sum := size(e)
		if sub, errEnter := v.drafts.enter(name); errEnter == nil {
			below, _ := v.measure(sub, 0)
			sum = sum.plus(below)
			sub.close()
		}
		err = v.remove(v.drafts, e)
		v.used.freed(sum)
	}
	if err != nil {
		v.log.Warn("not removed yet", "error", err)
	}
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
