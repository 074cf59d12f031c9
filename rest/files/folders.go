package files

import (
	"net/http"
	"time"

	"brenda/pipeline/fault"
	"brenda/rest/files/vault"
	"brenda/rest/httpx"
)

// How many entries one answer of the list has.
const (
	defaultLimit = 10_000
	maxLimit     = 100_000
)

type pathAnswer struct {
	Path string `json:"path"`
}

func (s *Service) createFolder(w http.ResponseWriter, r *http.Request) error {
	req, err := httpx.Read[struct {
		Path      *string `json:"path"`
		Overwrite bool    `json:"overwrite"` // ours: a folder that exists is no error, and is left as it is
	}](r)
	if err != nil {
		return err
	}
	p, err := pathField("path", req.Path)
	if err != nil {
		return err
	}
	if p.IsRoot() {
		return fault.Field("path", "path is empty; it must name the new folder")
	}
	if err := s.vault.Mkdir(r.Context(), p, req.Overwrite); err != nil {
		return fault.Blame(err, "path")
	}
	return httpx.Write(w, http.StatusCreated, pathAnswer{p.String()})
}

func (s *Service) move(w http.ResponseWriter, r *http.Request, folder bool) error {
	req, err := httpx.Read[struct {
		Source      *string `json:"source"`
		Destination *string `json:"destination"`
		Overwrite   bool    `json:"overwrite"`
	}](r)
	if err != nil {
		return err
	}
	src, err := pathField("source", req.Source)
	if err != nil {
		return err
	}
	dst, err := pathField("destination", req.Destination)
	if err != nil {
		return err
	}
	if err := s.vault.Move(r.Context(), src, dst, folder, req.Overwrite); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, struct {
		Path   string `json:"path"`
		Source string `json:"source"`
	}{dst.String(), src.String()})
}

func (s *Service) remove(w http.ResponseWriter, r *http.Request, folder bool) error {
	req, err := httpx.Read[struct {
		Path *string `json:"path"`
	}](r)
	if err != nil {
		return err
	}
	p, err := pathField("path", req.Path)
	if err != nil {
		return err
	}
	if err := s.vault.Remove(r.Context(), p, folder); err != nil {
		return fault.Blame(err, "path")
	}
	return httpx.Write(w, http.StatusOK, pathAnswer{p.String()})
}

// listed is one line of a list.
type listed struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"`
	Type     string    `json:"type"` // file or directory
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	MIME     string    `json:"mime"`
}

func (s *Service) list(w http.ResponseWriter, r *http.Request) error {
	p, err := pathOfURL(r)
	if err != nil {
		return err
	}
	offset, err := httpx.QueryInt(r, "offset", 0, 0, 1<<31-1)
	if err != nil {
		return err
	}
	limit, err := httpx.QueryInt(r, "limit", defaultLimit, 1, maxLimit)
	if err != nil {
		return err
	}
	page, total, err := s.vault.List(p, offset, limit)
	if err != nil {
		return fault.Blame(err, "path")
	}
	answer := struct {
		Path    string   `json:"path"`
		Entries []listed `json:"entries"`
		Offset  int      `json:"offset"`
		Limit   int      `json:"limit"`
		Total   int      `json:"total"`
	}{p.String(), make([]listed, len(page)), offset, limit, total}
	for i, e := range page {
		answer.Entries[i] = line(e)
	}
	return httpx.Write(w, http.StatusOK, answer)
}

func line(e vault.Info) listed {
	l := listed{
		Name: e.Name, Path: e.Path.String(), Type: "file",
		Size: e.Size, Modified: e.Modified.UTC(), MIME: typeOf(e.Name),
	}
	if e.Folder {
		l.Type, l.MIME = "directory", "inode/directory"
	}
	return l
}
