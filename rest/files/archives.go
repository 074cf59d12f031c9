package files

import (
	"context"
	"net/http"
	"time"

	"brenda/pipeline/fault"
	"brenda/rest/files/vault"
	"brenda/rest/httpx"
)

// tellEvery is the least time between two events of progress.
const tellEvery = 250 * time.Millisecond

func (s *Service) compress(w http.ResponseWriter, r *http.Request) error {
	req, err := httpx.Read[struct {
		Path      *string `json:"path"`
		ZipName   string  `json:"zip_name"`
		Overwrite bool    `json:"overwrite"`
	}](r)
	if err != nil {
		return err
	}
	folder, err := pathField("path", req.Path)
	if err != nil {
		return err
	}
	if folder.IsRoot() {
		return fault.Field("path", "path is empty; it must name a folder below the root")
	}
	if err := httpx.Require("zip_name", req.ZipName); err != nil {
		return err
	}
	name, err := vault.Name(req.ZipName)
	if err != nil {
		return fault.Blame(err, "zip_name")
	}
	archive, err := folder.Dir().Join(name)
	if err != nil {
		return fault.Blame(err, "zip_name")
	}
	return s.job(w, r, func(ctx context.Context, tell vault.Tell) (any, error) {
		made, err := s.vault.Pack(ctx, folder, archive, req.Overwrite, tell)
		if err != nil {
			param := "path"
			if fault.As(err).Kind == fault.Conflict {
				param = "zip_name"
			}
			return nil, fault.Blame(err, param)
		}
		return struct {
			Type    string `json:"type,omitempty"`
			Path    string `json:"path"`
			Size    int64  `json:"size"`
			Files   int    `json:"files"`
			Skipped int    `json:"skipped"`
			Sum     string `json:"sha256"`
		}{doneType(r), archive.String(), made.Size, made.Files, made.Skipped, made.Sum}, nil
	})
}

func (s *Service) decompress(w http.ResponseWriter, r *http.Request) error {
	req, err := httpx.Read[struct {
		Path        *string `json:"path"`
		ExtractPath *string `json:"extract_path"`
		Overwrite   bool    `json:"overwrite"`
	}](r)
	if err != nil {
		return err
	}
	archive, err := pathField("path", req.Path)
	if err != nil {
		return err
	}
	dest, err := pathField("extract_path", req.ExtractPath)
	if err != nil {
		return err
	}
	return s.job(w, r, func(ctx context.Context, tell vault.Tell) (any, error) {
		made, err := s.vault.Unpack(ctx, archive, dest, req.Overwrite, tell)
		if err != nil {
			return nil, err
		}
		return struct {
			Type  string `json:"type,omitempty"`
			Path  string `json:"path"`
			Files int    `json:"files"`
			Size  int64  `json:"size"`
		}{doneType(r), dest.String(), made.Files, made.Bytes}, nil
	})
}

// wantsEvents tells whether the client wants to see the progress.
func wantsEvents(r *http.Request) bool {
	const events = "text/event-stream"
	return httpx.Accepts(r, "application/json", events) == events
}

// doneType is the type of the last event; an answer that is no event has none.
func doneType(r *http.Request) string {
	if wantsEvents(r) {
		return "done"
	}
	return ""
}

// job runs what takes long, a few of it at a time, and answers with its result, or with events.
func (s *Service) job(w http.ResponseWriter, r *http.Request, run func(context.Context, vault.Tell) (any, error)) error {
	ctx := r.Context()
	select {
	case s.jobs <- struct{}{}:
		defer func() { <-s.jobs }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !wantsEvents(r) {
		result, err := run(ctx, func(vault.Progress) error { return ctx.Err() })
		if err != nil {
			return err
		}
		return httpx.Write(w, http.StatusOK, result)
	}
	out := httpx.NewStream(w)
	defer out.Close()
	result, err := run(ctx, teller(out))
	if err == nil {
		err = out.Send(result)
	}
	if err != nil {
		return out.Fail(r, err)
	}
	return out.Finish()
}

// teller sends progress, but not all of it.
func teller(out *httpx.Stream) vault.Tell {
	var last time.Time
	return func(p vault.Progress) error {
		now := time.Now()
		if now.Sub(last) < tellEvery {
			return nil
		}
		last = now
		return out.Send(struct {
			Type     string `json:"type"`
			Files    int    `json:"files"`
			AllFiles int    `json:"total_files"`
			Bytes    int64  `json:"bytes"`
			AllBytes int64  `json:"total_bytes"`
		}{"progress", p.Files, p.AllFiles, p.Bytes, p.AllBytes})
	}
}
