package vault

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Mkdir makes a folder, and those above it that are missing. One that exists is fault.Conflict, unless leave is set.
func (v *Vault) Mkdir(ctx context.Context, p Path, leave bool) error {
	if p.IsRoot() {
		return fault.New(fault.Conflict, "exists", "the root exists already")
	}
	return v.changing(ctx, func() error {
		made, err := v.makeAll(p)
		if err == nil && !made && !leave {
			err = fault.New(fault.Conflict, "exists", "%q exists already", p.String())
		}
		return writing(err, p)
	}, p)
}

// changing runs a change under the claim of its paths.
func (v *Vault) changing(ctx context.Context, change func() error, paths ...Path) error {
	end, err := v.begin()
	if err != nil {
		return err
	}
	defer end()
	release, err := v.claims.take(ctx, paths...)
	if err != nil {
		return err
	}
	defer release()
	return change()
}

// find returns the entry at p with its folder, which the caller closes.
func (v *Vault) find(p Path) (in dir, e entry, err error) {
	in, err = v.enter(p.Dir())
	if err != nil {
		return in, e, reading(err, p)
	}
	e, err = in.stat(p.Base())
	if err == nil && !e.plain() {
		err = errNotPlain
	}
	if err != nil {
		in.close()
		return dir{-1}, e, reading(err, p)
	}
	return in, e, nil
}

// Remove deletes a file, or with folder a folder and all that is in it. The folder is gone in one step; one that has another
// disk in it is fault.Conflict.
func (v *Vault) Remove(ctx context.Context, p Path, folder bool) error {
	if p.IsRoot() {
		return errRoot()
	}
	end, err := v.begin()
	if err != nil {
		return err
	}
	defer end()
	var t *trash
	err = v.changing(ctx, func() error {
		in, e, err := v.find(p)
		if err != nil {
			return err
		}
		defer in.close()
		if e.isDir() != folder {
			return errKind(p, e.isDir())
		}
		if !folder {
			if err := in.unlink(e.name); err != nil {
				return reading(err, p)
			}
			v.used.freed(size(e))
		} else if t, err = v.hide(in, e); err != nil {
			return reading(err, p)
		}
		return writing(in.sync(), p)
	}, p)
	t.discard()
	return err
}

// Move moves a file, or with folder a folder. A target that exists is fault.Conflict; with overwrite one of the same kind
// is replaced in one step. The target's folder must exist.
func (v *Vault) Move(ctx context.Context, src, dst Path, folder, overwrite bool) error {
	switch {
	case src.IsRoot():
		return fault.Blame(errRoot(), "source")
	case dst.IsRoot():
		return fault.Blame(errExists(dst), "destination")
	case src != dst && folder && src.Holds(dst):
		return fault.Blame(fault.New(fault.Invalid, "into_itself", "a folder cannot be moved into itself"), "destination")
	}
	end, err := v.begin()
	if err != nil {
		return err
	}
	defer end()
	var t *trash
	err = v.changing(ctx, func() (err error) {
		t, err = v.move(src, dst, folder, overwrite)
		return err
	}, src, dst)
	t.discard()
	return err
}

func (v *Vault) move(src, dst Path, folder, overwrite bool) (t *trash, err error) {
	from, e, err := v.find(src)
	if err != nil {
		return nil, fault.Blame(err, "source")
	}
	defer from.close()
	if e.isDir() != folder {
		return nil, fault.Blame(errKind(src, e.isDir()), "source")
	}
	to, err := v.enter(dst.Dir())
	if err != nil {
		return nil, fault.Blame(reading(err, dst.Dir()), "destination")
	}
	defer to.close()
	err = from.renameNew(src.Base(), to, dst.Base())
	if errors.Is(err, unix.EEXIST) {
		if !overwrite {
			return nil, fault.Blame(errExists(dst), "destination")
		}
		t, err = v.replace(from, e, to, src, dst)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return t, fault.Blame(errMissing(src), "source")
	case errors.Is(err, unix.EINVAL):
		return t, fault.Blame(fault.Wrap(err, fault.Conflict, "into_itself", "one of the two is within the other"), "destination")
	case err != nil:
		return t, fault.Blame(writing(err, dst), "destination")
	}
	return t, writing(errors.Join(to.sync(), from.sync()), dst)
}

// replace moves src over what is at dst, if that is of the same kind. A folder changes places with the old one, which is
// then hidden.
func (v *Vault) replace(from dir, e entry, to dir, src, dst Path) (*trash, error) {
	old, err := to.stat(dst.Base())
	if err != nil {
		return nil, err
	}
	switch {
	case src == dst:
		return nil, nil //nolint:nilnil // there is nothing to do
	case !old.plain() || old.isDir() != e.isDir():
		return nil, errOccupied(dst)
	case dst.Holds(src):
		return nil, unix.EINVAL
	case old.isDir():
		return v.swap(src, from, to, old)
	}
	if err := from.rename(src.Base(), to, dst.Base()); err != nil {
		return nil, err
	}
	v.used.freed(size(old))
	return nil, nil //nolint:nilnil // there is nothing to discard
}
