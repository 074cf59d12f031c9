package vault

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// mover is a step that gives the entry name of one folder a place in another: [dir.rename] or [dir.renameNew].
type mover func(from dir, name string, to dir, as string) error

// nearest opens the folder p, or the nearest one above it that exists, and returns the names from there to p.
func (v *Vault) nearest(p Path) (d dir, missing []string, err error) {
	if d, err = v.top.enter("."); err != nil {
		return d, nil, err
	}
	names := p.elements()
	for i, name := range names {
		next, err := d.enter(name)
		if errors.Is(err, unix.ENOENT) {
			return d, names[i:], nil
		}
		d.close()
		if err != nil {
			return dir{-1}, nil, err
		}
		d = next
	}
	return d, nil, nil
}

// again repeats what somebody else came in between of.
func again(do func() error) error {
	for range maxTries {
		if err := do(); !errors.Is(err, errMeanwhile) {
			return err
		}
	}
	return unix.EEXIST
}

// errMeanwhile is why something must be done again: somebody else made a folder that was missing.
var errMeanwhile = errors.New("made by somebody else meanwhile")

// makeAll makes the folder p, whose claim is held, with those above it that are missing, in one step.
func (v *Vault) makeAll(p Path) (made bool, err error) {
	err = again(func() error {
		in, missing, err := v.nearest(p)
		if err != nil {
			return err
		}
		defer in.close()
		if made = len(missing) > 0; !made {
			return nil
		}
		if err := v.grow(in, missing, func(_ dir, finish func() error) error { return finish() }); err != nil {
			return err
		}
		return in.sync()
	})
	return made, err
}

// grow makes folders in each other under a hidden name. fill may put something into the last; its finish gives them the name
// that nothing may have in in yet.
func (v *Vault) grow(in dir, folders []string, fill func(leaf dir, finish func() error) error) error {
	t := tally{entries: int64(len(folders))}
	if err := v.used.reserve(t); err != nil {
		return err
	}
	top := draftName()
	leaf, err := in.branch(top, folders[1:])
	if err == nil {
		err = fill(leaf, func() error { return in.renameNew(top, in, folders[0]) })
		leaf.close()
	}
	if err == nil {
		v.used.settle(t)
		return nil
	}
	v.used.release(t)
	if errTidy := v.remove(in, entry{name: top, mode: unix.S_IFDIR}); errTidy != nil {
		v.log.Warn("draft not removed yet", "error", errTidy)
	}
	if errors.Is(err, unix.EEXIST) {
		return errMeanwhile
	}
	return err
}

// put gives an entry its place at p, whose claim is held, in one step, and makes that last. Folders that are missing come
// into being with it. A file from another disk is copied next to its place first.
func (v *Vault) put(from dir, name string, p Path, move mover) error {
	return again(func() error {
		in, missing, err := v.nearest(p.Dir())
		if err != nil {
			return err
		}
		defer in.close()
		missing = append(missing, p.Base())
		err = v.attach(from, name, in, missing, move)
		if errors.Is(err, unix.EXDEV) {
			err = v.bring(from, name, in, missing, move)
		}
		if err != nil {
			return err
		}
		return in.sync()
	})
}

// attach moves an entry to the end of a way of names below in. Those before the last are folders that do not exist.
func (v *Vault) attach(from dir, name string, in dir, way []string, move mover) error {
	last := len(way) - 1
	if last == 0 {
		return move(from, name, in, way[0])
	}
	return v.grow(in, way[:last], func(leaf dir, finish func() error) error {
		return leaf.adopt(from, name, way[last], finish)
	})
}

// adopt moves an entry into d, makes that last, and moves it back if then fails.
func (d dir) adopt(from dir, name, as string, then func() error) error {
	if err := from.rename(name, d, as); err != nil {
		return err
	}
	err := d.sync()
	if err == nil {
		err = then()
	}
	if err != nil {
		return errors.Join(err, d.rename(as, from, name))
	}
	return nil
}

// branch makes the folder top and others in each other below it, and opens the last.
func (d dir) branch(top string, below []string) (dir, error) {
	cur, err := d.ensure(top, folderMode)
	for _, name := range below {
		if err != nil {
			return dir{-1}, err
		}
		var next dir
		if next, err = cur.ensure(name, folderMode); err == nil {
			err = cur.sync()
		}
		cur.close()
		cur = next
	}
	return cur, err
}

// bring is attach for a file on another disk: it is copied to in, and the copy gets the place.
func (v *Vault) bring(from dir, name string, in dir, way []string, move mover) error {
	near := draftName()
	err := in.copyFrom(from, name, near)
	if err == nil {
		err = v.attach(in, near, in, way, move)
	}
	if err != nil {
		return errors.Join(err, gone(in.unlink(near)))
	}
	return from.unlink(name)
}

// copyFrom makes a copy of a file that lasts. An error may leave a part of it.
func (d dir) copyFrom(from dir, name, as string) error {
	src, _, err := from.open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := d.create(as)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, retry(dst.Sync), dst.Close())
}
