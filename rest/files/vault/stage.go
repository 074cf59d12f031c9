package vault

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Stage is where drafts lie: in the very folder that they are for, under hidden names, or in the nearest one above it as
// long as that folder does not exist. So they are on its disk, whatever is mounted where, and one rename puts each in its
// place.
type Stage struct {
	v      *Vault
	end    func()
	at     dir
	near   Path // where at was when it was opened
	drafts []*Draft
}

// Stage opens a stage for what is to go into a folder, which may be missing. [Stage.Close] must be called.
func (v *Vault) Stage(folder Path) (*Stage, error) {
	end, err := v.begin()
	if err != nil {
		return nil, err
	}
	at, missing, err := v.nearest(folder)
	if err != nil {
		end()
		return nil, writing(err, folder)
	}
	all := folder.elements()
	return &Stage{v: v, end: end, at: at, near: Path{strings.Join(all[:len(all)-len(missing)], "/")}}, nil
}

// Close removes the drafts that were not committed.
func (s *Stage) Close() {
	for _, d := range s.drafts {
		d.discard()
	}
	s.at.close()
	s.end()
}

// intact fails when the stage's folder was moved or deleted since it was opened, and what is on it with it. The claim of a
// path below is held.
func (s *Stage) intact() error {
	now, err := s.v.enter(s.near)
	if err == nil {
		defer now.close()
		var was, is unix.Stat_t
		err = errors.Join(unix.Fstat(s.at.fd, &was), unix.Fstat(now.fd, &is))
		if err == nil && was.Dev == is.Dev && was.Ino == is.Ino {
			return nil
		}
	}
	return errChanged(err, s.near)
}

// errChanged is the fault of a folder that is no longer what and where it was when a request began.
func errChanged(err error, p Path) error {
	const text = "the folder %q was moved or deleted meanwhile; try again"
	if err == nil {
		return fault.New(fault.Conflict, "changed", text, p.String())
	}
	return fault.Wrap(err, fault.Conflict, "changed", text, p.String())
}

// Names of drafts, and of what is being deleted.
const (
	draftPrefix = hidden + "draft-"
	draftLength = len(draftPrefix) + 26 // what token makes
)

// draftName returns a name for a draft that nothing has.
func draftName() string { return draftPrefix + token() }

// isDraft tells whether a name is one of draftName. Nothing else is ever swept, even if its name is as hidden.
func isDraft(name string) bool {
	return len(name) == draftLength && strings.HasPrefix(name, draftPrefix)
}
