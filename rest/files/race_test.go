package files_test

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

// raceTime is how long TestRace goes on; the environment may ask for longer.
func raceTime(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(os.Getenv("BRENDA_TEST_FILES_RACE"))
	if err != nil {
		return 8 * time.Second
	}
	return d
}

// TestRace is F21: while folders and files change places with links out of the root, FIFOs and each other, as fast as the
// machine can, requests of all kinds go through them. None may read, write or delete anything outside.
func TestRace(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	outside := furnish(t, mkdir(t, s.root, "attic"))
	for _, name := range []string{"d/file", "d/sub/file", "f"} {
		s.write(t, name, "inside")
	}
	s.write(t, "good.zip", string(archive(t, entry{name: "z/file", body: "zipped"})))
	links := map[string]string{"d": filepath.Join(outside, "dir"), "f": filepath.Join(outside, "file"), "d/sub": outside}
	ctx, cancel := context.WithTimeout(t.Context(), raceTime(t))
	defer cancel()
	var wg sync.WaitGroup
	var swaps, requests, good atomic.Int64
	for name, target := range links {
		wg.Go(func() { swaps.Add(swap(ctx, t, s.root, name, target)) })
	}
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				a := attack(t.Context(), s, rand.IntN(1000)) //nolint:contextcheck // the last ones may end
				requests.Add(1)
				if a.status/100 == 2 {
					good.Add(1)
				}
				if a.status >= 500 || a.status == 0 {
					t.Errorf("got %d %s (%v)", a.status, a.body, a.err)
				}
				if strings.Contains(a.body, secret) {
					t.Errorf("read what is outside: %s", a.body)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests (%d of them successful) against %d swaps", requests.Load(), good.Load(), swaps.Load())
	outsideIntact(t, outside)
	insideClean(t, s.root)
	noLitter(t, s.root)
	if good.Load() == 0 || swaps.Load() < 1000 {
		t.Error("nothing raced")
	}
}

// swap has root/name and a link to target change places until ctx ends.
func swap(ctx context.Context, t *testing.T, root, name, target string) (n int64) {
	t.Helper()
	here, there := filepath.Join(root, name), filepath.Join(root, "attic", "swap-"+strings.ReplaceAll(name, "/", "-"))
	if err := os.Symlink(target, there); err != nil {
		t.Error(err)
		return 0
	}
	for ctx.Err() == nil {
		if unix.Renameat2(unix.AT_FDCWD, here, unix.AT_FDCWD, there, unix.RENAME_EXCHANGE) == nil { // a folder above may be away
			n++
		}
		if n%64 == 0 { // let the others have the processor; both places last long enough to be met
			unix.Nanosleep(&unix.Timespec{Nsec: 50_000}, nil)
		}
	}
	return n
}

// attack sends one of the requests that could go wrong.
func attack(ctx context.Context, s *server, n int) answer {
	const get, post, del, put = http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut
	at := []string{"d", "d/sub", "f", "d/file", "d/sub/file", "d/new", "d/sub/new"}[n%7]
	m := fmt.Sprint("m", n)
	all := []func() answer{
		func() answer { return s.send(ctx, get, listRoute+at, nil) },
		func() answer { return s.send(ctx, get, downloadRoute+at, nil) },
		func() answer { return s.send(ctx, get, streamRoute+at, nil) },
		func() answer {
			return s.send(ctx, put, uploadRoute+"/"+at+"/new?overwrite=1", strings.NewReader("new"))
		},
		func() answer { return s.send(ctx, put, uploadRoute+"/"+at+"?overwrite=1", strings.NewReader("new")) },
		func() answer { return s.upload(ctx, at, "file", "new", true) },
		func() answer { return s.send(ctx, post, mkdirRoute, strings.NewReader(object("path", at+"/x"))) },
		func() answer { return s.send(ctx, del, deleteRoute, strings.NewReader(object("path", at))) },
		func() answer { return s.send(ctx, del, deleteRoute, strings.NewReader(object("path", at+"/file"))) },
		func() answer { return s.send(ctx, del, rmdirRoute, strings.NewReader(object("path", at+"/x"))) },
		func() answer {
			return s.send(ctx, post, moveRoute, strings.NewReader(object("source", at+"/file", "destination", m)))
		},
		func() answer {
			return s.send(ctx, post, moveRoute, strings.NewReader(object("source", m, "destination", at+"/file", "overwrite", true)))
		},
		func() answer {
			return s.send(ctx, post, moveDirRoute, strings.NewReader(object("source", at+"/z", "destination", at+"/x", "overwrite", true)))
		},
		func() answer {
			return s.send(ctx, post, zipRoute, strings.NewReader(object("path", at, "zip_name", "x.zip", "overwrite", true)))
		},
		func() answer {
			return s.send(ctx, post, unzipRoute, strings.NewReader(object("path", "good.zip", "extract_path", at+"/z", "overwrite", true)))
		},
	}
	return all[n%len(all)]()
}

// insideClean fails when a file in the root, or in an archive there, has what is outside.
func insideClean(t *testing.T, root string) {
	t.Helper()
	for _, name := range tree(t, root) {
		full := filepath.Join(root, name)
		if st, err := os.Lstat(full); err != nil || !st.Mode().IsRegular() || name == "attic/hard" {
			continue
		}
		b, err := os.ReadFile(full)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("%s has what is outside", name)
		}
		r, err := zip.OpenReader(full)
		if err != nil {
			continue
		}
		for _, f := range r.File {
			if in, err := f.Open(); err == nil {
				b, _ := io.ReadAll(in)
				if strings.Contains(string(b), secret) {
					t.Errorf("%s in %s has what is outside", f.Name, name)
				}
			}
		}
		_ = r.Close()
	}
}
