package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slow is a body that takes some 32 ms to come.
type slow struct {
	io.Reader
	tick *time.Ticker
	step int
}

func slowly(content string) io.Reader {
	return &slow{strings.NewReader(content), time.NewTicker(time.Millisecond), len(content)/32 + 1}
}

func (s *slow) Read(p []byte) (int, error) {
	<-s.tick.C
	return s.Reader.Read(p[:min(len(p), s.step)])
}

// content is what a folder holds, by path.
type content map[string]string

// put makes root hold this and nothing else. The times are always the same, so that archives are.
func (c content) put(tb testing.TB, root string) {
	tb.Helper()
	list, err := os.ReadDir(root)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range list {
		if e.Name() != ".brenda-state" {
			err := os.RemoveAll(filepath.Join(root, e.Name()))
			if err != nil && !errors.Is(err, unix.EBUSY) { // a disk is mounted there: it is empty now
				tb.Fatal(err)
			}
		}
	}
	for name, text := range c {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
		if err := os.Chtimes(full, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			tb.Fatal(err)
		}
	}
}

// state is what root holds: paths, with the sums of files.
func state(tb testing.TB, root string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	for _, name := range tree(tb, root) {
		all[name] = "folder"
		if b, err := os.ReadFile(filepath.Join(root, name)); err == nil {
			all[name] = fmt.Sprintf("%d %x", len(b), sha256.Sum256(b))
		}
	}
	return all
}

// kind is a kind of write.
type kind struct {
	before content
	ready  func(s *server) (at string) // what comes before the write that is killed: it is confirmed, so that nothing may be lost
	write  func(ctx context.Context, s *server, at string)
	after  func(t *testing.T, s *server) // what a client does when the server is back
	files  bool                          // each file for itself is old or new
	disk   bool                          // the folder disk is a disk of its own
}

const size = 128 << 10

func letters(s string) string { return strings.Repeat(s, size/len(s)) }

func noise(seed byte) string {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

func folder(at string, n int, text string) content {
	c := content{}
	for i := range n {
		c[fmt.Sprintf("%s/%03d", at, i)] = text
	}
	return c
}

func both(a, b content) content {
	a = maps.Clone(a)
	maps.Copy(a, b)
	return a
}

// kinds are all kinds of writes that there are.
func kinds(t *testing.T) map[string]kind {
	t.Helper()
	call := func(method, route, body string) func(context.Context, *server, string) {
		return func(ctx context.Context, s *server, _ string) { s.send(ctx, method, route, strings.NewReader(body)) }
	}
	put := func(path string) func(context.Context, *server, string) {
		return func(ctx context.Context, s *server, _ string) {
			s.send(ctx, http.MethodPut, uploadRoute+"/"+path, slowly(letters("new")))
		}
	}
	const post, del = http.MethodPost, http.MethodDelete
	old, packed := content{"d/f": letters("old")}, string(archive(t, entry{name: "a", body: noise(1)}, entry{name: "b/c", body: noise(2)}))
	tus := func(path string, first, last int) kind {
		k := kind{
			before: old,
			ready: func(s *server) string {
				at := s.send(context.Background(), post, tusRoute, nil, tusTo(size, path)...).header.Get("Location")
				s.send(context.Background(), http.MethodPatch, at, strings.NewReader(noise(3)[:first]), tusPatch(0)...)
				return at
			},
			write: func(ctx context.Context, s *server, at string) {
				if first < 0 {
					s.send(ctx, post, tusRoute, nil, tusTo(size, path)...)
					return
				}
				s.send(ctx, http.MethodPatch, at, slowly(noise(3)[first:last]), tusPatch(first)...)
			},
			after: func(t *testing.T, s *server) { t.Helper(); goOn(t, s, noise(3)) },
		}
		if first < 0 {
			k.ready = nil // nothing is promised yet
		}
		return k
	}
	disk := func(k kind) kind {
		k.disk = true
		return k
	}
	return map[string]kind{
		"disk, PUT":           disk(kind{before: old, write: put("disk/a/f")}),
		"disk, form":          disk(kind{before: old, write: sendForm("", "disk/a"), files: true}),
		"disk, tus":           disk(tus("disk/a/f", size-10, size)),
		"disk, compress":      disk(kind{before: folder("disk/d", 10, noise(4)), write: call(post, zipRoute, `{"path":"disk/d","zip_name":"z.zip"}`)}),
		"disk, decompress":    disk(kind{before: content{"x.zip": packed}, write: call(post, unzipRoute, `{"path":"x.zip","extract_path":"disk/a/out"}`)}),
		"disk, delete folder": disk(kind{before: folder("disk/d", 300, "x"), write: call(del, rmdirRoute, `{"path":"disk/d"}`)}),
		"PUT":                 {before: old, write: put("a/b/f")},
		"PUT over":            {before: old, write: put("d/f?overwrite=1")},
		"form":                {before: old, write: sendForm("path", "a/b"), files: true},
		"form over":           {before: both(old, content{"d/g": "old"}), write: sendForm("path", "d"), files: true},
		"form, path last":     {before: old, write: sendForm("", "a/b"), files: true},
		"tus create":          tus("d/f", -1, 0),
		"tus part":            tus("d/f", 0, size-10),
		"tus last part":       tus("d/f", size-10, size),
		"tus all":             tus("d/f", 0, size),
		"compress":            {before: folder("d", 10, noise(4)), write: call(post, zipRoute, `{"path":"d","zip_name":"z.zip"}`)},
		"compress over":       {before: both(folder("d", 10, noise(4)), content{"z.zip": "old"}), write: call(post, zipRoute, `{"path":"d","zip_name":"z.zip","overwrite":true}`)},
		"decompress":          {before: content{"x.zip": packed}, write: call(post, unzipRoute, `{"path":"x.zip","extract_path":"a/out"}`)},
		"decompress over":     {before: both(folder("out", 100, "old"), content{"x.zip": packed}), write: call(post, unzipRoute, `{"path":"x.zip","extract_path":"out","overwrite":true}`)},
		"move":                {before: old, write: call(post, moveRoute, `{"source":"d/f","destination":"g"}`)},
		"move over":           {before: both(old, content{"g": "old"}), write: call(post, moveRoute, `{"source":"d/f","destination":"g","overwrite":true}`)},
		"move folder":         {before: folder("d", 100, "x"), write: call(post, moveDirRoute, `{"source":"d","destination":"e"}`)},
		"move folder over":    {before: both(folder("d", 100, "x"), folder("e", 100, "y")), write: call(post, moveDirRoute, `{"source":"d","destination":"e","overwrite":true}`)},
		"create folder":       {before: old, write: call(post, mkdirRoute, `{"path":"`+strings.Repeat("deep/", 40)+`end"}`)},
		"delete":              {before: old, write: call(del, deleteRoute, `{"path":"d/f"}`)},
		"delete folder":       {before: folder("d", 300, "x"), write: call(del, rmdirRoute, `{"path":"d"}`)},
	}
}

// sendForm sends two files with a path before or after them.
func sendForm(first, path string) func(context.Context, *server, string) {
	return func(ctx context.Context, s *server, _ string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		field := func() {
			_ = w.WriteField("path", path)
			_ = w.WriteField("overwrite", "true")
		}
		if first == "path" {
			field()
		}
		for _, name := range []string{"f", "g"} {
			part, _ := w.CreateFormFile("files", name)
			_, _ = io.WriteString(part, letters("new"+name))
		}
		if first != "path" {
			field()
		}
		_ = w.Close()
		s.send(ctx, http.MethodPost, uploadRoute, slowly(b.String()), "Content-Type", w.FormDataContentType())
	}
}

// goOn ends the uploads that are under way, as a client does that lost its connection.
func goOn(t *testing.T, s *server, text string) {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(s.root, ".brenda-state/uploads/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		at := tusRoute + "/" + strings.TrimSuffix(filepath.Base(r), ".json")
		head := s.do(t, http.MethodHead, at, "", "Tus-Resumable", "1.0.0")
		n, err := strconv.Atoi(head.header.Get("Upload-Offset"))
		if head.status != 200 || err != nil || n > len(text) {
			t.Errorf("%s: %d, at %d (%v)", at, head.status, n, err)
			continue
		}
		if a := s.do(t, http.MethodPatch, at, text[n:], tusPatch(n)...); a.status != 204 {
			t.Errorf("going on at %d: %d %s", n, a.status, a.body)
		}
		s.do(t, http.MethodDelete, at, "", "Tus-Resumable", "1.0.0")
	}
}
