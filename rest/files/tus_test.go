package files_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"brenda/rest/files"
	"brenda/rest/files/vault"
)

const tusRoute = "/v1/files/tus"

// tusHead are the headers that begin an upload.
func tusHead(length int, name string, more ...string) []string {
	return append([]string{
		"Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(length),
		"Upload-Metadata", "filename " + base64.StdEncoding.EncodeToString([]byte(name)),
	}, more...)
}

// tusTo is tusHead for a file in a folder, which replaces another.
func tusTo(length int, name string, more ...string) []string {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	meta := "filename " + b64(filepath.Base(name)) + ",path " + b64(filepath.Dir(name)) + ",overwrite " + b64("true")
	return append([]string{"Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(length), "Upload-Metadata", meta}, more...)
}

// tusPatch are the headers of a part.
func tusPatch(offset int) []string {
	return []string{"Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset)}
}

func TestResumable(t *testing.T) {
	s := start(t, vault.Options{}, files.Config{MaxResumable: 1 << 20})
	tus := []string{"Tus-Resumable", "1.0.0"}
	a := s.do(t, http.MethodPost, tusRoute, "", tusHead(10, "f")...)
	at := a.header.Get("Location")
	if a.status != 201 || !strings.HasPrefix(at, tusRoute+"/") || a.header.Get("Upload-Expires") == "" || a.header.Get("Tus-Resumable") != "1.0.0" {
		t.Fatalf("create: %d %v", a.status, a.header)
	}
	for _, c := range []struct {
		name, method, body string
		headers            []string
		status             int
		offset             string
	}{
		{"new", http.MethodHead, "", tus, 200, "0"},
		{"first part", http.MethodPatch, "0123", tusPatch(0), 204, "4"},
		{"again", http.MethodPatch, "0123", tusPatch(0), 409, ""},
		{"beyond", http.MethodPatch, "x", tusPatch(5), 409, ""},
		{"empty part", http.MethodPatch, "", tusPatch(4), 204, "4"},
		{"no type", http.MethodPatch, "x", append([]string{"Upload-Offset", "4"}, tus...), 415, ""},
		{"no offset", http.MethodPatch, "x", append([]string{"Content-Type", "application/offset+octet-stream"}, tus...), 400, ""},
		{"no version", http.MethodHead, "", nil, 412, ""},
		{"other version", http.MethodPatch, "x", []string{"Tus-Resumable", "0.2.2", "Upload-Offset", "4"}, 412, ""},
		{"POST", http.MethodPost, "", tus, 400, ""},
		{"as HEAD", http.MethodPost, "", append([]string{"X-HTTP-Method-Override", "HEAD"}, tus...), 200, "4"},
		{"as PATCH", http.MethodPost, "", append([]string{"X-HTTP-Method-Override", "PATCH"}, tusPatch(4)...), 204, "4"},
		{"too much", http.MethodPatch, "4567890", tusPatch(4), 413, ""},
		{"so far", http.MethodHead, "", tus, 200, "4"},
		{"last part", http.MethodPatch, "456789", tusPatch(4), 204, "10"},
		{"done", http.MethodHead, "", tus, 200, "10"}, // for a client that missed the answer
		{"done already", http.MethodPatch, "", tusPatch(10), 204, "10"},
		{"give up", http.MethodDelete, "", tus, 204, ""},
		{"given up", http.MethodHead, "", tus, 404, ""},
		{"given up twice", http.MethodDelete, "", tus, 404, ""},
		{"given up, more", http.MethodPatch, "x", tusPatch(0), 404, ""},
	} {
		a := s.do(t, c.method, at, c.body, c.headers...)
		if a.status != c.status || a.header.Get("Upload-Offset") != c.offset {
			t.Errorf("%s: %d, offset %q %s", c.name, a.status, a.header.Get("Upload-Offset"), a.body)
		}
	}
	for _, route := range []string{tusRoute, at} {
		a := s.do(t, http.MethodOptions, route, "") // the one request without Tus-Resumable
		want := map[string]string{
			"Tus-Resumable": "1.0.0", "Tus-Version": "1.0.0", "Tus-Max-Size": "1048576",
			"Tus-Extension": "creation,creation-with-upload,termination,expiration",
		}
		for name, value := range want {
			if a.status != 204 || a.header.Get(name) != value {
				t.Errorf("OPTIONS %s: %d, %s is %q", route, a.status, name, a.header.Get(name))
			}
		}
	}
	if a := s.do(t, http.MethodOptions, listRoute, ""); a.status != 204 || a.header.Get("Tus-Version") != "" {
		t.Errorf("OPTIONS of another route: %d %v", a.status, a.header)
	}
	if a := s.do(t, http.MethodGet, downloadRoute+"f", ""); a.body != "0123456789" {
		t.Errorf("there is %q", a.body)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"exists":        {tusHead(1, "f"), 409},
		"too large":     {tusHead(1<<20+1, "g"), 413},
		"negative":      {append(tusHead(1, "g")[:2], "Upload-Length", "-1", "Upload-Metadata", "filename "+b64("g")), 400},
		"deferred":      {[]string{"Tus-Resumable", "1.0.0", "Upload-Defer-Length", "1", "Upload-Metadata", "filename " + b64("g")}, 400},
		"no name":       {append(tus, "Upload-Length", "1"), 400},
		"not base64":    {append(tus, "Upload-Length", "1", "Upload-Metadata", "filename ???"), 400},
		"folder":        {append(tus, "Upload-Length", "1", "Upload-Metadata", "filename "+b64("../x")), 400},
		"path":          {append(tus, "Upload-Length", "1", "Upload-Metadata", "path "+b64("../x")+",filename "+b64("x")), 400},
		"wrong version": {append(tusHead(1, "g")[2:], "Tus-Resumable", "0.2.2"), 412},
		"overwrite":     {append(tus, "Upload-Length", "0", "Upload-Metadata", "overwrite "+b64("true")+",filename "+b64("f")), 201},
		"with body":     {tusHead(3, "h", "Content-Type", "application/offset+octet-stream"), 201},
	} {
		body := ""
		if name == "with body" {
			body = "abc"
		}
		if a := s.do(t, http.MethodPost, tusRoute, body, c.headers...); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	s.run(t, []step{{http.MethodGet, downloadRoute + "h", "", 200, "abc"}, {http.MethodHead, downloadRoute + "f", "", 200, ""}})
	noLitter(t, s.root)
}

// TestResumableGoesOn: a part that breaks off is kept, a new part interrupts one whose client is gone, and the server may
// be killed between them.
func TestResumableGoesOn(t *testing.T) {
	root := memoryDir(t)
	bin := program(t)
	c := startChild(t, bin, root, 0)
	content := strings.Repeat("0123456789abcdef", 1<<20/16)
	at := c.do(t, http.MethodPost, tusRoute, "", tusHead(len(content), "f")...).header.Get("Location")
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\n"+
		"Upload-Offset: 0\r\nContent-Length: %d\r\n\r\n%s", at, len(content), content[:300_000])
	offset := func() int { // asking interrupts the part
		n, _ := strconv.Atoi(c.do(t, http.MethodHead, at, "", "Tus-Resumable", "1.0.0").header.Get("Upload-Offset"))
		return n
	}
	eventually(t, func() bool { return offset() > 0 })
	got := offset()
	if got > 300_000 {
		t.Fatalf("offset %d", got)
	}
	half := got + 100_000
	if a := c.do(t, http.MethodPatch, at, content[got:half], tusPatch(got)...); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	c.kill()
	c = startChild(t, bin, root, 0)
	if n := offset(); n != half {
		t.Fatalf("after the restart: %d", n)
	}
	if a := c.do(t, http.MethodPatch, at, content[half:], tusPatch(half)...); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := c.do(t, http.MethodGet, downloadRoute+"f", ""); a.body != content {
		t.Errorf("%d bytes", len(a.body))
	}
	noLitter(t, root)
}

// TestResumableExpires: an upload that nobody goes on with is dropped, by the running server and by a start.
func TestResumableExpires(t *testing.T) {
	s := start(t, vault.Options{UploadAge: time.Second}, files.Config{})
	s.do(t, http.MethodPost, tusRoute, "", tusHead(10, "f")...)
	if len(litter(t, s.root)) == 0 {
		t.Fatal("nothing was begun")
	}
	eventually(t, func() bool { return len(litter(t, s.root)) == 0 })
	if b, n := s.vault.Usage(); b != 0 || n != 0 {
		t.Errorf("%d bytes, %d entries", b, n)
	}
}
