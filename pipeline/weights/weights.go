// Package weights keeps the models and native libraries that Brenda's engines load: which there are, where
// they come from, whether they are whole.
//
// A [Manager] owns a models directory:
//
//	<models>/<name>/<files>         an entry of the catalogue, with manifest.json beside its files
//	<models>/llm/*.gguf             a user's own language models
//	<models>/stt/ggml-*.bin         a user's own Whisper models
//	<models>/.partial/<name>/       what an interrupted Pull left, to go on from
//	<models>/.locks/<name>.lock     held while an entry is changed
//
// Files appear under <name> only when every checksum is right, by one rename.
package weights

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"brenda/pipeline/fault"
)

// Manager fetches, lists, checks and removes models. It is safe for concurrent use, also by several
// processes.
type Manager struct {
	dir     string
	log     *slog.Logger
	entries []Entry
	tools   tools
	free    func(dir string) (uint64, error) // bytes that an ordinary user may still write
	retry   []time.Duration                  // pauses before the second, third… try
	stall   time.Duration                    // a download without a byte for so long is tried again
	now     func() time.Time
}

// New returns the manager of a models directory, which need not exist yet.
func New(dir string, log *slog.Logger) (*Manager, error) {
	entries, err := loadCatalogue()
	if err != nil {
		return nil, err
	}
	return &Manager{
		dir: dir, log: log, entries: entries, tools: tools{pip: findPip, npm: findNpm}, free: freeBytes,
		retry: []time.Duration{time.Second, 4 * time.Second}, stall: time.Minute, now: time.Now,
	}, nil
}

// Dir returns the models directory.
func (m *Manager) Dir() string { return m.dir }

// Catalogue returns every entry that this machine can use, in the order of the catalogue.
func (m *Manager) Catalogue() []Entry { return slices.Clone(m.entries) }

func (m *Manager) entry(name string) (Entry, error) {
	i := slices.IndexFunc(m.entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, fault.New(fault.NotFound, "model_not_found",
			"no model is called %q; `brenda models list` names them all", name)
	}
	return m.entries[i], nil
}

// Installed is a model that is there, with every file in its full size.
type Installed struct {
	Manifest
	Dir       string `json:"dir"`
	Catalogue bool   `json:"catalogue"` // false for a file that the user put there
}

// Bytes returns the size of all files.
func (i Installed) Bytes() int64 {
	var n int64
	for _, f := range i.Files {
		n += f.Bytes
	}
	return n
}

// Path returns the path of the main file: the first of the entry.
func (i Installed) Path() string { return filepath.Join(i.Dir, filepath.FromSlash(i.Files[0].Path)) }

// Installed lists what is there: entries of the catalogue, then the user's own files. It looks at sizes
// only; Verify reads everything.
func (m *Manager) Installed(ctx context.Context) ([]Installed, error) {
	var out []Installed
	for _, e := range m.entries {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if i, ok := m.installed(e.Name); ok {
			out = append(out, i)
		}
	}
	return append(append(out, m.dropped(LLM, "*.gguf")...), m.dropped(STT, "ggml-*.bin")...), nil
}

func (m *Manager) installed(name string) (Installed, bool) {
	dir := filepath.Join(m.dir, name)
	man, err := readManifest(dir)
	if err != nil || man.Name != name || len(man.Files) == 0 {
		return Installed{}, false
	}
	for _, f := range man.Files {
		st, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil || st.Size() != f.Bytes {
			return Installed{}, false
		}
	}
	return Installed{Manifest: man, Dir: dir, Catalogue: true}, true
}

// dropped lists the files that the user put into <models>/<kind>, under their names without the ending.
func (m *Manager) dropped(kind Kind, pattern string) []Installed {
	dir := filepath.Join(m.dir, string(kind))
	paths, _ := filepath.Glob(filepath.Join(dir, pattern)) // the only error is a bad pattern
	var out []Installed
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		file := filepath.Base(p)
		out = append(out, Installed{Dir: dir, Manifest: Manifest{
			Name: strings.TrimSuffix(file, filepath.Ext(file)), Kind: kind, Source: "put there by the user",
			Pulled: st.ModTime().UTC(), Files: []File{{Path: file, Bytes: st.Size()}},
		}})
	}
	return out
}

// find returns the installed model of this name, the catalogue's before the user's.
func (m *Manager) find(name string) (Installed, bool) {
	if i, ok := m.installed(name); ok {
		return i, true
	}
	own := append(m.dropped(LLM, "*.gguf"), m.dropped(STT, "ggml-*.bin")...)
	if i := slices.IndexFunc(own, func(i Installed) bool { return i.Name == name }); i >= 0 {
		return own[i], true
	}
	return Installed{}, false
}

// Path returns the path of a file of an installed model; file "" means its main one. When the model or file
// is not there, the error is a fault.NotFound that names the command to fetch it.
func (m *Manager) Path(name, file string) (string, error) {
	i, ok := m.find(name)
	if !ok {
		return "", missing(name)
	}
	if file == "" {
		return i.Path(), nil
	}
	if !slices.ContainsFunc(i.Files, func(f File) bool { return f.Path == file }) {
		return "", fault.New(fault.NotFound, "model_not_found", "the model %q has no file %q", name, file)
	}
	return filepath.Join(i.Dir, filepath.FromSlash(file)), nil
}

func missing(name string) error {
	return fault.New(fault.NotFound, "model_not_installed",
		"the model %q is not installed; run `brenda models pull %s`", name, name)
}

// Best returns the installed model of a kind that fits best: the first of prefer that is there, else the
// first in the order of the catalogue, else the user's own. The caller says so openly when it is not
// prefer[0].
func (m *Manager) Best(ctx context.Context, kind Kind, prefer ...string) (Installed, error) {
	all, err := m.Installed(ctx)
	if err != nil {
		return Installed{}, err
	}
	all = slices.DeleteFunc(all, func(i Installed) bool { return i.Kind != kind })
	for _, name := range prefer {
		if i := slices.IndexFunc(all, func(i Installed) bool { return i.Name == name }); i >= 0 {
			return all[i], nil
		}
	}
	if len(all) > 0 {
		return all[0], nil
	}
	if len(prefer) > 0 {
		return Installed{}, missing(prefer[0])
	}
	return Installed{}, fault.New(fault.NotFound, "model_not_installed",
		"no model of the kind %q is installed; run `brenda models pull`", kind)
}
