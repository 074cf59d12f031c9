package weights

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// download fetches the files of an https source, going on where an earlier try was cut.
func (w workshop) download(ctx context.Context) error {
	files := w.source.files(w.entry)
	w.progress.Start(w.entry.Name, sum(files))
	defer w.progress.Done()
	for _, f := range files {
		if err := w.downloadFile(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (w workshop) downloadFile(ctx context.Context, want File) error {
	part := filepath.Join(w.dir, "packages", strings.ReplaceAll(want.Path, "/", "_")+".part")
	url := w.source.URL
	if strings.HasSuffix(url, "/") {
		url += want.Path
	}
	d := &downloader{client: newClient(), url: url, part: part, stall: w.m.stall, advance: w.progress.Advance}
	defer d.client.CloseIdleConnections()
	err := w.m.again(ctx, func() error {
		if err := d.get(ctx); err != nil {
			return err
		}
		if _, err := checkFile(ctx, part, want); err != nil {
			if _, wrong := errors.AsType[*mismatchError](err); wrong {
				d.forget() // a resumed file of which a piece is wrong would stay wrong
			}
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	to := w.path(want.Path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return err
	}
	d.forget()
	return nil
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}}
}

// downloader fetches url into the file part. Beside it, part.etag keeps what the server called the version,
// so that pieces of two versions are never joined.
type downloader struct {
	client  *http.Client
	url     string
	part    string
	stall   time.Duration
	advance func(int64)
	told    int64 // bytes reported as progress
}

func (d *downloader) forget() {
	_ = os.Remove(d.part) // may not be there
	_ = os.Remove(d.part + ".etag")
}

// tell reports that have bytes are there.
func (d *downloader) tell(have int64) {
	if have != d.told {
		d.advance(have - d.told)
		d.told = have
	}
}

var errStalled = errors.New("no data came for too long")

// get makes one try. On an error, what has come stays in the file.
func (d *downloader) get(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(d.stall, func() { cancel(errStalled) })
	defer watchdog.Stop()

	have, etag := d.resumable()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return &permanentError{err}
	}
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		req.Header.Set("If-Range", etag)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return reason(ctx, err)
	}
	defer resp.Body.Close()
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	switch {
	case resp.StatusCode == http.StatusPartialContent && have > 0 && startsAt(resp, have):
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return nil // all of it is there; the checksum decides
	case resp.StatusCode == http.StatusOK:
		have, flags = 0, flags|os.O_TRUNC
		if err := d.remember(resp); err != nil {
			return err
		}
	default:
		return statusError(resp)
	}
	f, err := os.OpenFile(d.part, flags, 0o644)
	if err != nil {
		return err
	}
	d.tell(have)
	_, err = io.Copy(f, &meter{r: resp.Body, tick: func(n int64) {
		watchdog.Reset(d.stall)
		have += n
		d.tell(have)
	}})
	if closing := f.Close(); err == nil {
		err = closing
	}
	return reason(ctx, err)
}

// resumable returns how much of the file is there and the version it is of; 0 when the version is not known.
func (d *downloader) resumable() (int64, string) {
	etag, err := os.ReadFile(d.part + ".etag")
	if err != nil || len(etag) == 0 {
		return 0, ""
	}
	st, err := os.Stat(d.part)
	if err != nil {
		return 0, ""
	}
	return st.Size(), string(etag)
}

// remember notes a strong ETag, or the date; a weak ETag must not be used with If-Range (RFC 9110, 13.1.5).
func (d *downloader) remember(resp *http.Response) error {
	version := resp.Header.Get("ETag")
	if version == "" || strings.HasPrefix(version, "W/") {
		version = resp.Header.Get("Last-Modified")
	}
	return os.WriteFile(d.part+".etag", []byte(version), 0o644)
}

func startsAt(resp *http.Response, have int64) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have))
}

func statusError(resp *http.Response) error {
	err := fmt.Errorf("the server answered %s", resp.Status)
	switch c := resp.StatusCode; {
	case c == http.StatusRequestTimeout, c == http.StatusTooManyRequests, c < 400, c >= 500:
		return err
	}
	return &permanentError{err}
}

// reason returns why ctx was cancelled instead of the error that followed from it.
func reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

type meter struct {
	r    io.Reader
	tick func(int64)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 0 {
		m.tick(int64(n))
	}
	return n, err
}
