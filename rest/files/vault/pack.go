package vault

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sys/unix"
)

// copyBuffer is how much of a file is held in memory while it is copied.
const copyBuffer = 128 << 10

// Progress is how far packing or unpacking has come.
type Progress struct {
	Files, AllFiles int
	Bytes, AllBytes int64 // of the files themselves, not of the archive
}

// Tell is called often while something goes on. An error of it stops that.
type Tell func(Progress) error

// Packed is what [Vault.Pack] made.
type Packed struct {
	Size    int64 // bytes of the archive
	Sum     string
	Files   int // in it, without folders
	Skipped int // entries that are neither file nor folder, or whose names no client may use
}

// Pack writes a folder's content as a ZIP archive: UTF-8 names, relative to the folder; Zip64 where it takes it. It is a
// stream from the files to the draft; nothing of it is held in memory.
func (v *Vault) Pack(ctx context.Context, folder, archive Path, overwrite bool, tell Tell) (Packed, error) {
	end, err := v.begin()
	if err != nil {
		return Packed{}, err
	}
	defer end()
	d, err := v.enter(folder)
	if err != nil {
		return Packed{}, v.noFolder(err, folder)
	}
	defer d.close()
	if _, err := v.vacant(archive, overwrite); err != nil {
		return Packed{}, err
	}
	stage, err := v.Stage(archive.Dir())
	if err != nil {
		return Packed{}, err
	}
	defer stage.Close()
	draft, err := stage.Draft()
	if err != nil {
		return Packed{}, err
	}
	p := &packer{zip: zip.NewWriter(draft), tell: tell, buf: make([]byte, copyBuffer)}
	p.zip.RegisterCompressor(zip.Deflate, p.compressor)
	if err := p.all(ctx, d); err != nil {
		return Packed{}, reading(err, folder)
	}
	if err := v.Commit(ctx, overwrite, Placing{draft, archive}); err != nil {
		return Packed{}, err
	}
	return Packed{Size: draft.Size(), Sum: draft.Sum(), Files: p.at.Files, Skipped: p.skipped}, nil
}

// noFolder is the fault of a folder that could not be entered.
func (v *Vault) noFolder(err error, p Path) error {
	if errors.Is(err, unix.ENOTDIR) {
		if in, e, errFind := v.find(p); errFind == nil {
			in.close()
			return errKind(p, e.isDir())
		}
	}
	return reading(err, p)
}

type packer struct {
	zip     *zip.Writer
	flate   *flate.Writer
	tell    Tell
	at      Progress
	skipped int
	buf     []byte
}

// compressor lets all files use the same tables in memory, one after the other.
func (p *packer) compressor(w io.Writer) (io.WriteCloser, error) {
	if p.flate != nil {
		p.flate.Reset(w)
		return p.flate, nil
	}
	var err error
	p.flate, err = flate.NewWriter(w, flate.DefaultCompression)
	return p.flate, err
}

func (p *packer) all(ctx context.Context, d dir) (err error) {
	p.skipped, err = visit(ctx, d, Path{}, func(_ Path, _ dir, e entry) error {
		if !e.isDir() {
			p.at.AllFiles++
			p.at.AllBytes += e.size
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := visit(ctx, d, Path{}, func(rel Path, in dir, e entry) error { return p.add(ctx, rel, in, e) }); err != nil {
		return err
	}
	return p.zip.Close()
}

func (p *packer) add(ctx context.Context, rel Path, in dir, e entry) error {
	h := &zip.FileHeader{Name: rel.String(), Modified: e.mtime, Method: zip.Deflate}
	if e.isDir() {
		h.Name, h.Method = h.Name+"/", zip.Store
		h.SetMode(fs.ModeDir | 0o755)
		_, err := p.zip.CreateHeader(h)
		return err
	}
	f, e, err := in.open(e.name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, errNotPlain) {
		return nil // gone, or replaced, since it was seen
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h.SetMode(0o644)
	w, err := p.zip.CreateHeader(h)
	if err != nil {
		return err
	}
	src := &watched{ctx: ctx, r: io.LimitReader(f, e.size), read: func(n int) error { // one that grows has an end all the same
		p.at.Bytes += int64(n)
		return p.tell(p.at)
	}}
	if _, err := io.CopyBuffer(w, src, p.buf); err != nil {
		return err
	}
	p.at.Files++
	return p.tell(p.at)
}

// watched is a reader that stops when ctx ends, and tells of what it read.
type watched struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for it
	r    io.Reader
	read func(n int) error
}

func (w *watched) Read(b []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	n, err := w.r.Read(b)
	if n > 0 {
		if errTell := w.read(n); errTell != nil {
			return n, errTell
		}
	}
	return n, err
}
