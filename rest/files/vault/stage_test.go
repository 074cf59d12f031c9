package vault

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// drafting returns the folders below root that have drafts in them.
func drafting(tb testing.TB, root string) string {
	tb.Helper()
	var in []string
	for name := range strings.FieldsSeq(all(tb, root)) {
		if isDraft(filepath.Base(name)) {
			in = append(in, filepath.Dir(name))
		}
	}
	return strings.Join(in, " ")
}

// counted fails when what was counted along the way is not what there is.
func counted(tb testing.TB, v *Vault) {
	tb.Helper()
	b, n := v.Usage()
	must(tb, v.count(false))
	if b2, n2 := v.Usage(); b != b2 || n != n2 {
		tb.Errorf("%d bytes and %d entries are counted, there are %d and %d", b, n, b2, n2)
	}
}

// TestStagePlace: a draft lies in the folder of its file, or in the nearest that there is, and no folder is made before the
// file comes.
func TestStagePlace(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "a/b"), 0o755))
	v := open(t, root, Options{})
	for folder, want := range map[string]string{"": ".", "a": "a", "a/b": "a/b", "a/x/y": "a", "n/m": "."} {
		p, err := parse(t, folder).Join(parse(t, "f"))
		must(t, err)
		before := all(t, root)
		for _, commit := range []bool{false, true} {
			stage, err := v.Stage(p.Dir())
			must(t, err)
			d, err := stage.Draft()
			must(t, err)
			_, err = io.WriteString(d, "x")
			must(t, err)
			if got := drafting(t, root); got != want {
				t.Errorf("the draft of %s is in %q", p, got)
			}
			if commit {
				must(t, v.Commit(t.Context(), false, Placing{d, p}))
			}
			stage.Close()
			if got := all(t, root); drafting(t, root) != "" || !commit && got != before {
				t.Errorf("%s: there is %s", p, got)
			}
		}
		if b, err := os.ReadFile(filepath.Join(root, p.String())); err != nil || string(b) != "x" {
			t.Errorf("%s: %q (%v)", p, b, err)
		}
	}
	counted(t, v)
	must(t, v.Close())
}

// TestFolderGoes: while something is written into a folder, that is deleted, moved, replaced, or put anew: the writer is told
// that it changed, and nothing is left of what was written.
func TestFolderGoes(t *testing.T) {
	packed := func() string {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, name := range []string{"a", "x/b", "x/c"} {
			out, err := w.Create(name)
			must(t, err)
			_, err = io.WriteString(out, strings.Repeat(name, 1<<17))
			must(t, err)
		}
		must(t, w.Close())
		return b.String()
	}()
	writers := map[string]func(v *Vault, meanwhile func()) error{
		"draft": func(v *Vault, meanwhile func()) error {
			stage, err := v.Stage(parse(t, "d/e"))
			must(t, err)
			defer stage.Close()
			d, err := stage.Draft()
			must(t, err)
			_, err = io.WriteString(d, "half")
			must(t, err)
			meanwhile()
			_, err = io.WriteString(d, "whole")
			must(t, err)
			return v.Commit(t.Context(), true, Placing{d, parse(t, "d/e/new")})
		},
		"second draft": func(v *Vault, meanwhile func()) error {
			stage, err := v.Stage(parse(t, "d/e"))
			must(t, err)
			defer stage.Close()
			meanwhile()
			d, err := stage.Draft()
			if err != nil {
				return err
			}
			return v.Commit(t.Context(), true, Placing{d, parse(t, "d/e/new")})
		},
		"pack": func(v *Vault, meanwhile func()) error {
			once := false
			_, err := v.Pack(t.Context(), parse(t, "d/e/old"), parse(t, "d/e/new"), true, func(Progress) error {
				if !once {
					once = true
					meanwhile()
				}
				return nil
			})
			return err
		},
		"unpack": func(v *Vault, meanwhile func()) error {
			once := false
			_, err := v.Unpack(t.Context(), parse(t, "x.zip"), parse(t, "d/e/new"), true, func(p Progress) error {
				if !once && p.Files == 1 {
					once = true
					meanwhile()
				}
				return nil
			})
			return err
		},
	}
	changes := map[string]func(v *Vault){
		"deleted":     func(v *Vault) { must(t, v.Remove(t.Context(), parse(t, "d/e"), true)) },
		"all deleted": func(v *Vault) { must(t, v.Remove(t.Context(), parse(t, "d"), true)) },
		"moved":       func(v *Vault) { must(t, v.Move(t.Context(), parse(t, "d/e"), parse(t, "m"), true, false)) },
		"all moved":   func(v *Vault) { must(t, v.Move(t.Context(), parse(t, "d"), parse(t, "m"), true, false)) },
		"replaced":    func(v *Vault) { must(t, v.Move(t.Context(), parse(t, "o"), parse(t, "d/e"), true, true)) },
		"made anew": func(v *Vault) {
			must(t, v.Remove(t.Context(), parse(t, "d"), true))
			must(t, v.Mkdir(t.Context(), parse(t, "d/e"), false))
		},
	}
	for what, write := range writers {
		for how, change := range changes {
			root := t.TempDir()
			for name, content := range map[string]string{"d/e/old/f": strings.Repeat("x", 1<<18), "o/f": "x", "x.zip": packed} {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
				must(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o600))
			}
			v := open(t, root, Options{})
			err := write(v, func() { change(v) })
			if k := fault.KindOf(err); k != fault.Conflict && k != fault.NotFound {
				t.Errorf("%s, %s: %v", what, how, err)
			}
			got := all(t, root)
			if drafting(t, root) != "" || strings.Contains(got, "new") {
				t.Errorf("%s, %s: there is %s", what, how, got)
			}
			counted(t, v)
			must(t, v.Close())
		}
	}
}

// TestSwapCrash: a crash between the two steps by which a folder replaces another leaves a record, by which the next start
// ends the second. A record of a swap that was not begun, or was ended, does nothing.
func TestSwapCrash(t *testing.T) {
	for _, state := range []string{"before", "between", "after", "half a record"} {
		root := t.TempDir()
		for _, name := range []string{"src/new", "to/dst/old"} {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
			must(t, os.WriteFile(filepath.Join(root, name), []byte("x"), 0o600))
		}
		must(t, open(t, root, Options{}).Close())
		var old unix.Stat_t
		must(t, unix.Stat(filepath.Join(root, "to/dst"), &old))
		rec, err := json.Marshal(swapRecord{"src", old.Dev, old.Ino})
		must(t, err)
		src, dst := filepath.Join(root, "src"), filepath.Join(root, "to/dst")
		want := empty + " to to/dst to/dst/new"
		switch state {
		case "before":
			want = empty + " src src/new to to/dst to/dst/old"
		case "half a record":
			want = empty + " src src/new to to/dst to/dst/old"
			rec = rec[:10]
		default:
			must(t, unix.Renameat2(unix.AT_FDCWD, src, unix.AT_FDCWD, dst, unix.RENAME_EXCHANGE))
		}
		if state == "after" {
			must(t, os.Rename(src, filepath.Join(root, draftName())))
		}
		must(t, os.WriteFile(filepath.Join(root, stateName, swapPrefix+token()), rec, 0o600))
		must(t, open(t, root, Options{}).Close())
		if got := all(t, root); got != want {
			t.Errorf("%s: there is %s", state, got)
		}
	}
}

// TestDeliveredTwice: an upload whose file is in its place already, since a crash kept its data from being removed, is done.
// Where another file is, it is refused as ever.
func TestDeliveredTwice(t *testing.T) {
	for content, ok := range map[string]bool{"abc": true, "abd": false, "abcd": false} {
		root := t.TempDir()
		v := open(t, root, Options{})
		u, err := v.NewUpload(t.Context(), parse(t, "f"), 3, false, "")
		must(t, err)
		must(t, os.WriteFile(filepath.Join(root, stateName, partialName, u.ID), []byte("abc"), 0o600))
		must(t, os.WriteFile(filepath.Join(root, "f"), []byte(content), 0o600))
		must(t, v.count(false))
		u, err = v.Upload(t.Context(), u.ID)
		if (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Conflict || !u.Complete() {
			t.Errorf("%s: %+v %v", content, u, err)
		}
		counted(t, v)
		must(t, v.Close())
	}
}
