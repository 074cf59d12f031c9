package vault

import (
	"archive/zip"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"brenda/pipeline/fault"
)

// Limits are what an archive may unpack to. Zero means the value named.
type Limits struct {
	Entries   int   // 10,000
	Bytes     int64 // 1 GiB
	Ratio     int64 // of the content to the archive: 100; counts beyond RatioFrom only
	RatioFrom int64 // bytes: 10 MiB
	Depth     int   // of folders in each other: 32
	DiskShare int64 // percent of the free disk: 50
}

func (l *Limits) defaults() {
	l.Entries = cmp.Or(l.Entries, 10_000)
	l.Bytes = cmp.Or(l.Bytes, 1<<30)
	l.Ratio = cmp.Or(l.Ratio, 100)
	l.RatioFrom = cmp.Or(l.RatioFrom, 10<<20)
	l.Depth = cmp.Or(l.Depth, 32)
	l.DiskShare = cmp.Or(l.DiskShare, 50)
}

// A directory of an archive has 46 bytes for each entry, its name, and other things. What is read of it is limited, since
// it is held in memory whole before its entries can be counted.
const (
	directoryEntry = 46 + 256 // bytes that an entry has at most on average
	directoryMore  = 256 << 10
)

// packedEntry is one entry of an archive that may be unpacked.
type packedEntry struct {
	path   Path
	folder bool
	zip    *zip.File
}

func errArchive(code, format string, args ...any) error {
	return fault.New(fault.Invalid, code, format, args...)
}

func errBomb(format string, args ...any) error {
	return fault.New(fault.TooLarge, "archive_too_large", format, args...)
}

// plan reads the directory of an archive and checks every entry, before anything is unpacked. One that may not be unpacked
// refuses the whole archive.
func plan(f *os.File, size int64, l Limits) ([]packedEntry, error) {
	tooMany := errBomb("an archive may have at most %d entries", l.Entries)
	src := &directoryReader{f, int64(l.Entries)*directoryEntry + directoryMore, tooMany}
	r, err := zip.NewReader(src, size)
	src.left = math.MaxInt64 // the entries themselves are read from it too
	switch {
	case errors.Is(err, tooMany):
		return nil, tooMany
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // such paths are refused below
		return nil, fault.Wrap(err, fault.Invalid, "not_a_zip", "this is not a ZIP archive, or it is damaged")
	case len(r.File) > l.Entries:
		return nil, tooMany
	}
	names := map[string]bool{} // path: is a folder
	out := make([]packedEntry, 0, len(r.File))
	var sum uint64
	most := uint64(l.Bytes) //nolint:gosec // positive
	for _, z := range r.File {
		e, err := check(z, l)
		if err != nil {
			return nil, err
		}
		if err := unique(names, e); err != nil {
			return nil, err
		}
		if sum += z.UncompressedSize64; sum > most || z.UncompressedSize64 > most {
			return nil, errBomb("an archive may unpack to at most %d bytes", l.Bytes)
		}
		e.zip = z
		out = append(out, e)
	}
	if len(names) > 2*l.Entries {
		return nil, errBomb("an archive may have at most %d folders", l.Entries)
	}
	return out, overlap(out, size)
}

// directoryReader reads at most left bytes of an archive.
type directoryReader struct {
	f    io.ReaderAt
	left int64
	err  error
}

func (d *directoryReader) ReadAt(p []byte, off int64) (int, error) {
	if d.left -= int64(len(p)); d.left < 0 {
		return 0, d.err
	}
	return d.f.ReadAt(p, off)
}

// check looks at one entry for itself.
func check(z *zip.File, l Limits) (packedEntry, error) {
	name := z.Name
	if !utf8.ValidString(name) { // an archive of before 2006
		if s, err := charmap.CodePage437.NewDecoder().String(name); err == nil {
			name = s
		}
	}
	trimmed := strings.TrimSuffix(name, "/")
	p, err := Parse(trimmed)
	if err != nil || p.IsRoot() {
		return packedEntry{}, errArchive("unsafe_archive", "the archive has the entry %.80q, which is not a path within it", name)
	}
	folder := trimmed != name
	kind := z.Mode().Type()
	switch {
	case folder && kind != fs.ModeDir, !folder && kind != 0:
		return packedEntry{}, errArchive("unsafe_archive", "the archive's entry %.80q is neither a file nor a folder", name)
	case z.Flags&1 != 0:
		return packedEntry{}, errArchive("encrypted_archive", "the archive is encrypted, which is not supported")
	case z.Method != zip.Store && z.Method != zip.Deflate:
		return packedEntry{}, errArchive("unsupported_archive",
			"the archive's entry %.80q is compressed by method %d; only store and deflate are supported", name, z.Method)
	case len(p.elements()) > l.Depth:
		return packedEntry{}, errBomb("an archive may have at most %d folders in each other", l.Depth)
	}
	return packedEntry{path: p, folder: folder}, nil
}

// unique refuses a second entry of the same name, and a file where others need a folder.
func unique(names map[string]bool, e packedEntry) error {
	twice := errArchive("unsafe_archive", "the archive has %.80q twice", e.path.String())
	if folder, ok := names[e.path.s]; ok && (!folder || !e.folder) {
		return twice
	}
	names[e.path.s] = e.folder
	for p := e.path.Dir(); !p.IsRoot(); p = p.Dir() {
		if folder, ok := names[p.s]; ok && !folder {
			return twice
		}
		names[p.s] = true
	}
	return nil
}

// overlap refuses archives whose entries share their data, which lets a small archive unpack to a huge one.
func overlap(all []packedEntry, size int64) error {
	type span struct{ from, to int64 }
	spans := make([]span, 0, len(all))
	for _, e := range all {
		from, err := e.zip.DataOffset()
		length := int64(e.zip.CompressedSize64) //nolint:gosec // compared below
		if err != nil || length < 0 || from > size-length {
			return fault.Wrap(cmp.Or(err, zip.ErrFormat), fault.Invalid, "not_a_zip", "the archive is damaged")
		}
		if length > 0 {
			spans = append(spans, span{from, from + length})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return errArchive("unsafe_archive", "the archive's entries overlap")
		}
	}
	return nil
}
