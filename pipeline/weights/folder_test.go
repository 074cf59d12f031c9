package weights

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestPullAFolder: a model of several files comes from the folder that an address names, or from the user's own.
func TestPullAFolder(t *testing.T) {
	content := map[string][]byte{"onnx/image.onnx": blob(3000), "words.txt": blob(500)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b := content[r.URL.Path[len("/hub/"):]]; b != nil {
			_, _ = w.Write(b)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(srv.Close)
	e := Entry{Name: "pair", Kind: Vision, Sources: []Source{{URL: srv.URL + "/hub/"}}}
	own := t.TempDir()
	for _, path := range []string{"onnx/image.onnx", "words.txt"} {
		b := content[path]
		e.Files = append(e.Files, File{Path: path, Bytes: int64(len(b)), SHA256: hash(b)})
		if err := os.MkdirAll(filepath.Dir(filepath.Join(own, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(own, path), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, o := range map[string]Options{"hub": {}, "own": {From: own}} {
		m := newManager(t, e)
		if err := m.Pull(t.Context(), []string{"pair"}, o, Quiet{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if checks, err := m.Verify(t.Context(), nil); err != nil || len(checks) != 1 || !checks[0].OK() {
			t.Errorf("%s: %+v %v", name, checks, err)
		}
	}
	if err := newManager(t, e).Pull(t.Context(), []string{"pair"}, Options{From: filepath.Join(own, "words.txt")}, Quiet{}); err == nil {
		t.Error("one file was taken for all")
	}
}
