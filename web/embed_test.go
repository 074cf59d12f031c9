package web_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"brenda/pipeline/fault"
	"brenda/web"
)

// get asks a handler, and returns its answer or its error.
func get(
	t *testing.T, h func(http.ResponseWriter, *http.Request) error, method, path string, header ...string,
) (*httptest.ResponseRecorder, error) {
	t.Helper()
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	return w, h(w, r)
}

func TestTypes(t *testing.T) {
	for path, want := range map[string]string{
		"/":                          "text/html; charset=utf-8",
		"/static/app.js":             "text/javascript; charset=utf-8",
		"/static/speaker.worklet.js": "text/javascript; charset=utf-8",
		"/static/style.css":          "text/css; charset=utf-8",
		"/static/brenda.svg":         "image/svg+xml",
	} {
		w, err := get(t, web.Handler(), http.MethodGet, path)
		if err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != want || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %q, %d bytes, %v", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len(), err)
		}
	}
}

func TestHead(t *testing.T) {
	w, err := get(t, web.Handler(), http.MethodHead, "/")
	if err != nil || w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("ETag") == "" {
		t.Errorf("%d, %d bytes, %v, %v", w.Code, w.Body.Len(), w.Header(), err)
	}
}

func TestNoFile(t *testing.T) {
	for _, path := range []string{
		"/static/", "/static/none.js", "/static/../embed.go", "/static/../../go.mod", "/static/a//b.js", "/static/.",
		"/static//app.js", "/static/embed.go", "/app.js", "/static", "/x",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.URL.Path = path
		w := httptest.NewRecorder()
		if err := web.Handler()(w, r); fault.KindOf(err) != fault.NotFound || w.Body.Len() != 0 {
			t.Errorf("%s: %d bytes, %v", path, w.Body.Len(), err)
		}
	}
}

func TestSafety(t *testing.T) {
	w, err := get(t, web.Handler(), http.MethodGet, "/")
	if err != nil {
		t.Fatal(err)
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, part := range []string{
		"default-src 'none'", "script-src 'self'", "connect-src 'self'", "style-src 'self'", "frame-ancestors 'none'",
	} {
		if !strings.Contains(csp, part) {
			t.Errorf("no %s in %s", part, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("too open: %s", csp)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The policy forbids inline code and foreign hosts: the page must need none.
func TestPageObeysItsPolicy(t *testing.T) {
	files, err := filepath.Glob("static/*")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|<style| style="| on[a-z]+="|javascript:`)
	foreign := regexp.MustCompile(`(?:src|href)="(?:https?:)?//|\burl\(|@import|from "https?:`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if m := foreign.Find(text); m != nil {
			t.Errorf("%s: %s", f, m)
		}
		if m := inline.Find(text); m != nil && filepath.Ext(f) == ".html" {
			t.Errorf("%s: %s", f, m)
		}
	}
}

// Whatever a file of the page refers to is there.
func TestLinks(t *testing.T) {
	files, _ := filepath.Glob("static/*")
	ref := regexp.MustCompile(`"(/static/[^"]+|\./[^"]+\.js)"`)
	n := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ref.FindAllStringSubmatch(string(text), -1) {
			n++
			path := "/static/" + filepath.Base(m[1])
			if _, err := get(t, web.Handler(), http.MethodGet, path); err != nil {
				t.Errorf("%s refers to %s: %v", f, m[1], err)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d references", n)
	}
}

func TestETag(t *testing.T) {
	files := fstest.MapFS{"static/index.html": {Data: []byte("one")}}
	h := web.New(files)
	first, err := get(t, h, http.MethodGet, "/")
	if err != nil {
		t.Fatal(err)
	}
	tag := first.Header().Get("ETag")
	same, err := get(t, h, http.MethodGet, "/", "If-None-Match", tag)
	if err != nil || same.Code != http.StatusNotModified || same.Body.Len() != 0 {
		t.Errorf("unchanged: %d, %d bytes, %v", same.Code, same.Body.Len(), err)
	}
	files["static/index.html"] = &fstest.MapFile{Data: []byte("two")}
	changed, err := get(t, h, http.MethodGet, "/", "If-None-Match", tag)
	if err != nil || changed.Code != http.StatusOK || changed.Body.String() != "two" || changed.Header().Get("ETag") == tag {
		t.Errorf("changed: %d, %q, %v", changed.Code, changed.Body, err)
	}
}

// The modules that need no browser are tested in JavaScript.
func TestModules(t *testing.T) {
	tests, err := filepath.Glob("test/*.test.js")
	if err != nil || len(tests) == 0 {
		t.Fatal(tests, err)
	}
	out, err := exec.CommandContext(t.Context(), "node", append([]string{"--test"}, tests...)...).CombinedOutput()
	if err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
}
