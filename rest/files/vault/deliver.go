package vault

import (
	"context"
	"errors"

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
		return err
	}
	if _, err := v.makeAll(u.Path.Dir()); err != nil {
		return writing(err, u.Path.Dir())
	}
	return v.place(v.partial, u.ID, u.Path, u.Overwrite)
}
