package vault

import (
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// dir is an open folder. Its methods take the name of one entry and follow no link, so that whatever others do to the tree
// meanwhile, nothing outside of it can be reached: os.Root without the links that it would follow.
type dir struct{ fd int }

// entry is what is known of one name in a folder.
type entry struct {
	name  string
	mode  uint32 // the type's bits
	size  int64
	mtime time.Time
	dev   uint64
	ino   uint64
	links uint64
}

func (e entry) isDir() bool { return e.mode == unix.S_IFDIR }

// isFile tells whether e is a regular file that has this one name only. A hard link could be the second name of a file
// outside of the root; nothing else tells them apart.
func (e entry) isFile() bool { return e.mode == unix.S_IFREG && e.links == 1 }

// plain tells whether e exists for clients at all.
func (e entry) plain() bool { return e.isDir() || e.isFile() }

func (d dir) close() { _ = unix.Close(d.fd) } // nothing was written through it

// retry repeats a call of the system that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (d dir) openat(name string, flags int, perm uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(d.fd, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, perm)
		return err
	})
	return fd, err
}

// enter opens the folder of this name.
func (d dir) enter(name string) (dir, error) {
	fd, err := d.openat(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	return dir{fd}, err
}

func entryOf(name string, st *unix.Stat_t) entry {
	return entry{
		name: name, mode: st.Mode & unix.S_IFMT, size: st.Size, ino: st.Ino,
		links: uint64(st.Nlink), //nolint:unconvert // 32 bits on arm64
		dev:   uint64(st.Dev),   //nolint:unconvert // 32 bits on mips
		mtime: time.Unix(st.Mtim.Unix()),
	}
}

// stat looks at what has this name, without opening it.
func (d dir) stat(name string) (entry, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return entryOf(name, &st), err
}

// open opens a regular file for reading. Its type is looked at before, since opening some devices does things, and again
// once it is open; a FIFO that took its place between the two is opened without waiting for its other end.
func (d dir) open(name string) (*os.File, entry, error) {
	before, err := d.stat(name)
	if err != nil {
		return nil, before, err
	}
	if !before.isFile() {
		return nil, before, errNotPlain
	}
	fd, err := d.openat(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, before, err
	}
	var st unix.Stat_t
	err = retry(func() error { return unix.Fstat(fd, &st) })
	e := entryOf(name, &st)
	if err == nil && !e.isFile() {
		err = errNotPlain
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, e, err
	}
	return os.NewFile(uintptr(fd), name), e, nil
}

// create makes a new file for writing; one that exists, as whatever, is an error.
func (d dir) create(name string) (*os.File, error) {
	fd, err := d.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (d dir) mkdir(name string) error {
	return retry(func() error { return unix.Mkdirat(d.fd, name, folderMode) })
}

// unlink removes a name that is no folder.
func (d dir) unlink(name string) error {
	return retry(func() error { return unix.Unlinkat(d.fd, name, 0) })
}

// rmdir removes an empty folder.
func (d dir) rmdir(name string) error {
	return retry(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
}

// rename moves an entry. It replaces what is there, if that is a file or an empty folder.
func (d dir) rename(name string, to dir, as string) error {
	return retry(func() error { return unix.Renameat(d.fd, name, to.fd, as) })
}

// renameNew moves an entry to a name that nothing has. Where the file system cannot do that in one step (NFS, for one), a
// look before the step must do.
func (d dir) renameNew(name string, to dir, as string) error {
	err := retry(func() error { return unix.Renameat2(d.fd, name, to.fd, as, unix.RENAME_NOREPLACE) })
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if _, errStat := to.stat(as); errStat == nil {
		return unix.EEXIST
	}
	return d.rename(name, to, as)
}

// exchange has two entries change places, in one step.
func (d dir) exchange(name string, to dir, as string) error {
	return retry(func() error { return unix.Renameat2(d.fd, name, to.fd, as, unix.RENAME_EXCHANGE) })
}

// sync makes what was done to the folder's entries last.
func (d dir) sync() error {
	err := retry(func() error { return unix.Fsync(d.fd) })
	if errors.Is(err, unix.EINVAL) { // a file system that knows no such thing
		return nil
	}
	return err
}

// each calls f for every entry, in the order of their names, which are all held in memory.
func (d dir) each(f func(entry) error) error {
	fd, err := d.openat(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	list := os.NewFile(uintptr(fd), ".")
	names, err := list.Readdirnames(-1)
	_ = list.Close() // was only read
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		e, err := d.stat(name)
		if errors.Is(err, unix.ENOENT) {
			continue // gone meanwhile
		}
		if err != nil {
			return err
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}
