package vault

import (
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Unpacked is what [Vault.Unpack] made.
type Unpacked struct {
	Files int   // without folders
	Bytes int64 // of all files
}

// Unpack unpacks a ZIP archive into a folder that is absent or empty, fault.Conflict else; with overwrite a folder that is
// neither is replaced. All is unpacked among the drafts first: the folder gets all of it, or nothing.
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
	u := &unpacker{v: v, size: info.Size, tell: tell, buf: make([]byte, copyBuffer), top: dir{-1}, cur: dir{-1}}
	defer u.discard()
	if err := u.all(ctx, f, all); err != nil {
		return Unpacked{}, unpacking(err, archive)
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
func unpacking(err error, archive Path) error {
	_, isFault := errors.AsType[*fault.Error](err)
	_, isCorrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case isFault:
		return err
	case errors.Is(err, unix.EEXIST):
		return fault.Wrap(err, fault.Invalid, "unsafe_archive", "the archive has names that are the same on the server's disk")
	case isCorrupt, errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrAlgorithm),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.Wrap(err, fault.Invalid, "damaged_archive", "the archive is damaged")
	}
	return common(err, archive)
}

type unpacker struct {
	v     *Vault
	size  int64 // of the archive
	limit int64 // bytes
	tell  Tell
	at    Progress
	buf   []byte
	name  string // of the folder among the drafts
	top   dir
	taken tally
	cur   dir // the folder that was used last
	curAt Path
}

func (u *unpacker) all(ctx context.Context, f *os.File, all []packedEntry) error {
	if err := u.prepare(all); err != nil {
		return err
	}
	for _, e := range all {
		if e.folder {
			if err := u.enter(e.path); err != nil {
				return err
			}
			continue
		}
		if err := u.file(ctx, e); err != nil {
			return err
		}
	}
	return retry(func() error { return unix.Syncfs(int(f.Fd())) }) // one for all instead of one for each
}

// prepare makes the folder among the drafts, and finds out how much may go into it.
func (u *unpacker) prepare(all []packedEntry) error {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(u.v.drafts.fd, &st) }); err != nil {
		return err
	}
	l := u.v.opt.Archive
	free := int64(st.Bavail) * st.Bsize / 100 * l.DiskShare //nolint:gosec // far from the end of 64 bits
	u.limit = min(l.Bytes, free)
	for _, e := range all {
		if !e.folder {
			u.at.AllFiles++
			u.at.AllBytes += int64(e.zip.UncompressedSize64) //nolint:gosec // limited by plan
		}
	}
	if u.at.AllBytes > free {
		return errFull("the archive would take too much of the free disk")
	}
	if err := u.take(tally{u.at.AllBytes, int64(len(all)) + 1}); err != nil {
		return err
	}
	name := token()
	if err := u.v.drafts.mkdir(name); err != nil {
		return err
	}
	u.name = name
	var err error
	u.top, err = u.v.drafts.enter(name)
	return err
}

func (u *unpacker) take(t tally) error {
	err := u.v.room(t)
	if err == nil {
		u.taken = u.taken.plus(t)
	}
	return err
}

// enter makes a folder of the archive the current one, and makes it and those above it if need be.
func (u *unpacker) enter(p Path) error {
	if u.cur.fd >= 0 && u.curAt == p {
		return nil
	}
	cur, err := u.top.enter(".")
	if err != nil {
		return err
	}
	for _, name := range p.elements() {
		next, err := cur.ensure(name, 0o755)
		cur.close()
		if err != nil {
			return err
		}
		cur = next
	}
	if u.cur.fd >= 0 {
		u.cur.close()
	}
	u.cur, u.curAt = cur, p
	return nil
}

// file unpacks one file. What its header says of its size is not believed.
func (u *unpacker) file(ctx context.Context, e packedEntry) (err error) {
	if err := u.enter(e.path.Dir()); err != nil {
		return err
	}
	src, err := e.zip.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := u.cur.create(e.path.Base())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	r := &watched{ctx: ctx, r: src, read: u.count}
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, r, u.buf); err != nil {
		return err
	}
	u.at.Files++
	return u.tell(u.at)
}

// count is told of n bytes that came out of the archive.
func (u *unpacker) count(n int) error {
	u.at.Bytes += int64(n)
	l := u.v.opt.Archive
	switch {
	case u.at.Bytes > u.limit:
		return errBomb("an archive may unpack to at most %d bytes here", u.limit)
	case u.at.Bytes > l.RatioFrom && u.at.Bytes/l.Ratio > u.size:
		return errBomb("an archive may unpack to at most %d times its size", l.Ratio)
	case u.at.Bytes > u.taken.bytes:
		return errArchive("damaged_archive", "the archive is damaged") // more than all of its headers said
	}
	return u.tell(u.at)
}

// place puts the unpacked folder where it belongs.
func (u *unpacker) place(ctx context.Context, dest, archive Path, overwrite bool) error {
	spare := tally{bytes: u.taken.bytes - u.at.Bytes}
	u.v.used.release(spare)
	u.taken = u.taken.minus(spare)
	release, err := u.v.claims.take(ctx, dest)
	if err != nil {
		return err
	}
	defer release()
	in, err := u.v.enterMaking(dest.Dir())
	if err != nil {
		return writing(err, dest)
	}
	defer in.close()
	_, errOld := in.stat(dest.Base())
	err = u.v.drafts.rename(u.name, in, dest.Base())
	switch {
	case err == nil:
		u.name = ""
		if errOld == nil {
			u.v.used.freed(tally{entries: 1}) // the empty folder
		}
	case errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST):
		if !overwrite || dest.Holds(archive) {
			return fault.Wrap(err, fault.Conflict, "exists", "%q exists already and is not empty", dest.String())
		}
		if err = u.v.drafts.exchange(u.name, in, dest.Base()); err != nil {
			return writing(err, dest)
		}
	default:
		return writing(err, dest)
	}
	u.v.used.settle(u.taken)
	u.taken = tally{}
	return writing(in.sync(), dest)
}

// discard removes what is among the drafts: what was unpacked for nothing, or the old folder.
func (u *unpacker) discard() {
	for _, d := range []dir{u.cur, u.top} {
		if d.fd >= 0 {
			d.close()
		}
	}
	placed := u.taken == tally{}
	u.v.used.release(u.taken)
	if u.name == "" {
		return
	}
	if placed {
		u.v.discard(u.name)
		return
	}
	if e, err := u.v.drafts.stat(u.name); err == nil {
		if err := u.v.remove(u.v.drafts, e); err != nil {
			u.v.log.Warn("not removed yet", "error", err)
		}
	}
}
