package vault

import (
	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// trash is a folder that clients see no more: it has a draft's name until it is removed, by the next start if need be. A nil
// trash is none.
type trash struct {
	v    *Vault
	in   dir
	name string
	sum  tally // what it holds
}

// hide takes a folder away from clients, in one step.
func (v *Vault) hide(in dir, e entry) (*trash, error) {
	sum, err := v.weigh(in, e)
	if err != nil {
		return nil, err
	}
	t, err := v.trash(in, draftName(), sum)
	if err != nil {
		return nil, err
	}
	if err := in.rename(e.name, in, t.name); err != nil {
		t.in.close()
		return nil, err
	}
	return t, nil
}

// trash returns the trash of this name in in, which may be closed then.
func (v *Vault) trash(in dir, name string, sum tally) (*trash, error) {
	in, err := in.enter(".")
	return &trash{v, in, name, sum}, err
}

// weigh returns what a folder that is to be removed holds. One that has a disk in it is refused, since that would be emptied
// but could not be removed.
func (v *Vault) weigh(in dir, e entry) (tally, error) {
	s := survey{v: v, disk: e.dev}
	s.add(e)
	sub, err := in.enter(e.name)
	if err != nil {
		return tally{}, err
	}
	defer sub.close()
	if err := s.below(sub, 0); err != nil {
		return tally{}, err
	}
	if s.mounts > 0 {
		return tally{}, fault.New(fault.Conflict, "busy", "another disk is mounted in this folder")
	}
	return s.sum, nil
}

// discard removes what is hidden, and counts the room that this frees.
func (t *trash) discard() {
	if t == nil {
		return
	}
	defer t.in.close()
	if err := t.v.remove(t.in, entry{name: t.name, mode: unix.S_IFDIR}); err != nil {
		t.v.log.Warn("not removed yet", "error", err)
	}
	t.v.used.freed(t.sum)
}
