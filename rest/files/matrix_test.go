package files_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

// secret is outside of the root. No answer may have it, and nothing may change it.
const secret = "the-secret-outside"

// door is one way for a path into the server.
type door struct {
	name string
	ask  func(t *testing.T, s *server, p path) answer
}

// path is a path as a client sends it: in JSON or a form, and in a URL.
type path struct{ text, url string }

// named is a path that is sent in a URL as it should be.
func named(text string) path {
	return path{text, strings.ReplaceAll(url.PathEscape(text), "%2F", "/")}
}

// doors are all ways that paths come in by.
func doors() []door {
	inURL := func(method, route string) func(*testing.T, *server, path) answer {
		return func(t *testing.T, s *server, p path) answer {
			t.Helper()
			body := ""
			if method == http.MethodPut {
				body = "new"
			}
			return s.do(t, method, route+p.url, body)
		}
	}
	inBody := func(method, route, field string, rest ...any) func(*testing.T, *server, path) answer {
		return func(t *testing.T, s *server, p path) answer {
			t.Helper()
			body := `{` + quoted(field) + `:` + quoted(p.text) // not by json.Marshal, which would mend what is not UTF-8
			if len(rest) > 0 {
				body += `,` + strings.Trim(object(rest...), "{}")
			}
			return s.do(t, method, route, body+"}")
		}
	}
	tus := func(meta func(p path) [2]string) func(*testing.T, *server, path) answer {
		return func(t *testing.T, s *server, p path) answer {
			t.Helper()
			b64 := base64.StdEncoding.EncodeToString
			m := meta(p)
			return s.do(t, http.MethodPost, "/v1/files/tus", "", "Tus-Resumable", "1.0.0", "Upload-Length", "0",
				"Upload-Metadata", "path "+b64([]byte(m[0]))+",filename "+b64([]byte(m[1])))
		}
	}
	inForm := func(name string, overwrite bool) func(*testing.T, *server, path) answer {
		return func(t *testing.T, s *server, p path) answer {
			t.Helper()
			return s.upload(t.Context(), p.text, name, "new", overwrite)
		}
	}
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	return []door{
		{"list", inURL(get, listRoute)},
		{"download", inURL(get, downloadRoute)},
		{"head", inURL(http.MethodHead, downloadRoute)},
		{"stream", inURL(get, streamRoute)},
		{"put", inURL(http.MethodPut, uploadRoute+"/")},
		{"form-path", inForm("up", false)},
		{"form-over", inForm("file", true)},
		{"form-name", formName},
		{"tus-path", tus(func(p path) [2]string { return [2]string{p.text, "up"} })},
		{"tus-name", tus(func(p path) [2]string { return [2]string{"", p.text} })},
		{"mkdir", inBody(post, mkdirRoute, "path")},
		{"mv-src", inBody(post, moveRoute, "source", "destination", "moved")},
		{"mv-dst", inBody(post, moveRoute, "destination", "source", "plain/file")},
		{"mv-over", inBody(post, moveRoute, "destination", "source", "plain/file", "overwrite", true)},
		{"mvdir-src", inBody(post, moveDirRoute, "source", "destination", "moved")},
		{"mvdir-dst", inBody(post, moveDirRoute, "destination", "source", "plain")},
		{"mvdir-over", inBody(post, moveDirRoute, "destination", "source", "plain", "overwrite", true)},
		{"rm", inBody(del, deleteRoute, "path")},
		{"rmdir", inBody(del, rmdirRoute, "path")},
		{"zip", inBody(post, zipRoute, "path", "zip_name", "made.zip")},
		{"zip-name", inBody(post, zipRoute, "zip_name", "path", "plain")},
		{"unzip", inBody(post, unzipRoute, "path", "extract_path", "out")},
		{"unzip-to", inBody(post, unzipRoute, "extract_path", "path", "good.zip")},
		{"unzip-over", inBody(post, unzipRoute, "extract_path", "path", "good.zip", "overwrite", true)},
	}
}

// formName sends p as the filename of a part, escaped as little as it can be.
func formName(t *testing.T, s *server, p path) answer {
	t.Helper()
	name := strings.ReplaceAll(strings.ReplaceAll(p.text, `\`, `\\`), `"`, `\"`)
	body := "--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"" + name + "\"\r\n\r\nnew\r\n--B--\r\n"
	return s.do(t, http.MethodPost, uploadRoute, body, "Content-Type", "multipart/form-data; boundary=B")
}

func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteString("\\" + string(c))
		case c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// furnish puts into the root what the cases name, and returns the folder outside.
func furnish(t *testing.T, root string) (outside string) {
	t.Helper()
	outside = memoryDir(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(outside, "dir"), 0o755))
	must(os.WriteFile(filepath.Join(outside, "file"), []byte(secret), 0o644))
	must(os.WriteFile(filepath.Join(outside, "dir", "file"), []byte(secret), 0o644))
	must(os.MkdirAll(filepath.Join(root, "plain", "sub"), 0o755))
	must(os.WriteFile(filepath.Join(root, "plain", "file"), []byte("inside"), 0o644))
	must(os.WriteFile(filepath.Join(root, "good.zip"), archive(t, entry{name: "z/file", body: "zipped"}), 0o644))
	must(os.Symlink(filepath.Join(outside, "file"), filepath.Join(root, "link")))
	must(os.Symlink("../"+filepath.Base(outside)+"/file", filepath.Join(root, "rel-link")))
	must(os.Symlink(filepath.Join(outside, "dir"), filepath.Join(root, "dir-link")))
	must(os.Symlink("plain", filepath.Join(root, "in-link")))
	must(os.Symlink(filepath.Join(outside, "new"), filepath.Join(root, "dangling")))
	must(os.Symlink("loop", filepath.Join(root, "loop")))
	must(os.Link(filepath.Join(outside, "file"), filepath.Join(root, "hard")))
	must(unix.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	l, err := net.Listen("unix", filepath.Join(root, "socket"))
	must(err)
	t.Cleanup(func() { _ = l.Close() })
	must(unix.Mknod(filepath.Join(root, "zero"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5)))) // /dev/zero; needs root
	return outside
}

// outsideIntact fails when something outside of the root changed.
func outsideIntact(t *testing.T, outside string) {
	t.Helper()
	if got := strings.Join(tree(t, outside), " "); got != "dir dir/file file" {
		t.Errorf("outside is %q", got)
	}
	for _, name := range []string{"file", "dir/file"} {
		if b, err := os.ReadFile(filepath.Join(outside, name)); err != nil || string(b) != secret {
			t.Errorf("outside, %s is %q (%v)", name, b, err)
		}
	}
}

// How a case must be answered at every door.
const (
	refused  = "400"      // a path that is none
	nowhere  = "4xx"      // a path to something that is not there for clients
	possible = "2xx, 4xx" // a name like any other
)

// TestMatrix sends every strange path through every door: nothing outside is read, written or deleted, no answer is 5xx,
// nothing is left behind.
func TestMatrix(t *testing.T) {
	long, deep := strings.Repeat("n", 300), strings.TrimSuffix(strings.Repeat("d/", 2000), "/")
	cases := []struct {
		id   string
		path path
		want string
	}{
		{"F1 ../x", path{"../x", "../x"}, refused},
		{"F1 ../outside", path{"../../../etc/passwd", "../../../etc/passwd"}, refused},
		{"F1 a/../../x", path{"plain/../../x", "plain/../../x"}, refused},
		{"F2 ..%2f", path{"..%2fx", "..%2fx"}, possible},
		{"F2 ..%2f in URL", path{"../x", "..%2fx"}, refused},
		{"F3 %252e%252e", path{"%2e%2e/x", "%252e%252e/x"}, possible},
		{"F3 %2e%2e", path{"..", "%2e%2e"}, refused},
		{`F4 ..\`, path{`..\x`, `..\x`}, refused},
		{"F4 %5c", path{`a\..\..\x`, "a%5c..%5c..%5cx"}, refused},
		{"F5 /etc/passwd", path{"/etc/passwd", "/etc/passwd"}, refused},
		{"F5 %2Fetc", path{"/etc/passwd", "%2Fetc/passwd"}, refused},
		{"F6 //etc", path{"//etc", "//etc"}, refused},
		{"F6 a//b", path{"plain//file", "plain//file"}, refused},
		{`F7 C:\`, path{`C:\x`, `C:%5Cx`}, refused},
		{`F7 \\?\`, path{`\\?\C:\x`, `%5C%5C%3F%5CC:%5Cx`}, refused},
		{"F7 CON", named("CON"), possible},
		{"F7 a:b", named("a:b"), possible},
		{"F8 NUL", path{"a\x00b", "a%00b"}, refused},
		{"F9 .", path{".", "."}, refused},
		{"F9 ./a", path{"./plain", "./plain"}, refused},
		{"F9 empty", path{"", ""}, possible},
		{"F10 300 bytes", named(long), refused},
		{"F11 2000 levels", named(deep), refused},
		{"F12 not UTF-8", path{"a\xff", "a%ff"}, refused},
		{"F12 NFC", named("\u00e9"), possible},
		{"F12 NFD", named("e\u0301"), possible},
		{"F12 RTL override", named("a\u202egpj.exe"), refused},
		{"F12 newline", named("a\nb"), refused},
		{"F12 ESC", named("a\x1b[31m"), refused},
		{"F13 -rf", named("-rf"), possible},
		{"F13 spaces", named(" x "), possible},
		{"F13 dot at end", named("x."), possible},
		{"F14 link out", named("link"), nowhere},
		{"F14 relative link", named("rel-link"), nowhere},
		{"F15 through a link", named("dir-link/file"), nowhere},
		{"F15 through, new", named("dir-link/new"), nowhere},
		{"F15 link to a folder", named("dir-link"), nowhere},
		{"F15 link inside", named("in-link/file"), nowhere},
		{"F16 dangling", named("dangling"), nowhere},
		{"F17 loop", named("loop"), nowhere},
		{"F17 through a loop", named("loop/x"), nowhere},
		{"F18 link/", path{"dir-link/", "dir-link/"}, refused},
		{"F19 hard link", named("hard"), nowhere},
		{"F20 FIFO", named("fifo"), nowhere},
		{"F20 socket", named("socket"), nowhere},
		{"F20 device", named("zero"), nowhere},
		{"F20 through a FIFO", named("fifo/x"), nowhere},
		{"F23 another case", named("Plain/FILE"), possible},
		{"   own state", named(".brenda-state"), refused},
		{"   own uploads", named(".BRENDA-state/uploads/x"), refused},
		{"   a draft", named(".brenda-draft-ABCDEFGHIJKLMNOPQRSTUVWXYZ"), refused},
		{"   a draft below", named("plain/.brenda-draft-ABCDEFGHIJKLMNOPQRSTUVWXYZ/x"), refused},
	}
	var matrix strings.Builder
	fmt.Fprintf(&matrix, "%-22s", "")
	for _, d := range doors() {
		fmt.Fprintf(&matrix, " %10s", d.name)
	}
	requests := 0
	s := start(t, vault.Options{}, files.Config{})
	outside := furnish(t, s.root)
	before := tree(t, s.root)
	for _, c := range cases {
		fmt.Fprintf(&matrix, "\n%-22s", c.id)
		for _, d := range doors() {
			t.Run(strings.ReplaceAll(c.id, "/", "|")+" "+d.name, func(t *testing.T) {
				a := d.ask(t, s, c.path)
				requests++
				fmt.Fprintf(&matrix, " %10d", a.status)
				checkMatrix(t, c.want, a)
				outsideIntact(t, outside)
				noLitter(t, s.root)
			})
			now := tree(t, s.root)
			if same := slices.Equal(now, before); same && len(now) > 0 {
				continue
			} else if a := strings.Fields(matrix.String()); a[len(a)-1][0] != '2' {
				t.Errorf("%s at %s was refused, but the root changed: %q", c.id, d.name, now)
			}
			s = start(t, vault.Options{}, files.Config{})
			outside = furnish(t, s.root)
		}
	}
	t.Logf("%d requests\n%s", requests, &matrix)
}

func checkMatrix(t *testing.T, want string, a answer) {
	t.Helper()
	switch ok := a.status/100 == 4; {
	case a.err != nil:
		t.Errorf("no answer: %v", a.err)
	case strings.Contains(a.body, secret), strings.Contains(a.body, "root:"):
		t.Errorf("the answer has what is outside: %s", a.body)
	case want == possible && !ok && a.status/100 != 2, want == nowhere && !ok, want == refused && a.status != 400:
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// TestListHides: what is no file and no folder is not listed, archived, or counted in a folder that is packed.
func TestListHides(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	outside := furnish(t, filepath.Join(mkdir(t, s.root, "all")))
	s.write(t, "all/bad\nname", "x")
	s.write(t, `all/back\slash`, "x")
	a := s.do(t, http.MethodGet, listRoute+"all", "")
	if !strings.Contains(a.body, `"total":2`) || !strings.Contains(a.body, `"all/plain"`) || !strings.Contains(a.body, `"all/good.zip"`) {
		t.Errorf("the list has %s", a.body)
	}
	a = s.do(t, http.MethodPost, zipRoute, `{"path":"all","zip_name":"all.zip"}`)
	if a.status != 200 || !strings.Contains(a.body, `"files":2,"skipped":12`) {
		t.Errorf("packed: %d %s", a.status, a.body)
	}
	s.run(t, []step{
		{http.MethodPost, unzipRoute, `{"path":"all.zip","extract_path":"back"}`, 200, `"files":2`},
		{http.MethodDelete, rmdirRoute, `{"path":"all"}`, 200, ``},
	})
	if got := strings.Join(tree(t, s.root), " "); got != "all.zip back back/good.zip back/plain back/plain/file back/plain/sub" {
		t.Errorf("there is %s", got)
	}
	outsideIntact(t, outside)
	noLitter(t, s.root)
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
