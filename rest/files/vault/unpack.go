package vault

import (
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Unpacked is what [Vault.Unpack] made.
type Unpacked struct {
	Files int   // without folders
	Bytes int64 // of all files
}

// Unpack unpacks a ZIP archive into a folder that is absent or empty, fault.Conflict else; with overwrite a folder that is
// neither is replaced. All is unpacked into a hidden folder next to it first: the folder gets all of it, or nothing.
func (v *Vault) Unpack(ctx context.Context, archive, dest Path, overwrite bool, tell Tell) (Unpacked, error) {
	end, err := v.begin()
	if err != nil {
		return Unpacked{}, err
	}
	defer end()
	f, info, err := v.Open(archive)
	if err != nil {
		return Unpacked{}, fault.Blame(err, "path")
	}
	defer f.Close()
	if err := v.unpackable(dest, archive, overwrite); err != nil {
		return Unpacked{}, fault.Blame(err, "extract_path")
	}
	all, err := plan(f, info.Size, v.opt.Archive)
	if err != nil {
		return Unpacked{}, fault.Blame(err, "path")
	}
	stage, err := v.Stage(dest.Dir())
	if err != nil {
		return Unpacked{}, fault.Blame(err, "extract_path")
	}
	defer stage.Close()
	u := &unpacker{
		v: v, stage: stage, size: info.Size, tell: tell, buf: make([]byte, copyBuffer), top: dir{-1}, cur: dir{-1},
	}
	defer u.discard()
	if err := u.all(ctx, all); err != nil {
		return Unpacked{}, unpacking(err, archive, dest)
	}
	if err := u.place(ctx, dest, archive, overwrite); err != nil {
		return Unpacked{}, fault.Blame(err, "extract_path")
	}
	return Unpacked{Files: u.at.Files, Bytes: u.at.Bytes}, nil
}

// unpackable tells early why dest would be refused.
func (v *Vault) unpackable(dest, archive Path, overwrite bool) error {
	if dest.IsRoot() {
		return fault.New(fault.Conflict, "exists", "the root is not empty; name a folder")
	}
	in, err := v.enter(dest)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return writing(err, dest)
	}
	defer in.close()
	if overwrite && !dest.Holds(archive) {
		return nil
	}
	return in.each(func(entry) error {
		return fault.New(fault.Conflict, "exists", "%q exists already and is not empty", dest.String())
	})
}

// unpacking is [common] for errors of reading an archive.
func unpacking(err error, archive, dest Path) error {
	_, isFault := errors.AsType[*fault.Error](err)
	_, isCorrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case isFault:
		return err
	case errors.Is(err, unix.ENOENT):
		return fault.Blame(errChanged(err, dest.Dir()), "extract_path")
	case errors.Is(err, unix.EEXIST):
		return fault.Wrap(err, fault.Invalid, "unsafe_archive", "the archive has names that are the same on the server's disk")
	case isCorrupt, errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrAlgorithm),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.Wrap(err, fault.Invalid, "damaged_archive", "the archive is damaged")
	}
	return common(err, archive)
}
