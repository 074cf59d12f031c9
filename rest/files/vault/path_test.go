package vault

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"brenda/pipeline/fault"
)

// FuzzPath: what Parse lets through can only be below the root, is not changed on the way, and names nothing of Brenda's.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"", "a", "a/b", "été/œuf", "..", "../x", "a/../b", "./a", "/etc/passwd", "//a", "a//b", "a/", `..\x`, `C:\x`, "a\x00b", "a\nb",
		"a\u202eb", "a\xff", ".brenda-state", "x/.BRENDA-state/y", strings.Repeat("n", 256), strings.Repeat("d/", 65) + "x", "a\u2028b", "...", "-rf", " ",
	} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, s, below string) {
		p, err := Parse(s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if p.String() != s || !utf8.ValidString(s) {
			t.Fatalf("%q became %q", s, p)
		}
		if s != "" && (!filepath.IsLocal(s) || path.Clean(s) != s || strings.ContainsAny(s, "\\\x00\r\n")) {
			t.Fatalf("%q is not local", s)
		}
		if strings.Contains("/"+strings.ToLower(s), "/"+hidden) {
			t.Fatalf("%q names what is hidden", s)
		}
		if !p.IsRoot() {
			again, err := p.Dir().Join(Path{p.Base()})
			if err != nil || again != p || !p.Dir().Holds(p) || p.Holds(p.Dir()) || slices.Contains(p.elements(), "") {
				t.Fatalf("%q is made of %q and %q", s, p.Dir(), p.Base())
			}
		}
		q, err := Name(below)
		if err != nil {
			return
		}
		if sum, err := p.Join(q); err == nil && (!p.Holds(sum) || sum.Base() != below || sum.Dir() != p) {
			t.Fatalf("%q below %q is %q", below, s, sum)
		}
	})
}

func TestHolds(t *testing.T) {
	for _, c := range []struct {
		p, q string
		want bool
	}{
		{"", "a", true},
		{"", "", true},
		{"a", "a", true},
		{"a", "a/b", true},
		{"a", "ab", false}, // a prefix of bytes is no folder (CVE-2026-54097)
		{"a/b", "a", false},
		{"a", "", false},
	} {
		if got := (Path{c.p}).Holds(Path{c.q}); got != c.want {
			t.Errorf("%q holds %q: %v", c.p, c.q, got)
		}
	}
}
