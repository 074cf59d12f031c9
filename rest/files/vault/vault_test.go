package vault

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline/fault"
)

func open(tb testing.TB, root string, opt Options) *Vault {
	tb.Helper()
	v, err := Open(root, opt, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func parse(tb testing.TB, s string) Path {
	tb.Helper()
	p, err := Parse(s)
	must(tb, err)
	return p
}

// all returns every path below root.
func all(tb testing.TB, root string) string {
	tb.Helper()
	var names []string
	must(tb, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		names = append(names, rel)
		return err
	}))
	return strings.Join(names[1:], " ")
}

const empty = ".brenda-state .brenda-state/uploads"

// TestSweep: a start removes what a crash left, wherever it left it, nothing else, and counts the rest.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	must(t, open(t, root, Options{}).Close())
	for _, name := range []string{
		draftName(), draftName() + "/a/b", ".brenda-state/" + draftName(), ".brenda-state/uploads/" + strings.Repeat("a", 26),
		"sub/" + draftName(), "sub/" + draftName() + "/" + draftName() + "/x", "sub/keep", "sub/.brenda-notes", "sub/.brenda-draft-x",
	} {
		full := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte("12345"), 0o600))
	}
	v := open(t, root, Options{})
	if got := all(t, root); got != empty+" sub sub/.brenda-draft-x sub/.brenda-notes sub/keep" {
		t.Errorf("there is %s", got)
	}
	if b, n := v.Usage(); b != 5 || n != 2 {
		t.Errorf("%d bytes, %d entries", b, n)
	}
	must(t, v.Close())
}

// TestOneVault: two processes would sweep each other's drafts.
func TestOneVault(t *testing.T) {
	root := t.TempDir()
	v := open(t, root, Options{})
	if _, err := Open(root, Options{}, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrInUse) {
		t.Errorf("the second: %v", err)
	}
	must(t, v.Close())
	v = open(t, root, Options{})
	must(t, v.Close())
	if _, _, err := v.List(Path{}, 0, 1); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

// TestVeryDeep: folders that others nested deeper than any path can be deleted, with few open files, and do no harm before.
func TestVeryDeep(t *testing.T) {
	root := t.TempDir()
	v := open(t, root, Options{})
	at, err := os.OpenRoot(root)
	must(t, err)
	for range 1500 {
		must(t, at.Mkdir("deep", 0o755))
		next, err := at.OpenRoot("deep")
		must(t, err)
		must(t, at.Close())
		at = next
	}
	must(t, at.Close())
	must(t, v.count(true))
	if _, err := v.Pack(t.Context(), parse(t, "deep"), parse(t, "x.zip"), false, func(Progress) error { return nil }); err != nil {
		t.Error(err)
	}
	must(t, v.Remove(t.Context(), parse(t, "deep"), true))
	must(t, v.Remove(t.Context(), parse(t, "x.zip"), false))
	if got := all(t, root); got != empty {
		t.Errorf("there is %s", got)
	}
	must(t, v.Close())
}

// TestForeignDeletes: a quota that others made room in is counted again before it says no.
func TestForeignDeletes(t *testing.T) {
	root := t.TempDir()
	v := open(t, root, Options{MaxBytes: 10})
	write := func(name string) error {
		stage, err := v.Stage(Path{})
		must(t, err)
		defer stage.Close()
		d, err := stage.Draft()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(d, "12345678"); err != nil {
			return err
		}
		return v.Commit(t.Context(), false, Placing{d, parse(t, name)})
	}
	must(t, write("a"))
	must(t, os.Remove(filepath.Join(root, "a")))
	if err := write("b"); !IsFull(err) {
		t.Errorf("counted a moment ago, but: %v", err)
	}
	v.used.counted = time.Now().Add(-time.Hour)
	must(t, write("b"))
	must(t, v.Close())
}

// TestClaims: changes of related paths wait for each other, others do not.
func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c claims
		ctx := t.Context()
		release, err := c.take(ctx, Path{"a/b"})
		must(t, err)
		free, err := c.take(ctx, Path{"a/c"}, Path{"ab"})
		must(t, err)
		free()
		for _, p := range []Path{{"a"}, {"a/b"}, {"a/b/c"}, {""}} {
			short, cancel := context.WithTimeout(ctx, time.Second)
			if _, err := c.take(short, Path{"z"}, p); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q: %v", p, err)
			}
			cancel()
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			release, err := c.take(ctx, Path{"a"})
			if err == nil {
				release()
			}
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Error("it did not wait")
		default:
		}
		release()
		<-done
	})
}

// TestBusy: the newest call for an upload has the one before it stopped, and gives up when that does not stop.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b busy
		stop := make(chan struct{})
		release, err := b.take(t.Context(), "x", func() {
			select {
			case <-stop:
			default:
				close(stop)
			}
		})
		must(t, err)
		go func() { <-stop; release() }()
		next, err := b.take(t.Context(), "x", nil)
		must(t, err)
		if _, err := b.take(t.Context(), "x", nil); fault.As(err).Code != "upload_busy" {
			t.Errorf("got %v", err)
		}
		if b.try("x") != nil || b.try("y") == nil {
			t.Error("try does not tell")
		}
		next()
	})
}

// TestUnpackStopped is F40: a client that leaves half-way, and a connection that fails, leave nothing behind.
func TestUnpackStopped(t *testing.T) {
	root := t.TempDir()
	v := open(t, root, Options{})
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"a", "d/b", "d/c"} {
		out, err := w.Create(name)
		must(t, err)
		_, err = io.WriteString(out, strings.Repeat(name, 1<<18))
		must(t, err)
	}
	must(t, w.Close())
	must(t, os.WriteFile(filepath.Join(root, "x.zip"), b.Bytes(), 0o600))
	failed := errors.New("the connection is gone")
	for name, stop := range map[string]func(cancel func()) error{
		"client left": func(cancel func()) error { cancel(); return nil }, "connection": func(func()) error { return failed },
	} {
		for files := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := v.Unpack(ctx, parse(t, "x.zip"), parse(t, "out"), false, func(p Progress) error {
				if p.Files == files && p.Bytes > 0 {
					if files > 1 && !strings.Contains(all(t, root), "/d/") {
						t.Error("nothing was unpacked yet")
					}
					return stop(cancel)
				}
				return nil
			})
			cancel()
			if !errors.Is(err, failed) && !errors.Is(err, context.Canceled) {
				t.Errorf("%s after %d files: %v", name, files, err)
			}
			if got := all(t, root); got != empty+" x.zip" {
				t.Errorf("%s after %d files: there is %s", name, files, got)
			}
			if b, n := v.Usage(); b != 0 || n != 0 { // the archive came behind its back
				t.Errorf("%d bytes and %d entries are still reserved", b, n)
			}
		}
	}
	must(t, v.Close())
}

// FuzzUnpack: no archive, however broken, does anything but unpack below its folder or be refused.
func FuzzUnpack(f *testing.F) {
	add := func(names ...string) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, name := range names {
			out, err := w.Create(name)
			must(f, err)
			if !strings.HasSuffix(name, "/") {
				_, err = io.WriteString(out, strings.Repeat(name, 100))
				must(f, err)
			}
		}
		must(f, w.Close())
		f.Add(b.Bytes())
	}
	add("a", "b/c", "é")
	add("../x", "/y")
	add("d/", "d/e")
	add("a", "a")
	f.Add([]byte("PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	parent := f.TempDir()
	root := filepath.Join(parent, "root")
	v := open(f, root, Options{Archive: Limits{Bytes: 1 << 20, Entries: 100}})
	f.Cleanup(func() { must(f, v.Close()) })
	archive, out := parse(f, "x.zip"), parse(f, "in/out")
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(filepath.Join(root, "x.zip"), data, 0o600))
		got, err := v.Unpack(t.Context(), archive, out, false, func(Progress) error { return nil })
		if err == nil {
			must(t, v.Remove(t.Context(), out, true))
		} else if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge || got != (Unpacked{}) {
			t.Fatalf("%+v %v", got, err)
		}
		if there := all(t, parent); there != "root root/.brenda-state root/.brenda-state/uploads root/in root/x.zip" &&
			there != "root root/.brenda-state root/.brenda-state/uploads root/x.zip" {
			t.Fatalf("there is %s", there)
		}
	})
}
