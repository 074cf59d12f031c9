package files

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"brenda/pipeline/fault"
	"brenda/rest/files/vault"
)

const (
	sendStep    = 1 << 20         // bytes that go out under one deadline
	sendTimeout = 2 * time.Minute // for that many: 9 kB/s are enough
	maxRanges   = 32              // more of them are ignored, and all is sent
)

// sandbox keeps a page or an image that somebody uploaded from acting in the name of this server.
const sandbox = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self' data:; style-src 'unsafe-inline'"

// send sends a file, or the ranges of it that the client asks for.
func (s *Service) send(w http.ResponseWriter, r *http.Request, disposition string) error {
	p, err := pathOfURL(r)
	if err != nil {
		return err
	}
	f, info, err := s.vault.Open(p)
	if err != nil {
		return fault.Blame(err, "path")
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", typeOf(info.Name))
	h.Set("Content-Disposition", dispositionOf(disposition, info.Name))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", sandbox)
	h.Set("Cross-Origin-Resource-Policy", "same-site")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", etag(info))
	if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
		r.Header.Del("Range")
	}
	out := &sender{ResponseWriter: w, rc: http.NewResponseController(w)}
	http.ServeContent(out, r, info.Name, info.Modified, f)
	out.deadline(time.Time{}) // the next request of this connection has its own
	return out.refused
}

// etag names this content: a new file has another inode, a changed one another time or size.
func etag(i vault.Info) string {
	return fmt.Sprintf(`"%x-%x-%x"`, i.Inode, i.Modified.UnixNano(), i.Size)
}

// sender sends with a deadline that moves on as long as the client takes something, and keeps the plain text of refusals
// to itself.
type sender struct {
	http.ResponseWriter
	rc      *http.ResponseController
	refused error
}

func (s *sender) deadline(t time.Time) { _ = s.rc.SetWriteDeadline(t) } // not every writer has one

// WriteHeader sends the status, unless it is a refusal.
func (s *sender) WriteHeader(status int) {
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		s.refused = fault.New(fault.BadRange, "bad_range", "the file does not have that range")
	case http.StatusPreconditionFailed:
		s.refused = fault.New(fault.Invalid, codePrecondition, "the file is not the one that the request expects")
	default:
		s.deadline(time.Now().Add(sendTimeout))
		s.ResponseWriter.WriteHeader(status)
	}
}

// Write sends a part.
func (s *sender) Write(p []byte) (int, error) {
	if s.refused != nil {
		return len(p), nil //nolint:nilerr // the text of a refusal goes nowhere
	}
	s.deadline(time.Now().Add(sendTimeout))
	return s.ResponseWriter.Write(p)
}

// ReadFrom sends a part of a file. The kernel copies it, where the writer below has that.
func (s *sender) ReadFrom(src io.Reader) (sum int64, err error) {
	if s.refused != nil {
		return io.Copy(io.Discard, src)
	}
	whole, ok := src.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	for whole.N > 0 {
		s.deadline(time.Now().Add(sendTimeout))
		step := &io.LimitedReader{R: whole.R, N: min(whole.N, sendStep)} // of this very form, or the kernel does not do it
		n, err := io.Copy(s.ResponseWriter, step)
		sum += n
		whole.N -= n
		if err != nil || n == 0 {
			return sum, err
		}
	}
	return sum, nil
}

// dispositionOf names a file in both forms of RFC 6266: for old clients in ASCII, and as it is.
func dispositionOf(kind, name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%`, r) {
			return '_'
		}
		return r
	}, name)
	v := kind + `; filename="` + plain + `"`
	if plain != name {
		v += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return v
}

// typeOf returns the media type of a name. The machine's table is asked last: it is not everywhere.
func typeOf(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t, ok := knownType(ext); ok {
		return t
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

// knownType has what a voice assistant's files are, so that it does not depend on the machine.
func knownType(ext string) (string, bool) {
	switch ext {
	case ".txt", ".log", ".md":
		return "text/plain; charset=utf-8", true
	case ".csv":
		return "text/csv; charset=utf-8", true
	case ".zip":
		return "application/zip", true
	case ".wav":
		return "audio/wav", true
	case ".mp3":
		return "audio/mpeg", true
	case ".ogg", ".oga", ".opus":
		return "audio/ogg", true
	case ".flac":
		return "audio/flac", true
	case ".m4a":
		return "audio/mp4", true
	case ".mp4":
		return "video/mp4", true
	case ".webm":
		return "video/webm", true
	case ".mkv":
		return "video/x-matroska", true
	}
	return "", false
}

var _ io.ReaderFrom = (*sender)(nil)
