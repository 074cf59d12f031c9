package vault

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// unpacker makes a folder of an archive.
type unpacker struct {
	v     *Vault
	stage *Stage
	size  int64 // of the archive
	limit int64 // bytes
	tell  Tell
	at    Progress
	buf   []byte
	name  string // of the folder on the stage
	top   dir
	old   *trash // the folder that was replaced
	taken tally
	cur   dir // the folder that was used last
	curAt Path
}

func (u *unpacker) all(ctx context.Context, all []packedEntry) error {
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
	return retry(func() error { return unix.Syncfs(u.top.fd) }) // one for all instead of one for each
}

// prepare makes the folder on the stage, and finds out how much may go into it.
func (u *unpacker) prepare(all []packedEntry) error {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(u.stage.at.fd, &st) }); err != nil {
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
	name := draftName()
	if err := u.stage.at.mkdir(name); err != nil {
		return err
	}
	u.name = name
	var err error
	u.top, err = u.stage.at.enter(name)
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
		next, err := cur.ensure(name, folderMode)
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
	if err := u.stage.intact(); err != nil {
		return err
	}
	in, old, err := u.v.find(dest)
	if err == nil {
		in.close()
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	err = u.v.put(u.stage.at, u.name, dest, dir.rename)
	switch {
	case err == nil:
		u.name = ""
		if old.isDir() {
			u.v.used.freed(tally{entries: 1}) // the empty folder
		}
	case errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST):
		if !overwrite || dest.Holds(archive) {
			return fault.Wrap(err, fault.Conflict, "exists", "%q exists already and is not empty", dest.String())
		}
		if err := u.replace(dest); err != nil {
			return writing(err, dest)
		}
	default:
		return writing(err, dest)
	}
	u.v.used.settle(u.taken)
	u.taken = tally{}
	return nil
}

// replace has the unpacked folder and the one at dest change places. The old one is then where drafts are.
func (u *unpacker) replace(dest Path) error {
	in, old, err := u.v.find(dest)
	if err != nil {
		return err
	}
	defer in.close()
	sum, err := u.v.weigh(in, old)
	if err != nil {
		return err
	}
	t, err := u.v.trash(u.stage.at, u.name, sum)
	if err != nil {
		return err
	}
	if err := u.stage.at.exchange(u.name, in, dest.Base()); err != nil {
		t.in.close()
		return err
	}
	u.name, u.old = "", t
	return in.sync()
}

// discard removes what is on the stage: what was unpacked for nothing, or the old folder.
func (u *unpacker) discard() {
	for _, d := range []dir{u.cur, u.top} {
		if d.fd >= 0 {
			d.close()
		}
	}
	u.old.discard()
	u.v.used.release(u.taken)
	if u.name == "" {
		return
	}
	if err := u.v.remove(u.stage.at, entry{name: u.name, mode: unix.S_IFDIR}); err != nil {
		u.v.log.Warn("not removed yet", "error", err)
	}
}
