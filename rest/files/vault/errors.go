package vault

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// CodeFull is the code of the fault of a full disk or quota. Its kind is fault.Unavailable; HTTP has a status of its own for
// it (507).
const CodeFull = "storage_full"

// errNotPlain is why something that is neither file nor folder, or has a second name, is not opened.
var errNotPlain = errors.New("neither a plain file nor a folder")

func errFull(what string) error {
	return fault.New(fault.Unavailable, CodeFull, "there is no room left: %s; delete something first", what)
}

func errMissing(p Path) error {
	return fault.New(fault.NotFound, "not_found", "there is no %q", p.String())
}

func errExists(p Path) error {
	return fault.New(fault.Conflict, "exists", "%q exists already; send overwrite to replace it", p.String())
}

// errOccupied is for what cannot be replaced.
func errOccupied(p Path) error {
	return fault.New(fault.Conflict, "exists", "%q exists already and is something else", p.String())
}

func errKind(p Path, folder bool) error {
	is, route := "a file", "the routes for files"
	if folder {
		is, route = "a folder", "the routes under directory/"
	}
	return fault.New(fault.Invalid, "wrong_type", "%q is %s; use %s", p.String(), is, route)
}

func errRoot() error {
	return fault.New(fault.Invalid, "invalid_path", "this cannot be done to the root")
}

// reading gives an error of the system that came up while p was looked for or read the kind that a client can act on.
func reading(err error, p Path) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP),
		errors.Is(err, unix.ENXIO), errors.Is(err, errNotPlain):
		return fault.Wrap(err, fault.NotFound, "not_found", "there is no %q", p.String())
	}
	return common(err, p)
}

// writing is [reading] for what was made or changed: a file in the place of a folder is in the way then.
func writing(err error, p Path) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.ENOTDIR),
		errors.Is(err, unix.EISDIR), errors.Is(err, unix.ELOOP), errors.Is(err, errNotPlain):
		return fault.Wrap(err, fault.Conflict, "exists", "%q, or what would be a folder above it, exists already", p.String())
	case errors.Is(err, unix.ENOENT):
		return fault.Wrap(err, fault.Conflict, "changed", "the folder of %q was removed meanwhile", p.String())
	}
	return common(err, p)
}

func common(err error, p Path) error {
	_, isFault := errors.AsType[*fault.Error](err)
	wrap := func(kind fault.Kind, code, text string) error {
		return fault.Wrap(err, kind, code, "%q %s", p.String(), text)
	}
	switch {
	case isFault, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fault.Wrap(err, fault.Unavailable, CodeFull, "the server's disk is full; delete something first")
	case errors.Is(err, unix.EFBIG):
		return wrap(fault.TooLarge, "too_large", "would be larger than the server's disk allows")
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return wrap(fault.Forbidden, "forbidden", "may not be read or changed by the server")
	case errors.Is(err, unix.EXDEV):
		return wrap(fault.Conflict, "other_disk", "is on another disk; download and upload it instead")
	case errors.Is(err, unix.EBUSY):
		return wrap(fault.Conflict, "busy", "is in use by the system")
	case errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EILSEQ):
		return wrap(fault.Invalid, "invalid_path", "is no name for the server's disk")
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return wrap(fault.Unavailable, "overloaded", "cannot be opened while so many others are")
	}
	return err
}
