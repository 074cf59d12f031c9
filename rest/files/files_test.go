package files_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

const (
	mkdirRoute    = "/v1/files/directory/create"
	moveDirRoute  = "/v1/files/directory/move"
	rmdirRoute    = "/v1/files/directory/delete"
	zipRoute      = "/v1/files/directory/compress"
	unzipRoute    = "/v1/files/decompress"
	moveRoute     = "/v1/files/move"
	deleteRoute   = "/v1/files/delete"
	uploadRoute   = "/v1/files/upload"
	listRoute     = "/v1/files/list/"
	downloadRoute = "/v1/files/download/"
	streamRoute   = "/v1/files/stream/"
)

// step is one request of a script, with what it must be answered.
type step struct {
	method, path, body string
	status             int
	want               string // in the body
}

func (s *server) run(t *testing.T, script []step) {
	t.Helper()
	for _, c := range script {
		a := s.do(t, c.method, c.path, c.body)
		if a.status != c.status || !strings.Contains(a.body, c.want) {
			t.Errorf("%s %s %s:\n got %d %s\nwant %d %s", c.method, c.path, c.body, a.status, a.body, c.status, c.want)
		}
	}
}

// TestContract runs through every route in the order in which a person would, with every status of the contract.
func TestContract(t *testing.T) {
	const get, post, del, put = http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut
	s := start(t, vault.Options{}, files.Config{})
	s.run(t, []step{
		{get, "/v1/files/list", "", 200, `{"path":"","entries":[],"offset":0,"limit":10000,"total":0}`},
		{get, listRoute, "", 200, `"entries":[]`},
		{post, mkdirRoute, `{"path":"a/é"}`, 201, `{"path":"a/é"}`},
		{post, mkdirRoute, `{"path":"a/é"}`, 409, `"exists"`},
		{post, mkdirRoute, `{"path":"a/é","overwrite":true}`, 201, ``},
		{post, mkdirRoute, `{"path":""}`, 400, `"param":"path"`},
		{post, mkdirRoute, `{}`, 400, `"param":"path"`},
		{post, mkdirRoute, `{"path":7}`, 400, `"param":"path"`},
		{put, uploadRoute + "/a/f.txt", "one", 201, `"sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"`},
		{put, uploadRoute + "/a/f.txt", "two", 409, `"exists"`},
		{put, uploadRoute + "/a/f.txt?overwrite=true", "two", 201, `"size":3`},
		{put, uploadRoute + "/a/new/folder/f", "x", 201, ``},
		{put, uploadRoute + "/a/f.txt/g", "x", 409, `"exists"`},
		{put, uploadRoute + "/a", "x", 409, `"exists"`},
		{put, uploadRoute + "/a?overwrite=true", "x", 409, `"exists"`},
		{put, uploadRoute + "/", "x", 400, `"path"`},
		{post, mkdirRoute, `{"path":"a/f.txt"}`, 409, `"exists"`},
		{post, mkdirRoute, `{"path":"a/f.txt/x"}`, 409, `"exists"`},
		{get, downloadRoute + "a/f.txt", "", 200, `two`},
		{get, streamRoute + "a/f.txt", "", 200, `two`},
		{get, downloadRoute + "a", "", 400, `"wrong_type"`},
		{get, downloadRoute + "", "", 400, `"wrong_type"`},
		{get, downloadRoute + "a/none", "", 404, `"not_found"`},
		{get, downloadRoute + "a/f.txt/x", "", 404, `"not_found"`},
		{get, listRoute + "a", "", 200, `{"name":"f.txt","path":"a/f.txt","type":"file","size":3,"modified":"`},
		{get, listRoute + "a?offset=1&limit=1", "", 200, `"name":"new","path":"a/new","type":"directory","size":0`},
		{get, listRoute + "a?limit=0", "", 400, `"limit"`},
		{get, listRoute + "a/f.txt", "", 400, `"wrong_type"`},
		{get, listRoute + "none", "", 404, `"not_found"`},
		{get, listRoute + "a/", "", 400, `"invalid_path"`},
		{post, moveRoute, `{"source":"a/f.txt","destination":"b.txt"}`, 200, `"path":"b.txt"`},
		{post, moveRoute, `{"source":"a/f.txt","destination":"b.txt"}`, 404, `"param":"source"`},
		{post, moveRoute, `{"source":"b.txt","destination":"none/b.txt"}`, 404, `"param":"destination"`},
		{post, moveRoute, `{"source":"b.txt","destination":"a/new/folder/f"}`, 409, `"param":"destination"`},
		{post, moveRoute, `{"source":"b.txt","destination":"b.txt"}`, 409, `"exists"`},
		{post, moveRoute, `{"source":"b.txt","destination":"a","overwrite":true}`, 409, `"exists"`},
		{post, moveRoute, `{"source":"b.txt","destination":"a/new/folder/f","overwrite":true}`, 200, ``},
		{post, moveRoute, `{"source":"a","destination":"z"}`, 400, `"wrong_type"`},
		{post, moveRoute, `{"source":"a"}`, 400, `"param":"destination"`},
		{post, moveDirRoute, `{"source":"a","destination":"a/é/x"}`, 400, `"into_itself"`},
		{post, moveDirRoute, `{"source":"a/é","destination":"a"}`, 409, `"exists"`},
		{post, moveDirRoute, `{"source":"a/é","destination":"a","overwrite":true}`, 409, ``},
		{post, moveDirRoute, `{"source":"a/new/folder/f","destination":"z"}`, 400, `"wrong_type"`},
		{post, moveDirRoute, `{"source":"","destination":"z"}`, 400, `"param":"source"`},
		{post, moveDirRoute, `{"source":"a/new","destination":"c"}`, 200, ``},
		{post, moveDirRoute, `{"source":"c","destination":"a/é"}`, 409, `"exists"`},
		{post, moveDirRoute, `{"source":"c","destination":"a/é","overwrite":true}`, 200, ``},
		{get, downloadRoute + "a/%C3%A9/folder/f", "", 200, `two`},
		{get, listRoute + "c", "", 404, ``},
		{post, zipRoute, `{"path":"a","zip_name":"a.zip"}`, 200, `"path":"a.zip"`},
		{post, zipRoute, `{"path":"a","zip_name":"a.zip"}`, 409, `"param":"zip_name"`},
		{post, zipRoute, `{"path":"a","zip_name":"a.zip","overwrite":true}`, 200, `"files":1`},
		{post, zipRoute, `{"path":"a","zip_name":"x/a.zip"}`, 400, `"param":"zip_name"`},
		{post, zipRoute, `{"path":"a","zip_name":""}`, 400, `"param":"zip_name"`},
		{post, zipRoute, `{"path":"a"}`, 400, `"param":"zip_name"`},
		{post, zipRoute, `{"path":"","zip_name":"a.zip"}`, 400, `"param":"path"`},
		{post, zipRoute, `{"path":"none","zip_name":"b.zip"}`, 404, `"param":"path"`},
		{post, zipRoute, `{"path":"a.zip","zip_name":"b.zip"}`, 400, `"wrong_type"`},
		{post, unzipRoute, `{"path":"a.zip","extract_path":"out/deep"}`, 200, `{"path":"out/deep","files":1,"size":3}`},
		{get, downloadRoute + "out/deep/%C3%A9/folder/f", "", 200, `two`},
		{post, unzipRoute, `{"path":"a.zip","extract_path":"out/deep"}`, 409, `"param":"extract_path"`},
		{put, uploadRoute + "/out/deep/more", "x", 201, ``},
		{post, unzipRoute, `{"path":"a.zip","extract_path":"out/deep","overwrite":true}`, 200, ``},
		{get, downloadRoute + "out/deep/more", "", 404, ``},
		{post, mkdirRoute, `{"path":"empty"}`, 201, ``},
		{post, unzipRoute, `{"path":"a.zip","extract_path":"empty"}`, 200, ``},
		{post, unzipRoute, `{"path":"a.zip","extract_path":""}`, 409, `"exists"`},
		{post, unzipRoute, `{"path":"a.zip","extract_path":"a.zip"}`, 409, `"exists"`},
		{post, unzipRoute, `{"path":"none","extract_path":"y"}`, 404, `"param":"path"`},
		{post, unzipRoute, `{"path":"a","extract_path":"y"}`, 400, `"wrong_type"`},
		{post, unzipRoute, `{"path":"out/deep/%C3%A9","extract_path":"y"}`, 404, ``},
		{post, unzipRoute, `{"path":"a.zip"}`, 400, `"param":"extract_path"`},
		{del, deleteRoute, `{"path":"a"}`, 400, `"wrong_type"`},
		{del, rmdirRoute, `{"path":"a.zip"}`, 400, `"wrong_type"`},
		{del, rmdirRoute, `{"path":""}`, 400, `"invalid_path"`},
		{del, deleteRoute, `{"path":""}`, 400, `"invalid_path"`},
		{del, deleteRoute, `{"path":"a.zip"}`, 200, `{"path":"a.zip"}`},
		{del, deleteRoute, `{"path":"a.zip"}`, 404, ``},
		{del, rmdirRoute, `{"path":"out"}`, 200, ``},
		{del, rmdirRoute, `{"path":"a"}`, 200, ``},
		{del, rmdirRoute, `{"path":"empty"}`, 200, ``},
		{get, listRoute, "", 200, `"total":0`},
		{get, uploadRoute, "", 405, `"method_not_allowed"`},
	})
	noLitter(t, s.root)
	if bytes, entries := s.vault.Usage(); bytes != 0 || entries != 0 {
		t.Errorf("%d bytes and %d entries are counted in an empty root", bytes, entries)
	}
}

// form makes a multipart body of parts: name, filename ("-" for none), content.
func form(parts ...[3]string) (contentType, body string) {
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		if p[1] == "-" {
			_ = w.WriteField(p[0], p[2])
			continue
		}
		part, _ := w.CreateFormFile(p[0], p[1])
		_, _ = part.Write([]byte(p[2]))
	}
	_ = w.Close()
	return w.FormDataContentType(), b.String()
}

func TestForms(t *testing.T) {
	for name, c := range map[string]struct {
		parts  [][3]string
		status int
		names  string // what is there afterwards
	}{
		"path last":       {[][3]string{{"files", "a", "1"}, {"files", "b", "2"}, {"path", "-", "to"}}, 201, "keep to to/a to/b"},
		"path first":      {[][3]string{{"path", "-", "to"}, {"files", "a", "1"}}, 201, "keep to to/a"},
		"no path":         {[][3]string{{"files", "a", "1"}}, 201, "a keep"},
		"empty path":      {[][3]string{{"files", "a", "1"}, {"path", "-", ""}}, 201, "a keep"},
		"unknown field":   {[][3]string{{"files", "a", "1"}, {"what", "-", "ever"}}, 201, "a keep"},
		"empty file":      {[][3]string{{"files", "a", ""}}, 201, "a keep"},
		"two paths":       {[][3]string{{"path", "-", "x"}, {"files", "a", "1"}, {"path", "-", "y"}}, 400, "keep"},
		"bad path last":   {[][3]string{{"files", "a", "1"}, {"path", "-", "../x"}}, 400, "keep"},
		"twice":           {[][3]string{{"files", "a", "1"}, {"files", "a", "2"}}, 400, "keep"},
		"no file":         {[][3]string{{"path", "-", "x"}}, 400, "keep"},
		"no filename":     {[][3]string{{"files", "-", "x"}}, 400, "keep"},
		"empty filename":  {[][3]string{{"files", "", "x"}}, 400, "keep"},
		"one exists":      {[][3]string{{"files", "a", "1"}, {"files", "keep", "2"}}, 409, "keep"},
		"replace":         {[][3]string{{"files", "keep", "old"}, {"overwrite", "-", "true"}}, 201, "keep"},
		"bad flag":        {[][3]string{{"files", "a", "1"}, {"overwrite", "-", "maybe"}}, 400, "keep"},
		"another field":   {[][3]string{{"upload", "a", "1"}}, 400, "keep"},
		"folder in name":  {[][3]string{{"files", "x/a", "1"}}, 400, "keep"},
		"long path field": {[][3]string{{"path", "-", strings.Repeat("x", 9000)}, {"files", "a", "1"}}, 400, "keep"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, vault.Options{}, files.Config{})
			s.write(t, "keep", "old")
			ct, body := form(c.parts...)
			if a := s.do(t, http.MethodPost, uploadRoute, body, "Content-Type", ct); a.status != c.status {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if got := strings.Join(tree(t, s.root), " "); got != c.names {
				t.Errorf("there is %q, want %q", got, c.names)
			}
			if b, err := os.ReadFile(filepath.Join(s.root, "keep")); err != nil || string(b) != "old" {
				t.Errorf("keep: %q %v", b, err)
			}
			noLitter(t, s.root)
		})
	}
}

// tree returns all paths below root, without Brenda's own.
func tree(tb testing.TB, root string) []string {
	tb.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case rel == ".brenda-state":
			return filepath.SkipDir
		case rel != ".":
			all = append(all, rel)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// TestSums: what the answer says of a file is true.
func TestSums(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	content := strings.Repeat("0123456789", 123_457)
	a := s.upload(t.Context(), "to", "a", content, false)
	var got struct {
		Files []struct {
			Path, Sha256 string
			Size         int
		}
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	if f := got.Files[0]; f.Path != "to/a" || f.Size != len(content) || f.Sha256 != hex.EncodeToString(sum[:]) {
		t.Errorf("got %+v", f)
	}
	if a := s.do(t, http.MethodGet, downloadRoute+"to/a", ""); a.body != content {
		t.Errorf("%d bytes came back of %d", len(a.body), len(content))
	}
}

// TestZones: pages of other origins need a token, here as for all that is private.
func TestZones(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	s.write(t, "a", "1")
	for path, method := range map[string]string{
		"/v1/files/list": http.MethodGet, downloadRoute + "a": http.MethodGet, streamRoute + "a": http.MethodGet,
		uploadRoute: http.MethodPost, uploadRoute + "/b": http.MethodPut, mkdirRoute: http.MethodPost, rmdirRoute: http.MethodDelete,
		moveRoute: http.MethodPost, moveDirRoute: http.MethodPost, deleteRoute: http.MethodDelete, zipRoute: http.MethodPost,
		unzipRoute: http.MethodPost, "/v1/files/tus": http.MethodPost, "/v1/files/tus/x": http.MethodPatch,
	} {
		for _, origin := range []string{"https://evil.example", "null"} {
			if a := s.do(t, method, path, "{}", "Origin", origin); a.status != 403 {
				t.Errorf("%s %s from %s: %d", method, path, origin, a.status)
			}
		}
		if a := s.do(t, method, path, "{}", "Origin", "http://localhost:3000"); a.status == 403 ||
			!strings.Contains(strings.Join(a.header.Values("Access-Control-Expose-Headers"), ","), "Upload-Offset") {
			t.Errorf("%s %s from this machine: %d %v", method, path, a.status, a.header)
		}
	}
}

func TestWithoutAPlace(t *testing.T) {
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "/v1/files/list", nil)
	req.Host = "localhost"
	handler(files.New(nil, files.Config{Absent: "set files.root"})).ServeHTTP(rec, req)
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "files.root") {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}
