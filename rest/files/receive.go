package files

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"brenda/pipeline/fault"
	"brenda/rest/files/vault"
	"brenda/rest/httpx"
)

const (
	maxFiles   = 1000     // of one form
	maxField   = 8 << 10  // bytes of a text in a form
	copyBuffer = 64 << 10 // bytes of a body in memory
	bodyIdle   = 20 * time.Second
)

// newIntake limits bodies that go to the disk as they come. They take no memory worth counting, so that there is no budget.
func newIntake(limit int64) *httpx.Intake { return httpx.NewIntake(limit, 1<<62, bodyIdle) }

// Ordinary is what may come in as the body of an upload.
func (s *Service) Ordinary() *httpx.Intake { return s.ordinary }

// Resumables is what may come in as a part of a resumable upload.
func (s *Service) Resumables() *httpx.Intake { return s.resumables }

// stored is what the client learns of a file that it sent.
type stored struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Sum  string `json:"sha256"`
}

type storedAnswer struct {
	Files []stored `json:"files"`
}

// form is an upload that is read part by part. Its files are drafts until all of it was read.
type form struct {
	vault     *vault.Vault
	stage     *vault.Stage // of the folder, or of the root while that is not known
	buf       []byte
	names     map[string]bool
	drafts    []vault.Placing // their paths are names yet
	folder    vault.Path
	hasFolder bool
	overwrite bool
}

func (s *Service) uploadForm(w http.ResponseWriter, r *http.Request) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "invalid_form", "the body must be a form: multipart/form-data with a boundary")
	}
	f := &form{vault: s.vault, buf: make([]byte, copyBuffer), names: map[string]bool{}}
	defer f.discard()
	if err := f.read(parts); err != nil {
		return broken(err)
	}
	if len(f.drafts) == 0 {
		return fault.Field("files", "files is missing; a form needs at least one file with a name")
	}
	for i := range f.drafts {
		if f.drafts[i].Path, err = f.folder.Join(f.drafts[i].Path); err != nil {
			return fault.Blame(err, "files")
		}
	}
	if err := s.vault.Commit(r.Context(), f.overwrite, f.drafts...); err != nil {
		return fault.Blame(err, "files")
	}
	answer := storedAnswer{}
	for _, d := range f.drafts {
		answer.Files = append(answer.Files, stored{d.Path.String(), d.Draft.Size(), d.Draft.Sum()})
	}
	return httpx.Write(w, http.StatusCreated, answer)
}

// broken is the fault of a form that ends too early or is none.
func broken(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Invalid, "invalid_form", "the form is not valid, or did not arrive whole")
}

func (f *form) discard() {
	if f.stage != nil {
		f.stage.Close()
	}
}

func (f *form) read(parts *multipart.Reader) error {
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == 2*maxFiles:
			return fault.New(fault.TooLarge, "too_large", "a form may have at most %d parts", 2*maxFiles)
		}
		if err := f.part(part); err != nil {
			return err
		}
	}
}

// part reads one part. Its name is taken as it was sent: multipart would take folders off it silently.
func (f *form) part(part *multipart.Part) error {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return err
	}
	name, isFile := params["filename"]
	switch params["name"] {
	case "files", "files[]", "file":
		if !isFile {
			return fault.Field("files", "each of files needs a filename")
		}
		return f.file(part, name)
	case "path":
		text, err := field(part, "path")
		if err != nil {
			return err
		}
		if f.hasFolder {
			return fault.Field("path", "path may be there only once")
		}
		f.hasFolder = true
		f.folder, err = vault.Parse(text)
		return fault.Blame(err, "path")
	case "overwrite":
		text, err := field(part, "overwrite")
		if err != nil {
			return err
		}
		f.overwrite, err = flag("overwrite", text)
		return err
	}
	if isFile {
		return fault.Field("files", "files must be sent in fields named files")
	}
	_, err = io.CopyBuffer(io.Discard, part, f.buf)
	return err
}

func field(part *multipart.Part, name string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(part, maxField+1))
	if err == nil && len(b) > maxField {
		err = fault.Field(name, "%s is too long", name)
	}
	return string(b), err
}

func (f *form) file(part *multipart.Part, filename string) error {
	name, err := vault.Name(filename)
	if err != nil {
		return fault.Blame(err, "files")
	}
	if f.names[filename] {
		return fault.Field("files", "files has %q twice", filename)
	}
	if len(f.drafts) == maxFiles {
		return fault.New(fault.TooLarge, "too_large", "a form may have at most %d files", maxFiles)
	}
	f.names[filename] = true
	if f.stage == nil {
		if f.stage, err = f.vault.Stage(f.folder); err != nil {
			return fault.Blame(err, "path")
		}
	}
	d, err := f.stage.Draft()
	if err != nil {
		return err
	}
	f.drafts = append(f.drafts, vault.Placing{Draft: d, Path: name})
	if _, err = io.CopyBuffer(d, part, f.buf); err != nil {
		return err
	}
	return d.Done()
}

// put takes a body as the file itself, as curl -T sends it.
func (s *Service) put(w http.ResponseWriter, r *http.Request) error {
	p, err := pathOfURL(r)
	if err != nil {
		return err
	}
	if p.IsRoot() {
		return fault.Field("path", "the URL must end in the path of the file")
	}
	overwrite, err := flag("overwrite", r.URL.Query().Get("overwrite"))
	if err != nil {
		return err
	}
	stage, err := s.vault.Stage(p.Dir())
	if err != nil {
		return fault.Blame(err, "path")
	}
	defer stage.Close()
	d, err := stage.Draft()
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(d, r.Body, make([]byte, copyBuffer)); err != nil {
		return broken(err)
	}
	if err := s.vault.Commit(r.Context(), overwrite, vault.Placing{Draft: d, Path: p}); err != nil {
		return fault.Blame(err, "path")
	}
	return httpx.Write(w, http.StatusCreated, storedAnswer{[]stored{{p.String(), d.Size(), d.Sum()}}})
}
