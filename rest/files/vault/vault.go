// Package vault keeps the files of clients below one folder of the host, which no path, link, archive or race can leave.
//
// A [Path] is checked once, where it comes in. From the root, which is one os.Root opened for life, the way to a file goes
// through open folders, one element at a time, and no element that is a link is followed (see dir). What is neither a
// folder nor a regular file with exactly one name does not exist for clients: links, devices, FIFOs, sockets. Hard links
// are among them because nothing can tell whether their other name is outside of the root; only somebody with access to
// the root itself can make one.
//
// Everything new is written as a draft under a hidden name in the folder that it is for (see [Stage]), synced to the disk,
// and put in its place by one rename; then the folder is synced. Folders that are missing come into being by that rename
// too. A crash leaves the old or the new, and drafts. Those the next start sweeps on the walk by which it counts what there
// is: a journal of theirs would save nothing, and be wrong where folders were moved.
//
// A folder of the root may be a disk of its own (a mount). Whatever is written there is drafted there, and swept there; the
// parts of a resumable upload are copied from the root's disk next to their place before the rename. Only moving between
// disks, and deleting a folder that has a disk in it, are refused: neither can be done in one step.
package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Options limit a vault. Zero means no limit, unless said otherwise.
type Options struct {
	MaxBytes   int64         // of all files together
	MaxEntries int64         // files and folders together
	Archive    Limits        // of archives that are unpacked
	UploadAge  time.Duration // how long a resumable upload waits for its next part; 0 means 24 h
	MaxUploads int           // resumable uploads under way at once; 0 means 1000
}

// Vault is the files below one root. Its methods may be called from several goroutines.
type Vault struct {
	opt     Options
	log     *slog.Logger
	root    *os.Root
	anchor  *os.File // the root as a folder
	top     dir      // the same
	state   dir      // hidden: what is below belongs to Brenda
	partial dir      // resumable uploads
	claims  claims
	used    usage
	busy    busy
	calls   struct { // that are under way
		mu      sync.Mutex
		closed  bool
		running sync.WaitGroup
	}
	stop  context.CancelFunc
	swept chan struct{} // closed when the sweeper has ended
}

// Names of the hidden folders.
const (
	stateName   = hidden + "state"
	partialName = "uploads"
)

// Modes of folders.
const (
	folderMode  = 0o755
	privateMode = 0o700
)

// ErrInUse is returned by [Open] when another process has this root open.
var ErrInUse = errors.New("another process uses this folder")

// Open opens the vault in a folder, which is made if need be, sweeps what a crash left and counts what there is.
func Open(folder string, opt Options, log *slog.Logger) (*Vault, error) {
	opt.Archive.defaults()
	if opt.UploadAge <= 0 {
		opt.UploadAge = 24 * time.Hour
	}
	if opt.MaxUploads <= 0 {
		opt.MaxUploads = 1000
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("files root: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("files root: %w", err)
	}
	v := &Vault{opt: opt, log: log, root: root, state: dir{-1}, partial: dir{-1}, swept: make(chan struct{})}
	v.used.maxBytes, v.used.maxEntries = opt.MaxBytes, opt.MaxEntries
	if err := v.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("files root: %w", err), v.closeAll())
	}
	ctx, stop := context.WithCancel(context.Background()) //nolint:forbidigo // the sweeper lives as long as the vault
	v.stop = stop
	go v.sweeper(ctx)
	return v, nil
}

func (v *Vault) prepare() error {
	anchor, err := v.root.Open(".")
	if err != nil {
		return err
	}
	v.anchor, v.top = anchor, dir{int(anchor.Fd())}
	if v.state, err = v.top.ensure(stateName, privateMode); err != nil {
		return err
	}
	if err := unix.Flock(v.state.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrInUse
		}
		return err
	}
	if v.partial, err = v.state.ensure(partialName, privateMode); err != nil {
		return err
	}
	if err := v.settle(); err != nil {
		return err
	}
	v.dropOld(time.Now(), math.MinInt64) // at a start nothing is under way
	return v.count(true)
}

// ensure opens a folder, and makes it before if it is missing.
func (d dir) ensure(name string, perm uint32) (dir, error) {
	err := retry(func() error { return unix.Mkdirat(d.fd, name, perm) })
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return dir{-1}, err
	}
	sub, err := d.enter(name)
	if err != nil {
		return dir{-1}, err
	}
	return sub, nil
}

// Close ends the vault. It waits for calls and drafts that are under way; new ones fail.
func (v *Vault) Close() error {
	v.calls.mu.Lock()
	v.calls.closed = true
	v.calls.mu.Unlock()
	v.stop()
	<-v.swept
	v.calls.running.Wait()
	return v.closeAll()
}

func (v *Vault) closeAll() error {
	for _, d := range []dir{v.partial, v.state} {
		if d.fd >= 0 {
			d.close()
		}
	}
	if v.anchor != nil {
		_ = v.anchor.Close() // was only read
	}
	return v.root.Close()
}

// Usage returns the bytes and entries in use, with what is being written.
func (v *Vault) Usage() (bytes, entries int64) {
	t := v.used.total()
	return t.bytes, t.entries
}

// enter opens the folder p, whose way may have no link. The caller closes it.
func (v *Vault) enter(p Path) (dir, error) {
	cur, err := v.top.enter(".")
	if err != nil {
		return cur, err
	}
	for _, name := range p.elements() {
		next, err := cur.enter(name)
		cur.close()
		if err != nil {
			return dir{-1}, err
		}
		cur = next
	}
	return cur, nil
}

// room reserves room, and looks whether somebody else made some before it says that there is none.
func (v *Vault) room(t tally) error {
	err := v.used.reserve(t)
	if err == nil || !v.used.stale(time.Now()) {
		return err
	}
	release, _ := v.claims.try([]Path{{}})
	if release == nil {
		return err
	}
	defer release()
	if errCount := v.count(false); errCount != nil {
		v.log.Warn("files not counted", "error", errCount)
	}
	return v.used.reserve(t)
}

// token returns a name that nothing has.
func token() string { return rand.Text() }

// IsFull tells whether err is the fault of a full disk or quota.
func IsFull(err error) bool { return err != nil && fault.As(err).Code == CodeFull }
