package vault

import (
	"context"
	"errors"
	"strings"
	"time"
)

// drop removes an upload, whatever is there of it. Its record goes first: data without one is swept.
func (v *Vault) drop(id string) {
	e, errData := v.partial.stat(id)
	err := errors.Join(gone(v.partial.unlink(id+recordSuffix)), gone(v.partial.unlink(id)))
	if err != nil {
		v.log.Warn("upload not removed yet", "error", err)
	} else if errData == nil {
		v.used.freed(tally{bytes: e.size})
	}
}

// orphanAge is how old something without a record is that no upload under way can be.
const orphanAge = time.Hour

// dropOld drops uploads that wait for longer than they may, and what is older than orphan and no upload: a crash left it.
func (v *Vault) dropOld(now time.Time, orphan time.Duration) {
	var old []string
	err := v.partial.each(func(e entry) error {
		id := strings.TrimSuffix(e.name, recordSuffix)
		u, err := v.look(id)
		switch {
		case err == nil && now.After(u.Expires), // expired
			err != nil && now.Sub(e.mtime) >= orphan:
			old = append(old, id)
		}
		return nil
	})
	for _, id := range old {
		release := v.busy.try(id)
		if release != nil {
			v.drop(id)
			release()
		}
	}
	if err != nil {
		v.log.Warn("uploads not swept", "error", err)
	}
}

// sweeper drops old uploads from time to time.
func (v *Vault) sweeper(ctx context.Context) {
	defer close(v.swept)
	tick := time.NewTicker(min(max(v.opt.UploadAge/10, time.Second), time.Hour))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			v.dropOld(now, orphanAge)
		}
	}
}
