// Package web is Brenda's page: plain files, served as they are, with no build step. To work on it, serve this
// folder with [New] and os.DirFS, edit, and reload. The folder browser has what drives the page in Chromium for a test.
//
// The page talks to /v1/realtime as any client of OpenAI's Realtime protocol does (GA dialect). Its modules are named
// after what they know: microphone, speaker, socket, conversation, captions, waterfall, i18n; app.js joins them.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"brenda/pipeline/fault"
)

//go:embed static
var embedded embed.FS

// policy lets the page use what comes from this server, and nothing else: no foreign host, no inline script or style.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler returns the handler of the page that is part of the program: GET and HEAD of / and /static/….
func Handler() func(w http.ResponseWriter, r *http.Request) error { return New(embedded) }

// New returns a handler that serves the page from the folder static of files. Files are read for each request, and
// browsers ask each time whether theirs is still good: what changed is seen at the next reload.
func New(files fs.FS) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		name, ok := file(r.URL.Path)
		if !ok {
			return errNoFile()
		}
		content, err := fs.ReadFile(files, name)
		if errors.Is(err, fs.ErrNotExist) {
			return errNoFile()
		}
		if err != nil {
			return fmt.Errorf("page: %w", err)
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)) // not every writer has one
		headers(w.Header(), name, content)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
		return nil
	}
}

// file returns which file a path asks for. Only names with a known type are files.
func file(p string) (name string, ok bool) {
	if p == "/" {
		return "static/index.html", true
	}
	name = strings.TrimPrefix(p, "/")
	return name, strings.HasPrefix(p, "/static/") && fs.ValidPath(name) && contentType(name) != ""
}

// contentType returns a file's media type. The system's own table, which differs from machine to machine, is not asked.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}

func headers(h http.Header, name string, content []byte) {
	sum := sha256.Sum256(content)
	h.Set("Content-Type", contentType(name))
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:18])+`"`)
	h.Set("Cache-Control", "no-cache") // may be kept, and is good for as long as the ETag is the same
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "microphone=(self), camera=(), geolocation=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

func errNoFile() error {
	return fault.New(fault.NotFound, "no_file", "the page has no such file")
}
