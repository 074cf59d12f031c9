package vault

import (
	"encoding/json"
	"errors"
	"strings"
)

// swapRecord is on the disk while a folder replaces another. They change places in one step; in the next one, the old folder
// is hidden. Between the two it has the name of the new one: from the record, a start after a crash knows that it may not.
type swapRecord struct {
	Path string `json:"path"` // of the folder that moves
	Dev  uint64 `json:"dev"`  // of the old one
	Ino  uint64 `json:"ino"`
}

const swapPrefix = "swap-"

// swap moves the folder src over the one old, which is hidden.
func (v *Vault) swap(src Path, from, to dir, old entry) (*trash, error) {
	sum, err := v.weigh(to, old)
	if err != nil {
		return nil, err
	}
	t, err := v.trash(from, draftName(), sum)
	if err != nil {
		return nil, err
	}
	record := swapPrefix + token()
	b, err := json.Marshal(swapRecord{src.String(), old.dev, old.ino})
	if err == nil {
		err = v.state.write(record, b)
	}
	if err == nil {
		err = v.state.sync()
	}
	if err == nil {
		err = from.exchange(src.Base(), to, old.name)
	}
	if err == nil {
		err = from.rename(src.Base(), from, t.name)
	}
	if errTidy := gone(v.state.unlink(record)); errTidy != nil {
		v.log.Warn("record not removed yet", "error", errTidy)
	}
	if err != nil {
		t.in.close()
		return nil, err
	}
	return t, nil
}

// settle ends the swaps that a crash broke off, and removes what else should not be among Brenda's own.
func (v *Vault) settle() error {
	return v.state.each(func(e entry) error {
		if e.name == partialName {
			return nil
		}
		if strings.HasPrefix(e.name, swapPrefix) {
			if err := v.unswap(e.name); err != nil {
				v.log.Warn("a move that a crash broke off is not ended", "error", err)
			}
		}
		return v.remove(v.state, e)
	})
}

// unswap hides the old folder of a record, if it still has the new one's name.
func (v *Vault) unswap(record string) error {
	f, _, err := v.state.open(record)
	if err != nil {
		return err
	}
	defer f.Close()
	var r swapRecord
	if err := json.NewDecoder(f).Decode(&r); err != nil {
		return nil // not written whole: the swap never began
	}
	p, err := Parse(r.Path)
	if err != nil {
		return err
	}
	in, err := v.enter(p.Dir())
	if err != nil {
		return gone(err)
	}
	defer in.close()
	e, err := in.stat(p.Base())
	if err != nil || !e.isDir() || e.dev != r.Dev || e.ino != r.Ino {
		return gone(err)
	}
	return errors.Join(in.rename(e.name, in, draftName()), in.sync())
}
