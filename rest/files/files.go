// Package files serves the specification's "Service Files API": the files of clients below one root, which package
// [brenda/rest/files/vault] keeps.
//
//	POST   /v1/files/directory/create    {"path"}                              201
//	POST   /v1/files/directory/move      {"source","destination","overwrite"}  200
//	DELETE /v1/files/directory/delete    {"path"}                              200
//	POST   /v1/files/directory/compress  {"path","zip_name","overwrite"}       200, or events
//	POST   /v1/files/upload              a form: files, path, overwrite        201
//	PUT    /v1/files/upload/*path        the file itself; ?overwrite=true      201
//	POST   /v1/files/move                {"source","destination","overwrite"}  200
//	DELETE /v1/files/delete              {"path"}                              200
//	GET    /v1/files/download/*path      as an attachment, with ranges
//	GET    /v1/files/stream/*path        inline, with ranges
//	POST   /v1/files/decompress          {"path","extract_path","overwrite"}   200, or events
//	GET    /v1/files/list/*path          ?offset&limit
//	       /v1/files/tus, /v1/files/tus/:id   resumable uploads: tus 1.0 with creation, termination and expiration
//
// All belong into the guarded zone. A full disk or quota is 507. Links, devices, and files with hard links are treated as
// if they were not there.
package files

import (
	"net/http"
	"strings"

	"github.com/julienschmidt/httprouter"

	"brenda/pipeline/fault"
	"brenda/rest/files/vault"
	"brenda/rest/httpx"
)

// jobs is how many archives are packed or unpacked at the same time. Each keeps a core busy.
const jobs = 2

// Config is what a Service needs besides the vault.
type Config struct {
	MaxUpload    int64  // bytes of one upload; 0 means httpx.MaxBody
	MaxResumable int64  // bytes of one resumable upload; 0 means MaxUpload
	Absent       string // why there is no vault, for clients
}

// Service answers the routes of this package.
type Service struct {
	vault      *vault.Vault
	cfg        Config
	jobs       chan struct{}
	ordinary   *httpx.Intake
	resumables *httpx.Intake
}

// New returns the service. Without a vault every request is answered with 503 and cfg.Absent.
func New(v *vault.Vault, cfg Config) *Service {
	if cfg.MaxUpload <= 0 {
		cfg.MaxUpload = httpx.MaxBody
	}
	if cfg.MaxResumable <= 0 {
		cfg.MaxResumable = cfg.MaxUpload
	}
	return &Service{
		vault: v, cfg: cfg, jobs: make(chan struct{}, jobs),
		ordinary: newIntake(cfg.MaxUpload), resumables: newIntake(cfg.MaxResumable),
	}
}

// CreateFolder answers POST /v1/files/directory/create.
func (s *Service) CreateFolder(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, s.createFolder)
}

// MoveFolder answers POST /v1/files/directory/move.
func (s *Service) MoveFolder(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error { return s.move(w, r, true) })
}

// DeleteFolder answers DELETE /v1/files/directory/delete.
func (s *Service) DeleteFolder(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error { return s.remove(w, r, true) })
}

// Compress answers POST /v1/files/directory/compress.
func (s *Service) Compress(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, s.compress)
}

// Upload answers POST /v1/files/upload.
func (s *Service) Upload(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, s.uploadForm)
}

// Put answers PUT /v1/files/upload/*path.
func (s *Service) Put(w http.ResponseWriter, r *http.Request) error { return s.serve(w, r, s.put) }

// Move answers POST /v1/files/move.
func (s *Service) Move(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error { return s.move(w, r, false) })
}

// Delete answers DELETE /v1/files/delete.
func (s *Service) Delete(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error { return s.remove(w, r, false) })
}

// Download answers GET and HEAD /v1/files/download/*path.
func (s *Service) Download(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error { return s.send(w, r, "attachment") })
}

// Stream answers GET and HEAD /v1/files/stream/*path.
func (s *Service) Stream(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, func(w http.ResponseWriter, r *http.Request) error { return s.send(w, r, "inline") })
}

// Decompress answers POST /v1/files/decompress.
func (s *Service) Decompress(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, s.decompress)
}

// List answers GET /v1/files/list and /v1/files/list/*path.
func (s *Service) List(w http.ResponseWriter, r *http.Request) error { return s.serve(w, r, s.list) }

// CreateResumable answers POST /v1/files/tus.
func (s *Service) CreateResumable(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, s.tusCreate)
}

// Resumable answers HEAD, PATCH, DELETE, and POST as one of them, /v1/files/tus/:id.
func (s *Service) Resumable(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, s.tusUpload)
}

// exposed are the headers that a page may read besides those of every route.
const exposed = "Accept-Ranges, Content-Disposition, Content-Range, ETag, Location, Tus-Resumable, Tus-Version, " +
	"Tus-Extension, Tus-Max-Size, Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset"

// serve runs a handler, and answers for faults that have a status of their own here.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, h httpx.Handler) error {
	if s.vault == nil {
		return fault.New(fault.Unavailable, "files_unavailable", "there is no place for files: %s", s.cfg.Absent)
	}
	if r.Header.Get("Origin") != "" {
		w.Header().Add("Access-Control-Expose-Headers", exposed)
	}
	err := h(w, r)
	status := ownStatus(err)
	if rec, ok := w.(*httpx.Recorder); status == 0 || ok && rec.Started() {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusInsufficientStorage {
		w.Header().Set("Connection", "close") // the rest of a body is of no use
	}
	return httpx.Write(w, status, struct {
		Error httpx.Problem `json:"error"`
	}{httpx.Describe(err)})
}

// ownStatus returns the status of a fault that httpx has no kind for, or 0.
func ownStatus(err error) int {
	if err == nil {
		return 0
	}
	switch fault.As(err).Code {
	case vault.CodeFull:
		return http.StatusInsufficientStorage
	case codeUploadBusy:
		return http.StatusLocked
	case codePrecondition:
		return http.StatusPreconditionFailed
	}
	return 0
}

// codeUploadBusy and codePrecondition are faults with a status of their own.
const (
	codeUploadBusy   = "upload_busy"
	codePrecondition = "precondition_failed"
)

// pathField checks a path of a request's body. It may be the root only where a handler says so later.
func pathField(param string, value *string) (vault.Path, error) {
	if value == nil {
		return vault.Path{}, fault.Field(param, "%s is missing; it must be a path", param)
	}
	p, err := vault.Parse(*value)
	return p, fault.Blame(err, param)
}

// pathOfURL checks the path at the end of a URL, which was decoded once.
func pathOfURL(r *http.Request) (vault.Path, error) {
	value := httprouter.ParamsFromContext(r.Context()).ByName("path")
	p, err := vault.Parse(strings.TrimPrefix(value, "/"))
	return p, fault.Blame(err, "path")
}

// flag reads a yes or no that came as a text.
func flag(name, text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no", "":
		return false, nil
	}
	return false, fault.Field(name, "%s must be true or false", name)
}
