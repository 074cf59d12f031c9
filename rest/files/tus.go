package files

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"brenda/pipeline/fault"
	"brenda/rest/files/vault"
)

// The tus protocol for resumable uploads, version 1.0.0. A client names the file and its folder in the metadata: filename,
// path, overwrite.
const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,creation-with-upload,termination,expiration"
	tusType       = "application/offset+octet-stream"
	tusPath       = "/v1/files/tus/"
	tusMaxNote    = 4 << 10
)

// Resumability tells a client that asks by OPTIONS what of the protocol there is.
func (s *Service) Resumability(h http.Header) {
	h.Set("Tus-Resumable", tusVersion)
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", tusExtensions)
	h.Set("Tus-Max-Size", strconv.FormatInt(s.cfg.MaxResumable, 10))
}

func (s *Service) tusHeaders(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	s.Resumability(h)
	h.Set("Cache-Control", "no-store")
	if got := r.Header.Get("Tus-Resumable"); got != tusVersion {
		return &fault.Error{
			Kind: fault.Invalid, Code: codePrecondition, Param: "Tus-Resumable",
			Msg: "this is tus " + tusVersion + "; send it in the header Tus-Resumable",
		}
	}
	return nil
}

// tusNumber reads a header that holds a number of bytes.
func tusNumber(r *http.Request, name string) (int64, error) {
	n, err := strconv.ParseInt(r.Header.Get(name), 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Field(name, "the header %s must be a number of bytes", name)
	}
	return n, nil
}

func (s *Service) tusCreate(w http.ResponseWriter, r *http.Request) error {
	if err := s.tusHeaders(w, r); err != nil {
		return err
	}
	length, err := tusNumber(r, "Upload-Length")
	if err != nil {
		return err
	}
	if length > s.cfg.MaxResumable {
		return fault.New(fault.TooLarge, "too_large", "a resumable upload may have at most %d bytes", s.cfg.MaxResumable)
	}
	note := r.Header.Get("Upload-Metadata")
	p, overwrite, err := tusTarget(note)
	if err != nil {
		return err
	}
	u, err := s.vault.NewUpload(r.Context(), p, length, overwrite, note)
	if err != nil {
		return fault.Blame(err, "Upload-Metadata")
	}
	w.Header().Set("Location", tusPath+u.ID)
	if r.Header.Get("Content-Type") == tusType && r.ContentLength != 0 && !u.Complete() {
		if u, err = s.vault.Append(r.Context(), u.ID, 0, r.Body, stopper(w)); err != nil {
			return err
		}
		w.Header().Set("Upload-Offset", strconv.FormatInt(u.Offset, 10))
	}
	tusExpires(w, u)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// tusTarget reads the metadata: where the file belongs.
func tusTarget(note string) (p vault.Path, overwrite bool, err error) {
	const param = "Upload-Metadata"
	bad := func(text string) error { return fault.Field(param, "Upload-Metadata %s", text) }
	if len(note) > tusMaxNote {
		return p, false, bad("is too long")
	}
	values := map[string]string{}
	for pair := range strings.SplitSeq(note, ",") {
		key, code, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(code))
		if err != nil {
			return p, false, bad("must be keys, each with a value in base64")
		}
		if _, twice := values[key]; twice {
			return p, false, bad("has a key twice")
		}
		values[key] = string(value)
	}
	name, ok := values["filename"]
	if !ok {
		name, ok = values["name"]
	}
	if !ok {
		return p, false, bad("must name the file: filename, with its name in base64")
	}
	folder, err := vault.Parse(values["path"])
	if err != nil {
		return p, false, fault.Blame(err, param)
	}
	file, err := vault.Name(name)
	if err != nil {
		return p, false, fault.Blame(err, param)
	}
	if overwrite, err = flag(param, values["overwrite"]); err != nil {
		return p, false, err
	}
	p, err = folder.Join(file)
	return p, overwrite, fault.Blame(err, param)
}

// stopper returns what ends the reading of a request's body from another goroutine.
func stopper(w http.ResponseWriter) func() {
	rc := http.NewResponseController(w)
	return func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) } // a test's recorder has none
}

func tusExpires(w http.ResponseWriter, u vault.Upload) {
	if !u.Complete() {
		w.Header().Set("Upload-Expires", u.Expires.UTC().Format(http.TimeFormat))
	}
}

func (s *Service) tusUpload(w http.ResponseWriter, r *http.Request) error {
	if err := s.tusHeaders(w, r); err != nil {
		return err
	}
	id := httprouter.ParamsFromContext(r.Context()).ByName("id")
	method := r.Method
	if other := r.Header.Get("X-HTTP-Method-Override"); other != "" { // of clients that have GET and POST only
		method = other
	}
	switch method {
	case http.MethodHead:
		return s.tusHead(w, r, id)
	case http.MethodPatch:
		return s.tusPatch(w, r, id)
	case http.MethodDelete:
	default:
		return fault.Field("X-HTTP-Method-Override", "POST needs X-HTTP-Method-Override: HEAD, PATCH or DELETE")
	}
	if err := s.vault.DropUpload(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) tusHead(w http.ResponseWriter, r *http.Request, id string) error {
	u, err := s.vault.Upload(r.Context(), id)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Upload-Offset", strconv.FormatInt(u.Offset, 10))
	h.Set("Upload-Length", strconv.FormatInt(u.Length, 10))
	if u.Note != "" {
		h.Set("Upload-Metadata", u.Note)
	}
	tusExpires(w, u)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) tusPatch(w http.ResponseWriter, r *http.Request, id string) error {
	if r.Header.Get("Content-Type") != tusType {
		return fault.New(fault.Unsupported, "unsupported_media", "the Content-Type must be %s", tusType)
	}
	offset, err := tusNumber(r, "Upload-Offset")
	if err != nil {
		return err
	}
	u, err := s.vault.Append(r.Context(), id, offset, r.Body, stopper(w))
	if err != nil {
		return err
	}
	w.Header().Set("Upload-Offset", strconv.FormatInt(u.Offset, 10))
	tusExpires(w, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
