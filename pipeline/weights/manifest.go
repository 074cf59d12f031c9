package weights

import (
	"context"
	"crypto/sha1" //nolint:gosec // upstream publishes SHA-1 of some files; SHA-256 is used wherever there is one
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const manifestFile = "manifest.json"

// Manifest records what was installed: it lies beside the files.
type Manifest struct {
	Name   string    `json:"name"`
	Kind   Kind      `json:"kind"`
	Source string    `json:"source"`
	Pulled time.Time `json:"pulled"`
	Files  []File    `json:"files"`
}

func readManifest(dir string) (Manifest, error) {
	var m Manifest
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	for _, f := range m.Files {
		if !inside(f.Path) {
			return m, fmt.Errorf("read manifest: bad path %q", f.Path)
		}
	}
	return m, nil
}

func writeManifest(dir string, m Manifest) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifestFile)
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return syncPath(path)
}

// hashFile returns size and checksums of a file.
func hashFile(ctx context.Context, path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	h256, h1 := sha256.New(), sha1.New() //nolint:gosec // see the import
	n, err := io.CopyBuffer(io.MultiWriter(h256, h1), readerCtx{ctx, f}, make([]byte, 1<<20))
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return File{Bytes: n, SHA256: hex.EncodeToString(h256.Sum(nil)), SHA1: hex.EncodeToString(h1.Sum(nil))}, nil
}

// differs says how a file is not what it should be, or nothing.
func (f File) differs(got File) string {
	switch {
	case f.Bytes > 0 && got.Bytes != f.Bytes:
		return fmt.Sprintf("has %d bytes, not %d", got.Bytes, f.Bytes)
	case f.SHA256 != "" && got.SHA256 != f.SHA256:
		return "has the SHA-256 " + got.SHA256 + ", not " + f.SHA256
	case f.SHA256 == "" && f.SHA1 != "" && got.SHA1 != f.SHA1:
		return "has the SHA-1 " + got.SHA1 + ", not " + f.SHA1
	}
	return ""
}

// checkFile hashes a file and compares it with what it should be.
func checkFile(ctx context.Context, path string, want File) (File, error) {
	got, err := hashFile(ctx, path)
	if err != nil {
		return got, err
	}
	if d := want.differs(got); d != "" {
		return got, &mismatchError{file: filepath.Base(path), how: d}
	}
	return got, nil
}

// mismatchError is a file that arrived whole and is not what the catalogue lists. Trying again does not help.
type mismatchError struct{ file, how string }

func (e *mismatchError) Error() string { return e.file + " " + e.how }

// readerCtx ends a long read when ctx ends.
type readerCtx struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

func (r readerCtx) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// syncPath flushes a file or folder to the disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", filepath.Base(path), err)
	}
	return nil
}
