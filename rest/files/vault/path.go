package vault

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"brenda/pipeline/fault"
)

// Limits of a path. A name may have what the usual file systems of Linux take.
const (
	maxName  = 255  // bytes of one element
	maxPath  = 1024 // bytes of all
	maxDepth = 64   // elements
)

// hidden is how the names of Brenda's own files begin. No client can name or see them.
const hidden = ".brenda-"

// Path names something below the root: its elements are checked, and joined with "/". The zero Path is the root itself.
// [Parse] is the only way from a string to a Path, so that what was checked and what is used can never differ.
type Path struct{ s string }

// Parse checks a path that a client sent. "" is the root. A leading or trailing "/", an empty element, ".", "..", a
// backslash, a control character, a character that turns the direction of writing, what is not UTF-8 (or was not: U+FFFD),
// and names or paths that are too long are fault.Invalid.
func Parse(s string) (Path, error) {
	if s == "" {
		return Path{}, nil
	}
	if len(s) > maxPath {
		return Path{}, badPath("a path may have at most %d bytes", maxPath)
	}
	depth := 0
	for name := range strings.SplitSeq(s, "/") {
		if err := checkName(name); err != nil {
			return Path{}, err
		}
		if depth++; depth > maxDepth {
			return Path{}, badPath("a path may have at most %d elements", maxDepth)
		}
	}
	return Path{s}, nil
}

// Name checks a single name, as [Parse] does an element, and returns it as a path.
func Name(s string) (Path, error) {
	if err := checkName(s); err != nil {
		return Path{}, err
	}
	return Path{s}, nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return badPath("a path is relative, and has no empty element")
	case name == "." || name == "..":
		return badPath("a path may not contain %q", name)
	case len(name) > maxName:
		return badPath("a name may have at most %d bytes", maxName)
	case !utf8.ValidString(name):
		return badPath("a path must be UTF-8")
	case strings.ContainsAny(name, `\/`):
		return badPath("a name may not contain a slash or a backslash")
	case strings.ContainsFunc(name, deceptive):
		return badPath("a path may not contain control characters")
	case len(name) >= len(hidden) && strings.EqualFold(name[:len(hidden)], hidden):
		return badPath("names that begin with %q are reserved", hidden)
	}
	return nil
}

// deceptive tells whether a character makes a name look like another one, or break a line of a log.
func deceptive(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029',
		r == utf8.RuneError: // what decoders of JSON make of what is not UTF-8
		return true
	}
	return unicode.Is(unicode.Bidi_Control, r) && r != '\u200e' && r != '\u200f' // the two marks turn nothing
}

func badPath(format string, args ...any) error {
	return fault.New(fault.Invalid, "invalid_path", format, args...)
}

// String returns the path as clients write it.
func (p Path) String() string { return p.s }

// IsRoot tells whether p is the root itself.
func (p Path) IsRoot() bool { return p.s == "" }

// Dir returns the folder that p is in. The root is in itself.
func (p Path) Dir() Path { return Path{p.s[:max(0, strings.LastIndexByte(p.s, '/'))]} }

// Base returns the last element, "" for the root.
func (p Path) Base() string { return p.s[strings.LastIndexByte(p.s, '/')+1:] }

// Join returns q below p. The sum may be too long for a path.
func (p Path) Join(q Path) (Path, error) {
	switch {
	case p.IsRoot():
		return q, nil
	case q.IsRoot():
		return p, nil
	}
	return Parse(p.s + "/" + q.s)
}

// Holds tells whether q is p or something below it.
func (p Path) Holds(q Path) bool {
	return p.s == "" || p.s == q.s || strings.HasPrefix(q.s, p.s) && q.s[len(p.s)] == '/'
}

// elements returns the names that p is made of, none for the root.
func (p Path) elements() []string {
	if p.s == "" {
		return nil
	}
	return strings.Split(p.s, "/")
}
