package files_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

// TestKilled kills the server in the middle of each kind of write, 50 times: afterwards there is the old or the new, whole,
// and once it runs again nothing else.
func TestKilled(t *testing.T) {
	const size = 9 << 20
	older, newer := bytes.Repeat([]byte("old"), size/3), bytes.Repeat([]byte("new"), size/3)
	seeded := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, size)
	_, _ = seeded.Read(noise)
	packed := archive(t, entry{name: "big", body: string(noise)}, entry{name: "small", body: "x"})
	kinds := map[string]struct {
		ask   func(ctx context.Context, s *server)
		check func(t *testing.T, root string) (done bool)
	}{
		"put": {func(ctx context.Context, s *server) {
			s.send(ctx, http.MethodPut, uploadRoute+"/f?overwrite=1", bytes.NewReader(newer))
		}, whole("f", older, newer)},
		"form": {func(ctx context.Context, s *server) { s.upload(ctx, "", "f", string(newer), true) }, whole("f", older, newer)},
		"zip": {func(ctx context.Context, s *server) {
			s.send(ctx, http.MethodPost, zipRoute, strings.NewReader(`{"path":"d","zip_name":"new.zip"}`))
		}, func(t *testing.T, root string) bool {
			t.Helper()
			b, err := os.ReadFile(filepath.Join(root, "new.zip"))
			if err != nil {
				return false
			}
			if again := start(t, vault.Options{}, files.Config{}); true {
				again.write(t, "new.zip", string(b))
				again.run(t, []step{{http.MethodPost, unzipRoute, `{"path":"new.zip","extract_path":"o"}`, 200, `"files":1`}})
			}
			return true
		}},
		"unzip": {func(ctx context.Context, s *server) {
			s.send(ctx, http.MethodPost, unzipRoute, strings.NewReader(`{"path":"x.zip","extract_path":"out"}`))
		}, func(t *testing.T, root string) bool {
			t.Helper()
			got := strings.Join(tree(t, root), " ")
			if !strings.Contains(got, " out") {
				return false
			}
			if b, err := os.ReadFile(filepath.Join(root, "out/big")); err != nil || !bytes.Equal(b, noise) || !strings.Contains(got, "out out/big out/small") {
				t.Errorf("unpacked in part: %s", got)
			}
			return true
		}},
		"rmdir": {func(ctx context.Context, s *server) {
			s.send(ctx, http.MethodDelete, rmdirRoute, strings.NewReader(`{"path":"many"}`))
		}, func(t *testing.T, root string) bool {
			t.Helper()
			list, err := os.ReadDir(filepath.Join(root, "many"))
			if err == nil && len(list) != 2000 {
				t.Errorf("deleted in part: %d files are left", len(list))
			}
			return err != nil
		}},
	}
	rounds := 0
	for name, k := range kinds {
		done := 0
		took := time.Duration(0)
		for range 11 {
			root := memoryDir(t)
			c := startChild(t, root, 0)
			c.write(t, "f", string(older))
			c.write(t, "d/f", string(noise))
			c.write(t, "x.zip", string(packed))
			for i := range 2000 {
				if name == "rmdir" {
					c.write(t, fmt.Sprint("many/", i), "x")
				}
			}
			if took == 0 { // how long it takes, to kill within it
				begin := time.Now()
				k.ask(t.Context(), &c.server)
				took = time.Since(begin)
				c.kill()
				continue
			}
			ended := make(chan struct{})
			go func() { defer close(ended); k.ask(t.Context(), &c.server) }()
			kill := time.NewTimer(rand.N(took * 11 / 10))
			select {
			case <-kill.C:
			case <-ended:
			}
			c.kill()
			<-ended
			rounds++
			v, err := vault.Open(root, vault.Options{}, discard())
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Close(); err != nil {
				t.Error(err)
			}
			noLitter(t, root)
			if k.check(t, root) {
				done++
			}
		}
		t.Logf("%s takes %v; killed %d times, done %d times", name, took, 10, done)
	}
	t.Logf("%d kills", rounds)
}

// whole returns a check that a file is one of two.
func whole(name string, older, newer []byte) func(*testing.T, string) bool {
	return func(t *testing.T, root string) bool {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(b, older) && !bytes.Equal(b, newer) {
			t.Errorf("neither old nor new: %d bytes (%v)", len(b), err)
		}
		return bytes.Equal(b, newer)
	}
}

// TestFullDisk: on a disk with no room every write is 507, and what was there is still there. Needs root, to mount it.
func TestFullDisk(t *testing.T) {
	root := t.TempDir()
	mount(t, root, "8m")
	s := startAt(t, root, vault.Options{}, files.Config{})
	s.write(t, "f", "old")
	s.write(t, "d/noise", string(randomBytes(4<<20)))
	s.write(t, "x.zip", string(archive(t, entry{name: "a", body: string(randomBytes(3 << 20))})))
	before := tree(t, root)
	big := string(randomBytes(6 << 20))
	full := func(name string, a answer) {
		t.Helper()
		t.Logf("%-8s %d %s", name, a.status, a.code())
		if a.status != 507 || a.code() != vault.CodeFull {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
		noLitter(t, root)
	}
	full("put", s.do(t, http.MethodPut, uploadRoute+"/f?overwrite=1", big))
	full("form", s.upload(t.Context(), "", "f", big, true))
	full("zip", s.do(t, http.MethodPost, zipRoute, `{"path":"d","zip_name":"y.zip"}`))
	full("unzip", s.do(t, http.MethodPost, unzipRoute, `{"path":"x.zip","extract_path":"out"}`))
	a := s.do(t, http.MethodPost, "/v1/files/tus", "", tusHead(len(big), "f2")...)
	at := a.header.Get("Location")
	a = s.do(t, http.MethodPatch, at, big, tusPatch(0)...)
	if a.status != 507 {
		t.Errorf("tus: got %d %s", a.status, a.body)
	}
	if a = s.do(t, http.MethodDelete, at, "", "Tus-Resumable", "1.0.0"); a.status != 204 {
		t.Errorf("tus: %d", a.status)
	}
	noLitter(t, root)
	if now := tree(t, root); strings.Join(now, " ") != strings.Join(before, " ") {
		t.Errorf("there is %q", now)
	}
	s.run(t, []step{
		{http.MethodGet, downloadRoute + "f", "", 200, "old"},
		{http.MethodDelete, rmdirRoute, `{"path":"d"}`, 200, ""},
		{http.MethodPut, uploadRoute + "/g", big[:2<<20], 201, ""},
	})
}

// TestQuota: the same for a quota, of bytes and of entries; what is deleted makes room.
func TestQuota(t *testing.T) {
	s := start(t, vault.Options{MaxBytes: 1 << 20, MaxEntries: 6}, files.Config{})
	half := strings.Repeat("x", 600<<10)
	s.run(t, []step{
		{http.MethodPut, uploadRoute + "/d/a", half, 201, ""},
		{http.MethodPut, uploadRoute + "/d/b", half, 507, `"storage_full"`},
		{http.MethodPut, uploadRoute + "/d/a?overwrite=1", half, 507, ``}, // both are there for a moment
		{http.MethodPut, uploadRoute + "/d/b", half[:400<<10], 201, ``},
		{http.MethodDelete, deleteRoute, `{"path":"d/a"}`, 200, ``},
		{http.MethodPut, uploadRoute + "/d/c", half[:600<<10], 201, ``},
		{http.MethodPost, mkdirRoute, `{"path":"1/2/3"}`, 201, ``},
		{http.MethodPost, mkdirRoute, `{"path":"4"}`, 507, `"storage_full"`},
		{http.MethodPut, uploadRoute + "/d/e", "x", 507, ``},
		{http.MethodDelete, rmdirRoute, `{"path":"d"}`, 200, ``},
		{http.MethodPut, uploadRoute + "/a", strings.Repeat("y", 1<<20), 201, ``},
		{http.MethodPut, uploadRoute + "/b", "y", 507, ``},
		{http.MethodPut, uploadRoute + "/empty", "", 201, ``},
	})
	if b, n := s.vault.Usage(); b != 1<<20 || n != 5 {
		t.Errorf("%d bytes and %d entries are counted", b, n)
	}
	noLitter(t, s.root)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(rand.NewChaCha8([32]byte{2}), b)
	return b
}
