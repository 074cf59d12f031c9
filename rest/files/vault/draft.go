package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"os"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// reserveStep is how much room a draft takes at once.
const reserveStep = 1 << 20

// Draft is a file that is being written. Nobody sees it before [Vault.Commit].
type Draft struct {
	v     *Vault
	stage *Stage
	name  string // on the stage; "" when it is there no more
	file  *os.File
	hash  hash.Hash
	size  int64
	taken tally // reserved
}

// Draft returns a new draft on the stage.
func (s *Stage) Draft() (*Draft, error) {
	d := &Draft{v: s.v, stage: s, hash: sha256.New()}
	if err := d.take(tally{entries: 1}); err != nil {
		return nil, err
	}
	name := draftName()
	file, err := s.at.create(name)
	if err != nil {
		d.discard()
		return nil, writing(err, s.near)
	}
	d.name, d.file = name, file
	s.drafts = append(s.drafts, d)
	return d, nil
}

func (d *Draft) take(t tally) error {
	err := d.v.room(t)
	if err == nil {
		d.taken = d.taken.plus(t)
	}
	return err
}

// Write adds to the draft. A full disk or quota is an error of [IsFull].
func (d *Draft) Write(p []byte) (int, error) {
	if need := d.size + int64(len(p)) - d.taken.bytes; need > 0 {
		if err := d.take(tally{bytes: max(need, reserveStep)}); err != nil {
			if err = d.take(tally{bytes: need}); err != nil { // the last bytes of a quota count too
				return 0, err
			}
		}
	}
	n, err := d.file.Write(p)
	d.size += int64(n)
	d.hash.Write(p[:n])
	return n, common(err, Path{})
}

// Done ends the writing, and makes what was written last. Commit does it too; a form with many files needs fewer open
// files when each is done before the next begins.
func (d *Draft) Done() error { return d.finish() }

// Size returns how many bytes were written.
func (d *Draft) Size() int64 { return d.size }

// Sum returns the SHA-256 of what was written, in hexadecimal digits.
func (d *Draft) Sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }

// finish makes what was written last, and gives back what was reserved too much.
func (d *Draft) finish() error {
	if d.file == nil {
		return nil
	}
	err := errors.Join(retry(d.file.Sync), d.file.Close())
	d.file = nil
	spare := tally{bytes: d.taken.bytes - d.size}
	d.v.used.release(spare)
	d.taken = d.taken.minus(spare)
	return common(err, Path{})
}

// discard removes the draft, unless it was committed.
func (d *Draft) discard() {
	if d.file != nil {
		_ = d.file.Close() // nobody wants what is in it
	}
	if d.name != "" {
		if err := gone(d.stage.at.unlink(d.name)); err != nil {
			d.v.log.Warn("draft not removed yet", "error", err)
		}
	}
	d.v.used.release(d.taken)
	d.name, d.file, d.taken = "", nil, tally{}
}

// Placing says where a draft belongs.
type Placing struct {
	Draft *Draft
	Path  Path
}

// Commit puts drafts in their places, each in one step. Folders that are missing are made. What exists already is
// fault.Conflict, before anything is put anywhere, unless it is a file and overwrite is set.
func (v *Vault) Commit(ctx context.Context, overwrite bool, all ...Placing) error {
	paths := make([]Path, len(all))
	for i, one := range all {
		if one.Path.IsRoot() {
			return errRoot()
		}
		paths[i] = one.Path
		if err := one.Draft.finish(); err != nil {
			return err
		}
	}
	release, err := v.claims.take(ctx, paths...)
	if err != nil {
		return err
	}
	defer release()
	for _, one := range all {
		if err := one.Draft.stage.intact(); err != nil {
			return err
		}
		if _, err := v.vacant(one.Path, overwrite); err != nil {
			return err
		}
	}
	for _, one := range all {
		if err := v.place(one.Draft.stage.at, one.Draft.name, one.Path, overwrite); err != nil {
			return err
		}
		v.used.settle(one.Draft.taken)
		one.Draft.name, one.Draft.taken = "", tally{}
	}
	return nil
}

// vacant tells whether a file can be put at p, and the size of the one there that would be replaced.
func (v *Vault) vacant(p Path, overwrite bool) (replaced tally, err error) {
	in, err := v.enter(p.Dir())
	if errors.Is(err, unix.ENOENT) {
		return tally{}, nil
	}
	if err != nil {
		return tally{}, writing(err, p.Dir())
	}
	defer in.close()
	e, err := in.stat(p.Base())
	switch {
	case errors.Is(err, unix.ENOENT):
		return tally{}, nil
	case err != nil:
		return tally{}, writing(err, p)
	case !e.isFile():
		return tally{}, errOccupied(p)
	case !overwrite:
		return tally{}, errExists(p)
	}
	return size(e), nil
}

// place moves the file of this name in from to p, whose claim is held.
func (v *Vault) place(from dir, name string, p Path, overwrite bool) error {
	replaced, err := v.vacant(p, overwrite)
	if err != nil {
		return err
	}
	move := dir.renameNew
	if overwrite {
		move = dir.rename
	}
	if err := v.put(from, name, p, move); err != nil {
		return writing(err, p)
	}
	v.used.freed(replaced)
	return nil
}

// begin counts a call, so that Close waits for it.
func (v *Vault) begin() (end func(), err error) {
	v.calls.mu.Lock()
	defer v.calls.mu.Unlock()
	if v.calls.closed {
		return nil, fault.New(fault.Unavailable, "closing", "the server is shutting down")
	}
	v.calls.running.Add(1)
	return v.calls.running.Done, nil
}
