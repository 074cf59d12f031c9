package vault

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Mkdir makes a folder, and those above it that are missing. One that exists is fault.Conflict, unless again is set.
func (v *Vault) Mkdir(ctx context.Context, p Path, again bool) error {
	if p.IsRoot() {
		return fault.New(fault.Conflict, "exists", "the root exists already")
	}
	return v.changing(ctx, func() error {
		in, err := v.enterMaking(p.Dir())
		if err != nil {
			return writing(err, p)
		}
		defer in.close()
		made, err := v.make(in, p.Base())
		if err == nil {
			made.close()
			return nil
		}
		if e, errStat := in.stat(p.Base()); errors.Is(err, unix.EEXIST) && errStat == nil {
			if again && e.isDir() {
				return nil
			}
			return fault.New(fault.Conflict, "exists", "%q exists already", p.String())
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

// Remove deletes a file, or with folder a folder and all that is in it. The folder is gone in one step.
func (v *Vault) Remove(ctx context.Context, p Path, folder bool) error {
	if p.IsRoot() {
		return errRoot()
	}
	end, err := v.begin()
	if err != nil {
		return err
	}
	defer end()
	trash := ""
	err = v.changing(ctx, func() error {
		in, e, err := v.find(p)
		if err != nil {
			return err
		}
		defer in.close()
		if e.isDir() != folder {
			return errKind(p, e.isDir())
		}
		if trash, err = v.removeHere(in, e); err != nil {
			return reading(err, p)
		}
		return writing(in.sync(), p)
	}, p)
	if trash != "" {
		v.discard(trash)
	}
	return err
}

// removeHere takes an entry out of its folder, and returns the name that a folder has among the drafts until it is
// discarded.
func (v *Vault) removeHere(in dir, e entry) (trash string, err error) {
	if !e.isDir() {
		if err := in.unlink(e.name); err != nil {
			return "", err
		}
		v.used.freed(size(e))
		return "", nil
	}
	trash = token()
	err = in.rename(e.name, v.drafts, trash)
	if !errors.Is(err, unix.EXDEV) {
		return trash, err
	}
	sum := size(e)
	if sub, errEnter := in.enter(e.name); errEnter == nil {
		below, _ := v.measure(sub, 0)
		sum = sum.plus(below)
		sub.close()
	}
	if err = v.remove(in, e); err == nil {
		v.used.freed(sum)
	}
	return "", err
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
	trash := ""
	err = v.changing(ctx, func() (err error) {
		trash, err = v.move(src, dst, folder, overwrite)
		return err
	}, src, dst)
	if trash != "" {
		v.discard(trash)
	}
	return err
}

func (v *Vault) move(src, dst Path, folder, overwrite bool) (trash string, err error) {
	from, e, err := v.find(src)
	if err != nil {
		return "", fault.Blame(err, "source")
	}
	defer from.close()
	if e.isDir() != folder {
		return "", fault.Blame(errKind(src, e.isDir()), "source")
	}
	to, err := v.enter(dst.Dir())
	if err != nil {
		return "", fault.Blame(reading(err, dst.Dir()), "destination")
	}
	defer to.close()
	err = from.renameNew(src.Base(), to, dst.Base())
	if errors.Is(err, unix.EEXIST) {
		if !overwrite {
			return "", fault.Blame(errExists(dst), "destination")
		}
		trash, err = v.replace(from, e, to, src, dst)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return "", fault.Blame(errMissing(src), "source")
	case errors.Is(err, unix.EINVAL):
		return "", fault.Blame(fault.Wrap(err, fault.Conflict, "into_itself", "one of the two is within the other"), "destination")
	case err != nil:
		return trash, fault.Blame(writing(err, dst), "destination")
	}
	return trash, writing(errors.Join(to.sync(), from.sync()), dst)
}

// replace moves src over what is at dst, if that is of the same kind. A folder changes places with the old one, which then
// goes to the drafts.
func (v *Vault) replace(from dir, e entry, to dir, src, dst Path) (trash string, err error) {
	old, err := to.stat(dst.Base())
	if err != nil {
		return "", err
	}
	switch {
	case src == dst:
		return "", nil
	case !old.plain() || old.isDir() != e.isDir():
		return "", errOccupied(dst)
	case dst.Holds(src):
		return "", unix.EINVAL
	case !old.isDir():
		if err := from.rename(src.Base(), to, dst.Base()); err != nil {
			return "", err
		}
		v.used.freed(size(old))
		return "", nil
	}
	if err := from.exchange(src.Base(), to, dst.Base()); err != nil {
		return "", err
	}
	old.name = src.Base()
	return v.removeHere(from, old)
}
