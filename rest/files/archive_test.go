package files_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

// entry is one entry of an archive that a test makes.
type entry struct {
	name, body string
	mode       fs.FileMode
	method     uint16
	flags      uint16
}

// archive makes a ZIP archive, of whatever names and types.
func archive(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: e.method, Flags: e.flags}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		var out io.Writer
		var err error
		if e.method > zip.Deflate {
			h.CompressedSize64, h.UncompressedSize64 = uint64(len(e.body)), uint64(len(e.body))
			out, err = w.CreateRaw(h)
		} else {
			out, err = w.CreateHeader(h)
		}
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(out, e.body); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// zeros is an archive of n bytes of zeros in one file.
func zeros(tb testing.TB, n int64) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	out, err := w.Create("zeros")
	if err != nil {
		tb.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for ; n > 0; n -= int64(len(block)) {
		if _, err := out.Write(block[:min(n, int64(len(block)))]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// patched changes every place of old in an archive.
func patched(b []byte, old, now string) []byte {
	return bytes.ReplaceAll(bytes.Clone(b), []byte(old), []byte(now))
}

// overlapping is an archive whose entries all have the data of the first: Fifield's bomb in small.
func overlapping(tb testing.TB, copies int) []byte {
	tb.Helper()
	one := archive(tb, entry{name: "0000", body: strings.Repeat("x", 1000)})
	at := bytes.Index(one, []byte("PK\x01\x02"))
	end := bytes.Index(one, []byte("PK\x05\x06"))
	header := one[at:end]
	out := bytes.Clone(one[:at])
	for i := range copies {
		h := bytes.Clone(header)
		copy(h[46:], fmt.Sprintf("%04d", i))
		out = append(out, h...)
	}
	tail := bytes.Clone(one[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(copies))
	binary.LittleEndian.PutUint16(tail[10:], uint16(copies))
	binary.LittleEndian.PutUint32(tail[12:], uint32(len(header)*copies))
	return append(out, tail...)
}

// many is an archive of n empty entries.
func many(tb testing.TB, n int, name func(int) string) []byte {
	tb.Helper()
	all := make([]entry, n)
	for i := range all {
		all[i].name = name(i)
	}
	return archive(tb, all...)
}

func tarball(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"})
	_ = w.WriteHeader(&tar.Header{Name: "b", Typeflag: tar.TypeBlock, Devmajor: 8})
	_ = w.Close()
	return b.Bytes()
}

// TestArchives is F30 to F40: every archive that may not be unpacked is refused whole, and nothing is left of it.
func TestArchives(t *testing.T) {
	number := func(i int) string { return fmt.Sprint("e", i) }
	good := archive(t, entry{name: "a/b", body: "1"})
	secretZip := archive(t, entry{name: "a", body: strings.Repeat("secret", 100), method: zip.Deflate})
	for _, c := range []struct {
		id     string
		zip    []byte
		status int
		code   string
	}{
		{"F30 ../", archive(t, entry{name: "ok", body: "1"}, entry{name: "../evil", body: "x"}), 400, "unsafe_archive"},
		{"F30 a/../../", archive(t, entry{name: "a/../../evil", body: "x"}), 400, "unsafe_archive"},
		{`F30 ..\`, archive(t, entry{name: `..\evil`, body: "x"}), 400, "unsafe_archive"},
		{"F30 absolute", archive(t, entry{name: "/etc/evil", body: "x"}), 400, "unsafe_archive"},
		{"F30 drive", archive(t, entry{name: `C:\evil`, body: "x"}), 400, "unsafe_archive"},
		{"F30 NUL", archive(t, entry{name: "a\x00b", body: "x"}), 400, "unsafe_archive"},
		{"F30 own names", archive(t, entry{name: ".brenda-state/x", body: "x"}), 400, "unsafe_archive"},
		{"F31 link", archive(t, entry{name: "l", body: "/etc", mode: fs.ModeSymlink | 0o777}), 400, "unsafe_archive"},
		{"F31 through a link", archive(t, entry{name: "l", body: "/tmp", mode: fs.ModeSymlink | 0o777}, entry{name: "l/x", body: "1"}), 400, "unsafe_archive"},
		{"F32 device", archive(t, entry{name: "d", mode: fs.ModeDevice | 0o777}), 400, "unsafe_archive"},
		{"F32 FIFO", archive(t, entry{name: "d", mode: fs.ModeNamedPipe | 0o777}), 400, "unsafe_archive"},
		{"F32 tar", tarball(t), 400, "not_a_zip"},
		{"F33 ratio", zeros(t, 16<<20), 413, "archive_too_large"},
		{"F33 size", archive(t, entry{name: "a", body: strings.Repeat("x", 21<<20)}), 413, "archive_too_large"},
		{"F34 nested", archive(t, entry{name: "in.zip", body: string(good)}), 200, ""},
		{"F35 overlap", overlapping(t, 1000), 400, "unsafe_archive"},
		{"F36 entries", many(t, 10_001, number), 413, "archive_too_large"},
		{"F36 60,000 entries", many(t, 60_000, number), 413, "archive_too_large"},
		{"F36 deep", archive(t, entry{name: strings.Repeat("d/", 60) + "x"}), 413, "archive_too_large"},
		{"F36 65k deep", archive(t, entry{name: strings.Repeat("d/", 32000) + "x"}), 400, "unsafe_archive"},
		{"F37 size lies", patched(archive(t, entry{name: "a", body: strings.Repeat("x", 0x1234), method: zip.Deflate}), "\x34\x12\x00\x00", "\x10\x00\x00\x00"), 400, "damaged_archive"},
		{"F37 checksum", bytes.Replace(archive(t, entry{name: "a", body: "secret data"}), []byte("secret"), []byte("public"), 1), 400, "damaged_archive"},
		{"F37 cut", good[:len(good)-30], 400, "not_a_zip"},
		{"F37 no zip", []byte("this is no archive"), 400, "not_a_zip"},
		{"F37 empty file", nil, 400, "not_a_zip"},
		{"F37 garbage in it", patched(secretZip, string(secretZip[34:40]), "\xff\xff\xff\xff\xff\xff"), 400, ""},
		{"F38 twice", archive(t, entry{name: "a", body: "1"}, entry{name: "a", body: "2"}), 400, "unsafe_archive"},
		{"F38 case twins", archive(t, entry{name: "a", body: "1"}, entry{name: "A", body: "2"}), 200, ""},
		{"F38 file, then folder", archive(t, entry{name: "a", body: "1"}, entry{name: "a/b", body: "2"}), 400, "unsafe_archive"},
		{"F38 folder, then file", archive(t, entry{name: "a/b", body: "1"}, entry{name: "a", body: "2"}), 400, "unsafe_archive"},
		{"F39 encrypted", archive(t, entry{name: "a", body: "1", flags: 1}), 400, "encrypted_archive"},
		{"F39 method", archive(t, entry{name: "a", body: "1", method: 12}), 400, "unsupported_archive"},
		{"   UTF-8", archive(t, entry{name: "été/œuf", body: "1"}), 200, ""},
		{"   CP437", archive(t, entry{name: "\x82t\x82", body: "1"}), 200, ""},
		{"   large", archive(t, entry{name: "a", body: string(randomBytes(9 << 20))}), 200, ""},
		{"   empty", archive(t), 200, ""},
		{"   folders", archive(t, entry{name: "a/"}, entry{name: "a/b/"}, entry{name: "a/b/c", body: "1"}, entry{name: "a/"}), 200, ""},
	} {
		t.Run(strings.ReplaceAll(c.id, "/", "|"), func(t *testing.T) {
			s := start(t, vault.Options{Archive: vault.Limits{Bytes: 20 << 20}}, files.Config{})
			outside := furnish(t, memoryDir(t))
			s.write(t, "in/x.zip", string(c.zip))
			a := s.do(t, http.MethodPost, unzipRoute, `{"path":"in/x.zip","extract_path":"in/out"}`)
			t.Logf("%-22s %d %s", c.id, a.status, a.code())
			if a.status != c.status || c.code != "" && a.code() != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, c.status, c.code)
			}
			if got := strings.Join(tree(t, s.root), " "); a.status != 200 && got != "in in/x.zip" {
				t.Errorf("there is %q", got)
			}
			outsideIntact(t, outside)
			noLitter(t, s.root)
		})
	}
}

// TestRoundTrip: what is packed comes out again, byte for byte, with names of any language, and with more entries than
// the old format of ZIP can count.
func TestRoundTrip(t *testing.T) {
	s := start(t, vault.Options{Archive: vault.Limits{Entries: 100_000}}, files.Config{})
	want := map[string]string{}
	for _, name := range []string{"été/à côté.txt", "日本/語", "a b/c d", "x/empty", "-rf", "e\u0301", "\u00e9", "emoji 👩‍👩‍👧"} {
		want[name] = strings.Repeat(name, len(name)*len(name))
		s.write(t, "src/"+name, want[name])
	}
	mkdir(t, s.root, "src/void/nothing")
	for i := range manyEntries {
		if err := os.WriteFile(filepath.Join(mkdirOnce(t, s.root, "src", "many", strconv.Itoa(i/1000)), strconv.Itoa(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.run(t, []step{
		{http.MethodPost, zipRoute, `{"path":"src","zip_name":"x.zip"}`, 200, `"files":` + strconv.Itoa(manyEntries+8)},
		{http.MethodPost, unzipRoute, `{"path":"x.zip","extract_path":"dst"}`, 200, `"files":` + strconv.Itoa(manyEntries+8)},
	})
	for name, content := range want {
		if b, err := os.ReadFile(filepath.Join(s.root, "dst", name)); err != nil || string(b) != content {
			t.Errorf("%s: %d bytes (%v)", name, len(b), err)
		}
	}
	if strings.Join(tree(t, filepath.Join(s.root, "src")), "\n") != strings.Join(tree(t, filepath.Join(s.root, "dst")), "\n") {
		t.Error("the trees differ")
	}
	r, err := zip.OpenReader(filepath.Join(s.root, "x.zip")) // another reader
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, f := range r.File {
		if _, ok := want[f.Name]; ok && f.NonUTF8 && f.Name != "-rf" && f.Name != "a b/c d" && f.Name != "x/empty" {
			t.Errorf("%s is not marked as UTF-8", f.Name)
		}
	}
}

// TestProgress: with Accept: text/event-stream both jobs tell how far they are, and end with the result and [DONE].
func TestProgress(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	s.write(t, "src/a", strings.Repeat("x", 5<<20))
	for route, body := range map[string]string{zipRoute: `{"path":"src","zip_name":"x.zip","overwrite":true}`, unzipRoute: `{"path":"y.zip","extract_path":"out"}`} {
		s.write(t, "y.zip", string(archive(t, entry{name: "a", body: strings.Repeat("y", 1<<20)})))
		a := s.do(t, http.MethodPost, route, body, "Accept", "text/event-stream")
		lines := strings.Split(strings.TrimSpace(a.body), "\n\n")
		n := len(lines)
		if a.header.Get("Content-Type") != "text/event-stream" || n < 3 || lines[n-1] != "data: [DONE]" ||
			!strings.HasPrefix(lines[0], `data: {"type":"progress","files":0,"total_files":1,"bytes":`) ||
			!strings.HasPrefix(lines[n-2], `data: {"type":"done","path":`) {
			t.Errorf("%s: %d %v\n%s", route, a.status, a.header, a.body)
		}
	}
	if a := s.do(t, http.MethodPost, zipRoute, `{"path":"none","zip_name":"z"}`, "Accept", "text/event-stream"); a.status != 404 {
		t.Errorf("an error before the first event: %d", a.status)
	}
}
