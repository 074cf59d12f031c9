package vault

import (
	"errors"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// Info describes a file or a folder.
type Info struct {
	Name     string
	Path     Path
	Folder   bool
	Size     int64 // bytes; 0 for a folder
	Modified time.Time
	Inode    uint64
}

func infoOf(p Path, e entry) Info {
	i := Info{Name: e.name, Path: p, Folder: e.isDir(), Modified: e.mtime, Inode: e.ino}
	if !i.Folder {
		i.Size = e.size
	}
	return i
}

// Open opens a file for reading. Later changes of its path do not touch it. A folder is fault.Invalid.
func (v *Vault) Open(p Path) (*os.File, Info, error) {
	if p.IsRoot() {
		return nil, Info{}, errKind(p, true)
	}
	end, err := v.begin()
	if err != nil {
		return nil, Info{}, err
	}
	defer end()
	in, e, err := v.find(p)
	if err != nil {
		return nil, Info{}, err
	}
	defer in.close()
	if e.isDir() {
		return nil, Info{}, errKind(p, true)
	}
	f, e, err := in.open(p.Base())
	if err != nil {
		return nil, Info{}, reading(err, p)
	}
	return f, infoOf(p, e), nil
}

// List returns the files and folders in a folder, sorted by name: at most limit of them after the first offset, and how
// many there are in all. What clients cannot name is left out.
func (v *Vault) List(p Path, offset, limit int) (page []Info, total int, err error) {
	end, err := v.begin()
	if err != nil {
		return nil, 0, err
	}
	defer end()
	d, err := v.enter(p)
	if err != nil {
		if in, _, errFind := v.find(p); errors.Is(err, unix.ENOTDIR) && errFind == nil {
			in.close()
			return nil, 0, errKind(p, false)
		}
		return nil, 0, reading(err, p)
	}
	defer d.close()
	err = d.each(func(e entry) error {
		if _, errName := Name(e.name); errName != nil || !e.plain() {
			return nil //nolint:nilerr // left out
		}
		total++
		if total > offset && len(page) < limit {
			page = append(page, infoOf(Path{path.Join(p.s, e.name)}, e))
		}
		return nil
	})
	return page, total, reading(err, p)
}
