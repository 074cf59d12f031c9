package rest

import (
	_ "embed"
	"net/http"
	"time"
)

// The specification of the routes, and a page that shows it. A test holds the specification against the
// table.
var (
	//go:embed openapi.json
	specification []byte
	//go:embed docs.html
	specificationPage []byte
)

func openAPI(w http.ResponseWriter, _ *http.Request) error {
	return document(w, "application/json; charset=utf-8", specification)
}

func docsPage(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "+
			"connect-src 'self'; frame-ancestors 'none'")
	return document(w, "text/html; charset=utf-8", specificationPage)
}

func document(w http.ResponseWriter, kind string, content []byte) error {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)) // not every writer has one
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(content) // a client that went away needs no document
	return nil
}
