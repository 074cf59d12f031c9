package weights

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// archiveOf returns the downloaded file of a package, and the member that a reference "package!member" names.
func (w workshop) archiveOf(ref string) (file, member string, err error) {
	name, member, ok := strings.Cut(ref, "!")
	i := slices.IndexFunc(w.source.Packages, func(p Package) bool { return p.Name == name })
	if !ok || i < 0 {
		return "", "", fmt.Errorf("bad reference %q", ref)
	}
	return filepath.Join(w.dir, "packages", w.source.Packages[i].File), member, nil
}

// join writes the members one after another.
func (w workshop) join(ctx context.Context, refs []string, out io.Writer) error {
	for _, ref := range refs {
		file, member, err := w.archiveOf(ref)
		if err != nil {
			return err
		}
		found := false
		err = eachMember(file, func(name string, _ os.FileMode, r io.Reader) error {
			if name != member {
				return nil
			}
			found = true
			if _, err := io.Copy(out, readerCtx{ctx, r}); err != nil {
				return err
			}
			return errStop
		})
		if err != nil && !errors.Is(err, errStop) {
			return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
		}
		if !found {
			return fmt.Errorf("%s has no member %q", filepath.Base(file), member)
		}
	}
	return nil
}

// tree unpacks every member below a folder of one package into the folder to.
func (w workshop) tree(ctx context.Context, refs []string, to string) error {
	for _, ref := range refs {
		file, folder, err := w.archiveOf(ref)
		if err != nil {
			return err
		}
		err = eachMember(file, func(name string, mode os.FileMode, r io.Reader) error {
			rel, ok := strings.CutPrefix(name, strings.TrimSuffix(folder, "/")+"/")
			if !ok || rel == "" || !mode.IsRegular() {
				return nil
			}
			if !inside(rel) {
				return fmt.Errorf("member %q leads outside", name)
			}
			target := filepath.Join(to, filepath.FromSlash(rel))
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return writeFile(target, func(out io.Writer) error {
				_, err := io.Copy(out, readerCtx{ctx, r})
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

// errStop ends eachMember early.
var errStop = errors.New("stop")

// eachMember calls visit with the members of a wheel (a zip) or of an npm tarball.
func eachMember(file string, visit func(name string, mode os.FileMode, r io.Reader) error) error {
	if path.Ext(file) == ".tgz" {
		return eachTar(file, visit)
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		// Opened only when somebody reads: most members are passed over.
		lazy := &lazyReader{open: f.Open}
		err := visit(f.Name, f.Mode(), lazy)
		lazy.close()
		if err != nil {
			return err
		}
	}
	return nil
}

func eachTar(file string, visit func(name string, mode os.FileMode, r io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	t := tar.NewReader(gz)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := visit(h.Name, h.FileInfo().Mode(), t); err != nil {
			return err
		}
	}
}

type lazyReader struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(p)
}

func (l *lazyReader) close() {
	if l.r != nil {
		_ = l.r.Close() // only read from
	}
}
