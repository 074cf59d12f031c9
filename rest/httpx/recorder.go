package httpx

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// Recorder is a ResponseWriter that remembers what was answered. Flush and Hijack pass through, also for
// libraries which ask the writer itself for them.
type Recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	taken  bool // hijacked
}

// NewRecorder wraps w.
func NewRecorder(w http.ResponseWriter) *Recorder { return &Recorder{ResponseWriter: w} }

// Started tells whether the answer has begun, or the connection was taken over.
func (r *Recorder) Started() bool { return r.status != 0 || r.taken }

// Hijacked tells whether the connection was taken over.
func (r *Recorder) Hijacked() bool { return r.taken }

// Status returns the status that was sent: 200 when nothing was, 101 for a connection that was taken over.
func (r *Recorder) Status() int {
	switch {
	case r.status != 0:
		return r.status
	case r.taken:
		return http.StatusSwitchingProtocols
	}
	return http.StatusOK
}

// Bytes returns how many bytes of body were sent.
func (r *Recorder) Bytes() int64 { return r.bytes }

// WriteHeader sends the status.
func (r *Recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 || status == http.StatusSwitchingProtocols {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (r *Recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom sends what src has. The kernel sends a file itself, where the writer below lets it.
func (r *Recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src)
	r.bytes += n
	return n, err
}

// FlushError sends what is buffered.
func (r *Recorder) FlushError() error {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return http.NewResponseController(r.ResponseWriter).Flush()
}

// Flush sends what is buffered.
func (r *Recorder) Flush() { _ = r.FlushError() }

// Hijack hands the connection over.
func (r *Recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.taken = true
	}
	return c, rw, err
}

// Unwrap returns the writer below, for [http.ResponseController].
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
