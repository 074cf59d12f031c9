package ffmpeg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

// medium is a medium that is being fetched: one file, several, or the segments of an HLS playlist.
type medium struct {
	engine *Engine
	in     Input
	answer *outbound.Answer
	body   *bufio.Reader
	list   *playlist // nil for a file
	left   int64     // bytes that may still be read
}

// open asks for a medium and looks at its beginning.
func (e *Engine) open(ctx context.Context, in Input) (*medium, error) {
	m := &medium{engine: e, in: in, left: e.guard.Limit()}
	first := in.URL
	if len(in.Parts) > 0 {
		first = in.Parts[0]
	}
	ans, err := m.fetch(ctx, first, "")
	if err != nil {
		return nil, err
	}
	m.answer, m.body = ans, bufio.NewReaderSize(ans.Body, 64<<10)
	head, err := m.body.Peek(len(mark))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
	case string(head) == mark && len(in.Parts) == 0:
		m.list, err = m.openList(ctx)
	default:
		err = nil
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *medium) close() { _ = m.answer.Body.Close() } // what was read of it was read

// fetch asks for one file of the medium.
func (m *medium) fetch(ctx context.Context, address, bytes string) (*outbound.Answer, error) {
	u, err := outbound.Target(address)
	if err != nil {
		return nil, err
	}
	header := map[string]string{"Accept": "*/*"}
	maps.Copy(header, m.in.Header)
	if bytes != "" {
		header["Range"] = bytes
	}
	ans, err := m.engine.guard.Fetch(ctx, u, header)
	if err != nil {
		return nil, err
	}
	if ans.Status >= http.StatusBadRequest {
		_ = ans.Body.Close() // of no use
		return nil, fault.New(fault.Upstream, "upstream_failed", "the server behind the URL answered %d %s",
			ans.Status, http.StatusText(ans.Status))
	}
	return ans, nil
}

// send writes the medium into w. An error of w, the child having read enough, is no error.
func (m *medium) send(ctx context.Context, w io.Writer) error {
	out := &sink{w: w}
	var err error
	if m.list != nil {
		err = m.sendList(ctx, out)
	} else if err = m.pass(out, m.body); err == nil {
		err = m.sendParts(ctx, out)
	}
	if out.failed {
		err = nil
	}
	return err
}

// sendParts sends the files after the first.
func (m *medium) sendParts(ctx context.Context, w io.Writer) error {
	if len(m.in.Parts) == 0 {
		return nil
	}
	for _, at := range m.in.Parts[1:] {
		ans, err := m.fetch(ctx, at, "")
		if err != nil {
			return err
		}
		err = errors.Join(m.pass(w, ans.Body), ans.Body.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

// pass copies r within the limit.
func (m *medium) pass(w io.Writer, r io.Reader) error {
	n, err := io.Copy(w, io.LimitReader(r, m.left+1))
	if m.left -= n; m.left < 0 {
		return outbound.TooLarge()
	}
	return err
}

// sink remembers that its writer has failed.
type sink struct {
	w      io.Writer
	failed bool
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.failed = s.failed || err != nil
	return n, err
}

// feed is a goroutine that sends a medium to a child.
type feed struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid after done
}

// start sends the medium to in, which it closes, as well as the medium.
func (m *medium) start(ctx context.Context, in *os.File) *feed {
	ctx, cancel := context.WithCancel(ctx)
	f := &feed{cancel: cancel, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = in.Close() }) // a child that does not read holds nobody up
	go func() {
		defer close(f.done)
		defer m.close()
		defer stop()
		err := m.send(ctx, in)
		if ctx.Err() == nil {
			f.err = err
		}
		_ = in.Close() // the child sees the end
	}()
	return f
}

// stop ends the feed and says why it ended by itself, if it did.
func (f *feed) stop() error {
	f.cancel()
	<-f.done
	return f.err
}

// copied fetches a medium whole into a file without a name, which lives as long as it is open.
func (e *Engine) copied(ctx context.Context, in Input) (*os.File, error) {
	m, err := e.open(ctx, in)
	if err != nil {
		return nil, err
	}
	defer m.close()
	file, err := os.CreateTemp(e.cfg.TempDir, "brenda-medium-*")
	if err != nil {
		return nil, fmt.Errorf("copy of the medium: %w", err)
	}
	if err = os.Remove(file.Name()); err == nil {
		err = m.send(ctx, file)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
