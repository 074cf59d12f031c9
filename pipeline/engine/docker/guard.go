package docker

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"brenda/pipeline/fault"
)

// maxAnswer is the size of the longest answer that is no stream: a list of thousands of containers.
const maxAnswer = 16 << 20

// errSlow is the cause of a context whose time for an answer is up.
var errSlow = errors.New("docker did not answer in time")

// guard is the way to the daemon: it says why there is none, and bounds what comes back.
type guard struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := g.base.RoundTrip(r)
	if err != nil {
		if r.Context().Err() != nil {
			return nil, err
		}
		return nil, unreachable(err)
	}
	b := &body{ReadCloser: res.Body, ctx: r.Context(), left: maxAnswer}
	b.stream = strings.HasSuffix(r.URL.Path, "/logs") || strings.HasSuffix(r.URL.Path, "/stats")
	res.Body = b
	return res, nil
}

// unreachable says why a daemon cannot be reached. The client library looks for words in an error's text and hides the
// error behind them, so the cause stays out of it.
func unreachable(err error) error {
	why := "the connection broke"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "its socket is not there; is it installed and running?"
	case errors.Is(err, fs.ErrPermission):
		why = "this server's user may not use its socket; add the user to the group docker"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nothing listens at its address; is it running?"
	case strings.Contains(err.Error(), "malformed HTTP"):
		why = "what answers at its address does not speak HTTP"
	default:
		why = cmp.Or(distrust(err), why)
	}
	return fault.New(fault.Unavailable, "docker_unavailable", "Docker cannot be reached: %s", why)
}

// distrust says why two that speak TLS, or of whom one does, do not come together; "" when that is not it.
func distrust(err error) string {
	var vouch *tls.CertificateVerificationError
	var refused *net.OpError
	var strange tls.RecordHeaderError
	switch {
	case errors.As(err, &vouch):
		return "its certificate is not one that ca.pem vouches for"
	case errors.As(err, &refused) && refused.Op == "remote error":
		return "it does not accept the certificate in cert.pem"
	case errors.As(err, &strange):
		return "it speaks no TLS; leave docker.certs empty"
	}
	return ""
}

// body is an answer that cannot be longer than it may, and whose end before its time is a fault.
type body struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // of the request that it answers
	stream bool
	left   int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.stream && b.left <= 0 {
		return 0, fault.New(fault.Upstream, "docker_failed", "Docker's answer is too long")
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() == nil {
		err = unreachable(err)
	}
	return n, err
}

// translate returns an error of the client library as a fault. ctx is the call's own context.
func translate(ctx context.Context, err error) error {
	var known *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSlow):
		return context.Cause(ctx)
	case ctx.Err() != nil:
		return fault.Wrap(err, fault.Unavailable, "docker_unavailable", "Docker did not answer in time")
	case errdefs.IsNotFound(err):
		return notFound()
	case errdefs.IsConflict(err):
		return fault.Wrap(err, fault.Conflict, "container_busy", "the container is in a state in which that cannot be done")
	case strings.Contains(err.Error(), "HTTP request to an HTTPS server"):
		return fault.Wrap(err, fault.Unavailable, "docker_unavailable",
			"Docker cannot be reached: it wants TLS; docker.certs must name the folder of certificates")
	case client.IsErrConnectionFailed(err):
		return fault.Wrap(err, fault.Unavailable, "docker_unavailable", "Docker cannot be reached")
	}
	return fault.Wrap(err, fault.Upstream, "docker_failed", "Docker failed; the server's log says more")
}

func notFound() error {
	return fault.New(fault.NotFound, "container_not_found", "Brenda has no such container")
}
