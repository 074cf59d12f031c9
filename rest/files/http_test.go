package files_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

// TestOtherDisk is F22: a folder of the root that is another disk. Everything can be written there, in one step each; what
// cannot be done in one step between two disks is refused. Needs root, to mount it.
func TestOtherDisk(t *testing.T) {
	root := memoryDir(t)
	mount(t, mkdir(t, root, "disk"), "16m")
	mount(t, mkdir(t, root, "deep/disk"), "16m")
	s := startAt(t, root, vault.Options{}, files.Config{})
	s.write(t, "f", "file")
	s.write(t, "d/f", "file")
	s.write(t, "x.zip", string(archive(t, entry{name: "a/b", body: "1"})))
	s.run(t, []step{
		{http.MethodPut, uploadRoute + "/disk/new/up", "content", 201, `"sha256"`},
		{http.MethodPut, uploadRoute + "/disk/new/up", "content", 409, `"exists"`},
		{http.MethodPut, uploadRoute + "/disk/new/up?overwrite=1", "content2", 201, ``},
		{http.MethodGet, downloadRoute + "disk/new/up", "", 200, `content2`},
		{http.MethodPost, mkdirRoute, `{"path":"disk/m/n"}`, 201, ``},
		{http.MethodPost, moveRoute, `{"source":"disk/new/up","destination":"disk/m/up"}`, 200, ``},
		{http.MethodPost, moveDirRoute, `{"source":"disk/m","destination":"disk/new","overwrite":true}`, 200, ``},
		{http.MethodPost, zipRoute, `{"path":"disk/new","zip_name":"y.zip"}`, 200, `"files":1`},
		{http.MethodPost, unzipRoute, `{"path":"x.zip","extract_path":"disk/out"}`, 200, `"files":1`},
		{http.MethodPost, unzipRoute, `{"path":"x.zip","extract_path":"disk/out"}`, 409, `"exists"`},
		{http.MethodPost, unzipRoute, `{"path":"x.zip","extract_path":"disk/out","overwrite":true}`, 200, `"files":1`},
		{http.MethodPost, unzipRoute, `{"path":"disk/y.zip","extract_path":"e/f/back"}`, 200, `"files":1`},
		{http.MethodGet, downloadRoute + "e/f/back/up", "", 200, `content2`},
		{http.MethodPost, moveRoute, `{"source":"f","destination":"disk/f"}`, 409, `"other_disk"`},
		{http.MethodPost, moveRoute, `{"source":"disk/y.zip","destination":"up"}`, 409, `"other_disk"`},
		{http.MethodPost, moveDirRoute, `{"source":"d","destination":"disk/d"}`, 409, `"other_disk"`},
		{http.MethodPost, moveDirRoute, `{"source":"disk","destination":"d2"}`, 409, `"`},
		{http.MethodDelete, rmdirRoute, `{"path":"disk/new"}`, 200, ``},
		{http.MethodDelete, rmdirRoute, `{"path":"disk"}`, 409, `"busy"`},
		{http.MethodDelete, rmdirRoute, `{"path":"deep"}`, 409, `"busy"`},
		{http.MethodPost, moveDirRoute, `{"source":"d","destination":"deep","overwrite":true}`, 409, `"busy"`},
		{http.MethodGet, listRoute + "disk", "", 200, `disk/y.zip`},
	})
	form := func(fields string) string {
		return "--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"g\"\r\n\r\nform\r\n" + fields + "--B--\r\n"
	}
	late := form("--B\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\ndisk/late/er\r\n")
	if a := s.do(t, http.MethodPost, uploadRoute, late, "Content-Type", "multipart/form-data; boundary=B"); a.status != 201 {
		t.Errorf("a form whose path comes last: %d %s", a.status, a.body)
	}
	for _, name := range []string{"disk/tus", "disk/more/of/tus", "disk/tus"} {
		a := s.do(t, http.MethodPost, tusRoute, "abc", tusTo(3, name, "Content-Type", "application/offset+octet-stream")...)
		if a.status != 201 || a.header.Get("Upload-Offset") != "3" {
			t.Errorf("tus to %s: %d %s", name, a.status, a.body)
		}
	}
	s.run(t, []step{
		{http.MethodGet, downloadRoute + "disk/late/er/g", "", 200, `form`},
		{http.MethodGet, downloadRoute + "disk/tus", "", 200, `abc`},
		{http.MethodGet, downloadRoute + "disk/more/of/tus", "", 200, `abc`},
	})
	noLitter(t, s.root)
}

// mount puts a small disk in memory at dir.
func mount(tb testing.TB, dir, size string) {
	tb.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		tb.Fatalf("mount: %v (this test needs root)", err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			tb.Error(err)
		}
	})
}

// TestDeleteWhileStreaming is F24: a download that has begun ends well, whatever becomes of the path.
func TestDeleteWhileStreaming(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	content := strings.Repeat("0123456789abcdef", 4<<20/16)
	for name, method := range map[string][3]string{
		"deleted":  {http.MethodDelete, deleteRoute, `{"path":"d/f"}`},
		"replaced": {http.MethodPut, uploadRoute + "/d/f?overwrite=1", "other"},
		"moved":    {http.MethodPost, moveRoute, `{"source":"d/f","destination":"g"}`},
		"folder":   {http.MethodDelete, rmdirRoute, `{"path":"d"}`},
	} {
		s.write(t, "d/f", content)
		_ = os.Remove(filepath.Join(s.root, "g"))
		res, err := s.http.Get(s.url + downloadRoute + "d/f")
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1000)
		if _, err := io.ReadFull(res.Body, first); err != nil {
			t.Fatal(err)
		}
		if a := s.do(t, method[0], method[1], method[2]); a.status/100 != 2 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		rest, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(first)+string(rest) != content {
			t.Errorf("%s: %d bytes came (%v)", name, len(first)+len(rest), err)
		}
	}
}

// TestNastyForms is F25.
func TestNastyForms(t *testing.T) {
	part := func(header, body string) string { return "--B\r\n" + header + "\r\n\r\n" + body + "\r\n" }
	file := func(params string) string {
		return part("Content-Disposition: form-data; name=\"files\"; "+params, "x")
	}
	const end = "--B--\r\n"
	long := strings.Repeat("b", 71)
	for name, c := range map[string]struct {
		ct, body string
		status   int
	}{
		"../../x":           {"multipart/form-data; boundary=B", file(`filename="../../x"`) + end, 400},
		"..%2f by RFC 5987": {"multipart/form-data; boundary=B", file(`filename*=UTF-8''..%2fx`) + end, 400},
		"both names":        {"multipart/form-data; boundary=B", file(`filename="ok"; filename*=UTF-8''..%2fx`) + end, 400},
		"RFC 5987":          {"multipart/form-data; boundary=B", file(`filename*=UTF-8''%C3%A9`) + end, 201},
		"backslash":         {"multipart/form-data; boundary=B", file(`filename="C:\x\y"`) + end, 400},
		"absolute":          {"multipart/form-data; boundary=B", file(`filename="/etc/passwd"`) + end, 400},
		"missing filename":  {"multipart/form-data; boundary=B", part(`Content-Disposition: form-data; name="files"`, "x") + end, 400},
		"no disposition":    {"multipart/form-data; boundary=B", part("X-A: b", "x") + end, 400},
		"10,000 parts":      {"multipart/form-data; boundary=B", strings.Repeat(part(`Content-Disposition: form-data; name="x"`, "y"), 10_000) + end, 413},
		"10,000 files":      {"multipart/form-data; boundary=B", manyFiles(10_000) + end, 413},
		"10,000 headers":    {"multipart/form-data; boundary=B", part(strings.Repeat("X-A: b\r\n", 10_001)+`Content-Disposition: form-data; name="files"; filename="a"`, "x") + end, 400},
		"no end":            {"multipart/form-data; boundary=B", file(`filename="a"`), 400},
		"no start":          {"multipart/form-data; boundary=B", "nothing", 400},
		"boundary of 71":    {"multipart/form-data; boundary=" + long, "--" + long + "\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a\"\r\n\r\nx\r\n--" + long + "--\r\n", 400},
		"no boundary":       {"multipart/form-data", file(`filename="a"`) + end, 400},
		"no form":           {"application/json", `{}`, 400},
		"no type":           {"", `x`, 400},
		"mixed":             {"multipart/mixed; boundary=B", file(`filename="a"`) + end, 201},
	} {
		t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
			s := start(t, vault.Options{}, files.Config{})
			outside := furnish(t, memoryDir(t))
			a := s.do(t, http.MethodPost, uploadRoute, c.body, "Content-Type", c.ct)
			if a.status != c.status && (name != "boundary of 71" || a.status != 201) {
				t.Errorf("got %d %s, want %d", a.status, a.body, c.status)
			}
			if got := tree(t, s.root); a.status != 201 && len(got) > 0 {
				t.Errorf("there is %q", got)
			}
			outsideIntact(t, outside)
			noLitter(t, s.root)
		})
	}
}

func manyFiles(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"%d\"\r\n\r\nx\r\n", i)
	}
	return b.String()
}

// TestAbortedUpload is F25 too: of an upload that breaks off nothing is seen, neither during nor after it.
func TestAbortedUpload(t *testing.T) {
	for _, route := range []string{"form", "put", "put, chunked"} {
		t.Run(route, func(t *testing.T) {
			s := start(t, vault.Options{}, files.Config{})
			s.write(t, "d/f", "old")
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			const part = "--B\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\nd\r\n" +
				"--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"f\"\r\n\r\n"
			switch route {
			case "form":
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 5000000\r\n\r\n%s", uploadRoute, part)
			case "put":
				fmt.Fprintf(conn, "PUT %s/d/f?overwrite=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n", uploadRoute)
			default:
				fmt.Fprintf(conn, "PUT %s/d/f?overwrite=1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", uploadRoute, 5_000_000)
			}
			_, _ = conn.Write(bytes.Repeat([]byte("n"), 1<<20))
			eventually(t, func() bool { return len(litter(t, s.root)) == 1 })
			if draft := litter(t, s.root)[0]; !strings.HasPrefix(draft, "d/.brenda-draft-") {
				t.Errorf("the draft is %s", draft)
			}
			if a := s.do(t, http.MethodGet, listRoute+"d", ""); !strings.Contains(a.body, `"total":1`) {
				t.Errorf("while it runs: %s", a.body)
			}
			_ = conn.Close()
			eventually(t, func() bool { return len(litter(t, s.root)) == 0 })
			if a := s.do(t, http.MethodGet, downloadRoute+"d/f", ""); a.body != "old" {
				t.Errorf("afterwards: %q", a.body)
			}
		})
	}
}

// TestTwoWriters: of uploads and moves to the same name at the same time exactly one wins, and what is there is one of
// them, whole. Deleted and made folders do not lose a file that was confirmed.
func TestTwoWriters(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	const writers = 16
	content := func(i int) string { return strings.Repeat(string(rune('a'+i)), 300_000) }
	for _, overwrite := range []bool{false, true} {
		name := "f" + strconv.FormatBool(overwrite)
		var wg sync.WaitGroup
		statuses := make([]int, writers)
		for i := range writers {
			wg.Go(func() {
				if i%2 == 0 {
					statuses[i] = s.upload(t.Context(), "d", name, content(i), overwrite).status
					return
				}
				s.write(t, "src"+strconv.Itoa(i), content(i))
				statuses[i] = s.send(t.Context(), http.MethodPost, moveRoute,
					strings.NewReader(object("source", "src"+strconv.Itoa(i), "destination", "d/"+name, "overwrite", overwrite))).status
			})
		}
		wg.Wait()
		won := 0
		for _, st := range statuses {
			if st/100 == 2 {
				won++
			} else if st != 409 && st != 404 { // the folder may not be there yet
				t.Errorf("status %d", st)
			}
		}
		a := s.do(t, http.MethodGet, downloadRoute+"d/"+name, "")
		if !overwrite && won != 1 || a.body == "" || a.body != content(int(a.body[0]-'a')) {
			t.Errorf("overwrite %v: %d winners, %d bytes", overwrite, won, len(a.body))
		}
	}
	noLitter(t, s.root)
}

// TestBodyLimits is F26: a body that is too large is refused, by its length at once and without one when it is over, and
// a length that lies is no upload.
func TestBodyLimits(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{MaxUpload: 1 << 20})
	raw := func(head, body string) string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { _, _ = io.WriteString(conn, head+body); _ = conn.(*net.TCPConn).CloseWrite() }()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return "no answer"
		}
		defer res.Body.Close()
		return fmt.Sprint(res.StatusCode, " ", res.Close)
	}
	const put = "PUT " + uploadRoute + "/f HTTP/1.1\r\nHost: localhost\r\n"
	big := strings.Repeat("x", 3<<20)
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(s), s) }
	for name, c := range map[string][3]string{
		"by length":       {put + "Content-Length: 3145728\r\n\r\n", big, "413 true"},
		"said huge":       {put + "Content-Length: 9223372036854775807\r\n\r\n", "x", "413 true"},
		"without length":  {put + "Transfer-Encoding: chunked\r\n\r\n", chunk(big), "413 true"},
		"less than said":  {put + "Content-Length: 1000\r\n\r\n", "short", "400 "},
		"not a number":    {put + "Content-Length: -5\r\n\r\n", "", "400 true"},
		"both":            {put + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", chunk("hello"), "201 "},
		"a chunk is lied": {put + "Transfer-Encoding: chunked\r\n\r\n", "ffffffffff\r\nabc", "400 "},
	} {
		if got := raw(c[0], c[1]); !strings.HasPrefix(got, c[2]) {
			t.Errorf("%s: %s, want %s", name, got, c[2])
		}
		a := s.do(t, http.MethodDelete, deleteRoute, `{"path":"f"}`)
		if made := a.status == 200; made != strings.HasPrefix(c[2], "201") {
			t.Errorf("%s: a file was left: %v", name, made)
		}
		noLitter(t, s.root)
	}
}

// TestRanges is F27, and what else HTTP can ask of a file.
func TestRanges(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	content := "0123456789"
	s.write(t, "f.txt", content)
	tag := s.do(t, http.MethodHead, downloadRoute+"f.txt", "").header.Get("ETag")
	many := "bytes=" + strings.TrimSuffix(strings.Repeat("0-,", 1000), ",")
	for name, c := range map[string]struct {
		headers []string
		status  int
		body    string
		ranged  string
	}{
		"none":               {nil, 200, content, ""},
		"0-0":                {[]string{"Range", "bytes=0-0"}, 206, "0", "bytes 0-0/10"},
		"-1":                 {[]string{"Range", "bytes=-1"}, 206, "9", "bytes 9-9/10"},
		"5-":                 {[]string{"Range", "bytes=5-"}, 206, "56789", "bytes 5-9/10"},
		"3-99":               {[]string{"Range", "bytes=3-99"}, 206, "3456789", "bytes 3-9/10"},
		"-99":                {[]string{"Range", "bytes=-99"}, 206, content, "bytes 0-9/10"},
		"5-2":                {[]string{"Range", "bytes=5-2"}, 416, "", ""},
		"999999-":            {[]string{"Range", "bytes=999999-"}, 416, "", "bytes */10"},
		"no number":          {[]string{"Range", "bytes=a-b"}, 416, "", ""},
		"overflow":           {[]string{"Range", "bytes=99999999999999999999-"}, 416, "", ""},
		"another unit":       {[]string{"Range", "lines=1-2"}, 416, "", ""},
		"1000 overlapping":   {[]string{"Range", many}, 200, content, ""},
		"If-Range fits":      {[]string{"Range", "bytes=0-1", "If-Range", tag}, 206, "01", "bytes 0-1/10"},
		"If-Range stale":     {[]string{"Range", "bytes=0-1", "If-Range", `"old"`}, 200, content, ""},
		"If-None-Match":      {[]string{"If-None-Match", tag}, 304, "", ""},
		"If-None-Match *":    {[]string{"If-None-Match", "*"}, 304, "", ""},
		"If-None-Match else": {[]string{"If-None-Match", `"old"`}, 200, content, ""},
		"If-Match":           {[]string{"If-Match", tag}, 200, content, ""},
		"If-Match else":      {[]string{"If-Match", `"old"`}, 412, "", ""},
		"since":              {[]string{"If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"}, 304, "", ""},
	} {
		for _, route := range []string{downloadRoute, streamRoute} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				a := s.do(t, method, route+"f.txt", "", c.headers...)
				ok := method == http.MethodHead || c.status >= 400 || a.body == c.body
				if a.status != c.status || !ok || c.ranged != "" && a.header.Get("Content-Range") != c.ranged {
					t.Errorf("%s %s: %d %q %q", name, method, a.status, a.body, a.header)
				}
				if c.status >= 400 && method == http.MethodGet && a.code() == "" {
					t.Errorf("%s: not the shape of an error: %s", name, a.body)
				}
			}
		}
	}
	a := s.do(t, http.MethodGet, downloadRoute+"f.txt", "", "Range", "bytes=0-1,5-6")
	_, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status != 206 || err != nil {
		t.Fatalf("two ranges: %d %v", a.status, a.header)
	}
	parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
	for _, want := range []string{"01", "56"} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(p); err != nil || string(b) != want {
			t.Errorf("part %q (%v), want %q", b, err, want)
		}
	}
	if a := s.do(t, http.MethodPut, uploadRoute+"/f.txt?overwrite=1", content); a.status != 201 {
		t.Fatal(a.body)
	}
	if now := s.do(t, http.MethodHead, downloadRoute+"f.txt", ""); now.header.Get("ETag") == tag {
		t.Error("a new file has the old one's ETag")
	}
}

// TestGrowingFile: a file that others write to is sent as long as it was, and no more is promised than comes.
func TestGrowingFile(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	s.write(t, "log", "start")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		f, err := os.OpenFile(filepath.Join(s.root, "log"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for range 200_000 {
			if ctx.Err() != nil {
				return
			}
			_, _ = f.WriteString("x")
		}
	})
	for range 50 {
		a := s.do(t, http.MethodGet, downloadRoute+"log", "")
		if a.err != nil || a.status != 200 || strconv.Itoa(len(a.body)) != a.header.Get("Content-Length") {
			t.Errorf("%d, %d bytes of %s (%v)", a.status, len(a.body), a.header.Get("Content-Length"), a.err)
		}
	}
	cancel()
	wg.Wait()
}

// TestDispositions is F28 and F29: names that would break the header, and files that would act in the server's name.
func TestDispositions(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{})
	for name, want := range map[string]string{
		"plain.txt":     `filename="plain.txt"`,
		`say "hi".txt`:  `filename="say _hi_.txt"; filename*=UTF-8''say%20%22hi%22.txt`,
		"été.txt":       `filename="_t_.txt"; filename*=UTF-8''%C3%A9t%C3%A9.txt`,
		"100%.txt":      `filename="100_.txt"; filename*=UTF-8''100%25.txt`,
		"a;b=c.txt":     `filename="a;b=c.txt"`,
		"日本.txt":        `filename="__.txt"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt`,
		"x'y(z)*&+.txt": `filename="x'y(z)*&+.txt"`,
	} {
		s.write(t, name, "x")
		for route, kind := range map[string]string{downloadRoute: "attachment; ", streamRoute: "inline; "} {
			a := s.do(t, http.MethodGet, route+named(name).url, "")
			if got := a.header.Get("Content-Disposition"); got != kind+want {
				t.Errorf("%s: %s", name, got)
			}
			if _, params, err := mime.ParseMediaType(a.header.Get("Content-Disposition")); err != nil || strings.Contains(want, "*=") && params["filename"] != name {
				t.Errorf("%s is read as %v (%v)", name, params, err)
			}
		}
	}
	if a := s.do(t, http.MethodGet, downloadRoute+"a%0d%0aX-Evil:%201", ""); a.status != 400 || a.header.Get("X-Evil") != "" {
		t.Errorf("CR LF: %d %v", a.status, a.header)
	}
	for name, kind := range map[string]string{
		"x.html": "text/html", "x.svg": "image/svg+xml", "x.xml": "", "x.js": "", "x.mp3": "audio/mpeg", "x.unknown": "application/octet-stream", "noext": "application/octet-stream",
	} {
		s.write(t, name, "<script>alert(1)</script>")
		for _, route := range []string{downloadRoute, streamRoute} {
			h := s.do(t, http.MethodGet, route+name, "").header
			if h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox; default-src 'none'") ||
				!strings.HasPrefix(h.Get("Content-Type"), kind) {
				t.Errorf("%s: %v", name, h)
			}
		}
	}
}
