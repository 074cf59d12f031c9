package files_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

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
