package vault

import (
	"bytes"
	"context"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// complete puts the data in its place, unless it is there already.
func (v *Vault) complete(ctx context.Context, u Upload) error {
	if _, err := v.partial.stat(u.ID); errors.Is(err, unix.ENOENT) {
		return nil
	}
	release, err := v.claims.take(ctx, u.Path)
	if err != nil {
		return err
	}
	defer release()
	one := tally{entries: 1}
	if err := v.used.reserve(one); err != nil {
		return err
	}
	if err := v.deliver(u); err != nil {
		v.used.release(one)
		return err
	}
	v.used.settle(one)
	return nil
}

// deliver puts what is promised to last in its place. So it may not go by way of a hidden folder, which a crash would turn
// into litter: folders that are missing are made before, and are there when the client asks again.
func (v *Vault) deliver(u Upload) error {
	if _, err := v.vacant(u.Path, u.Overwrite); err != nil {
		if !v.delivered(u) {
			return err
		}
		v.used.freed(tally{u.Length, 1})
		return v.partial.unlink(u.ID)
	}
	if _, err := v.makeAll(u.Path.Dir()); err != nil {
		return writing(err, u.Path.Dir())
	}
	return v.place(v.partial, u.ID, u.Path, u.Overwrite)
}

// delivered tells whether a crash came between the last two steps to another disk: what is at the upload's path is its copy.
func (v *Vault) delivered(u Upload) bool {
	in, err := v.enter(u.Path.Dir())
	if err != nil {
		return false
	}
	defer in.close()
	there, _, err := in.open(u.Path.Base())
	if err != nil {
		return false
	}
	defer there.Close()
	here, _, err := v.partial.open(u.ID)
	if err != nil {
		return false
	}
	defer here.Close()
	return same(here, there)
}

// same compares two streams.
func same(a, b io.Reader) bool {
	p, q := make([]byte, copyBuffer), make([]byte, copyBuffer)
	for {
		n, err := io.ReadFull(a, p)
		m, _ := io.ReadFull(b, q)
		if n != m || !bytes.Equal(p[:n], q[:m]) {
			return false
		}
		if err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}
