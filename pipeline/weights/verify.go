package weights

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"brenda/pipeline/fault"
)

// Check is the result of reading an installed model.
type Check struct {
	Name     string   `json:"name"`
	Bytes    int64    `json:"bytes"`
	Problems []string `json:"problems,omitempty"` // none when all is well
}

// OK says whether the model is whole.
func (c Check) OK() bool { return len(c.Problems) == 0 }

// Verify reads the models named, else all that are there, and compares every byte with its checksum. A model
// that is missing or damaged is in the result, not an error.
func (m *Manager) Verify(ctx context.Context, names []string) ([]Check, error) {
	if len(names) == 0 {
		names = m.present()
	}
	var out []Check
	for _, name := range names {
		c, err := m.check(ctx, name)
		if err != nil {
			return out, err
		}
		out = append(out, c)
	}
	return out, nil
}

// present returns the entries that have a folder, and the user's files.
func (m *Manager) present() []string {
	var names []string
	for _, e := range m.entries {
		if _, err := os.Stat(filepath.Join(m.dir, e.Name)); err == nil {
			names = append(names, e.Name)
		}
	}
	for _, i := range append(m.dropped(LLM, "*.gguf"), m.dropped(STT, "ggml-*.bin")...) {
		names = append(names, i.Name)
	}
	return names
}

func (m *Manager) check(ctx context.Context, name string) (Check, error) {
	c := Check{Name: name}
	dir := filepath.Join(m.dir, name)
	man, err := readManifest(dir)
	if err != nil {
		if own, ok := m.find(name); ok { // the user's own file: nothing to compare it with
			c.Bytes = own.Bytes()
			return c, nil
		}
		if _, err := m.entry(name); err != nil {
			return c, err
		}
		c.Problems = append(c.Problems, "not installed; run `brenda models pull "+name+"`")
		return c, nil
	}
	for _, f := range man.Files {
		got, err := hashFile(ctx, filepath.Join(dir, filepath.FromSlash(f.Path)))
		if context.Cause(ctx) != nil {
			return c, context.Cause(ctx)
		}
		if err != nil {
			c.Problems = append(c.Problems, f.Path+" cannot be read")
			continue
		}
		c.Bytes += got.Bytes
		if d := f.differs(got); d != "" {
			c.Problems = append(c.Problems, f.Path+" "+d)
		}
	}
	c.Problems = append(c.Problems, m.strangers(man)...)
	if !c.OK() {
		c.Problems = append(c.Problems, "run `brenda models pull --force "+name+"`")
	}
	return c, nil
}

// strangers names files of the manifest that no source of the catalogue lists: an old version, or one of a
// folder of the user's own, is none.
func (m *Manager) strangers(man Manifest) []string {
	e, err := m.entry(man.Name)
	if err != nil || man.fromUser() {
		return nil
	}
	known := map[string]bool{}
	byName := map[string]bool{}
	for _, s := range append([]Source{{}}, e.Sources...) {
		for _, f := range s.files(e) {
			known[f.SHA256] = true
			byName[f.Path] = f.SHA256 == ""
		}
	}
	var out []string
	for _, f := range man.Files {
		if !known[f.SHA256] && !byName[f.Path] {
			out = append(out, f.Path+" is not the version that this brenda lists")
		}
	}
	return out
}

func (m Manifest) fromUser() bool { return len(m.Source) > 5 && m.Source[:5] == "file " }

// Remove deletes models and what is left of their downloads, and returns how many bytes that freed. A model
// that is not there is a fault.NotFound; the others are removed all the same.
func (m *Manager) Remove(ctx context.Context, names []string, p Progress) (int64, error) {
	var freed int64
	var absent []string
	for _, name := range names {
		n, ok, err := m.remove(ctx, name, p)
		freed += n
		if err != nil {
			return freed, err
		}
		if !ok {
			absent = append(absent, name)
		}
	}
	if len(absent) > 0 {
		return freed, fault.New(fault.NotFound, "model_not_installed", "not installed: %v", absent)
	}
	return freed, nil
}

func (m *Manager) remove(ctx context.Context, name string, p Progress) (freed int64, ok bool, err error) {
	if slices.ContainsFunc(m.entries, func(e Entry) bool { return e.Name == name }) {
		return m.removeEntry(ctx, name, p)
	}
	own, ok := m.find(name)
	if !ok {
		return 0, false, nil
	}
	if err := os.Remove(own.Path()); err != nil {
		return 0, true, fmt.Errorf("remove %s: %w", name, err)
	}
	return own.Bytes(), true, nil
}

func (m *Manager) removeEntry(
	ctx context.Context, name string, p Progress,
) (freed int64, ok bool, err error) {
	unlock, err := m.lock(ctx, name, p)
	if err != nil {
		return 0, false, err
	}
	defer unlock()
	for _, dir := range []string{filepath.Join(m.dir, name), filepath.Join(m.dir, ".partial", name)} {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		ok = true
		n := dirSize(dir)
		if err := os.RemoveAll(dir); err != nil {
			return freed, true, fmt.Errorf("remove %s: %w", name, err)
		}
		freed += n
	}
	return freed, ok, nil
}
