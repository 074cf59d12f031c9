package ffmpeg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/outbound"
)

// Sound is the sound of a medium while it is read: mono, pipeline.InputRate. Close ends the child.
type Sound struct {
	engine  *Engine
	ctx     context.Context //nolint:containedctx // that of the child
	cancel  context.CancelFunc
	lease   *outbound.Lease
	in      Input
	cmd     *exec.Cmd
	out     *os.File
	said    *outbound.Tail
	buf     []byte // read and not yet given away: part of a sample
	heard   bool   // there was a first sample
	local   bool   // the medium is read from a copy
	running bool
	err     error // how the child ended
}

// Play starts to read a medium. Its sound comes as fast as it is read from Sound; nothing is read ahead but a few
// seconds. ctx ends it, and so does Close, which must be called.
func (e *Engine) Play(ctx context.Context, in Input) (*Sound, error) {
	ctx, cancel := context.WithCancel(ctx)
	lease, err := e.guard.Lease(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &Sound{engine: e, ctx: ctx, cancel: cancel, lease: lease, in: in}
	args, err := e.arguments(in, lease)
	if err == nil {
		err = s.start(args, nil)
	}
	if err != nil {
		cancel()
		return nil, errors.Join(err, lease.Close())
	}
	return s, nil
}

// start starts a child that reads what args say. Its descriptor 3 is file, if there is one.
func (s *Sound) start(args []string, file *os.File) error {
	args = append([]string{"-nostdin", "-threads", "1"}, args...)
	args = append(args, "-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "1", "-ar", fmt.Sprint(pipeline.InputRate),
		"-f", "f32le", "-flush_packets", "1", "pipe:1")
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	s.out, s.running = r, true
	s.cmd = s.lease.Command(s.ctx, s.engine.cfg.Env, s.engine.cfg.FFmpeg, args...)
	s.said = &outbound.Tail{}
	s.cmd.Stdout, s.cmd.Stderr = w, s.said
	if file != nil {
		s.cmd.ExtraFiles = []*os.File{file}
	}
	err = s.cmd.Start()
	_ = w.Close() // the child has its own
	if err != nil {
		s.running = false
		return errors.Join(fmt.Errorf("ffmpeg: %w", err), r.Close())
	}
	return nil
}

// Rate implements pipeline.Sound.
func (s *Sound) Rate() int { return pipeline.InputRate }

// Read implements pipeline.Sound. After the last sample it is io.EOF, or the fault that ended the medium too early.
func (s *Sound) Read(dst []float32) (int, error) {
	const width = 4
	if len(dst) == 0 {
		return 0, nil
	}
	chunk := make([]byte, len(dst)*width)
	have := copy(chunk, s.buf)
	s.buf = s.buf[:0]
	for have < width {
		n, err := s.out.Read(chunk[have:])
		have += n
		if err == nil || have >= width {
			continue
		}
		if err := s.end(err); err != nil {
			return 0, err
		}
	}
	s.heard = true
	n := have / width
	s.buf = append(s.buf, chunk[n*width:have]...)
	for i := range n {
		v := math.Float32frombits(binary.LittleEndian.Uint32(chunk[i*width:]))
		if math.IsNaN(float64(v)) {
			v = 0
		}
		dst[i] = min(max(v, -1), 1)
	}
	return n, nil
}

// end waits for the child and says how it ended. It returns nil when another one took over.
func (s *Sound) end(err error) error {
	s.wait()
	switch {
	case s.lease.Exceeded():
		return outbound.TooLarge()
	case s.ctx.Err() == nil && !s.heard && !s.local && needsSeek(s.said.String()):
		return s.copy()
	case s.err != nil, !s.heard && s.said.String() != "":
		return s.engine.explain(s.ctx, s.lease, s.err, s.said.String())
	case s.lease.Err() != nil:
		return s.lease.Err()
	}
	return err
}

func (s *Sound) wait() {
	if s.running {
		s.err, s.running = s.cmd.Wait(), false
	}
}

// Close ends the child, waits for it, and ends its connections. It may be called twice, but not beside Read.
func (s *Sound) Close() error {
	s.cancel()
	s.wait()
	if err := s.out.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return errors.Join(err, s.lease.Close())
	}
	return s.lease.Close()
}

// needsSeek tells whether ffmpeg failed because it wanted to go back in a medium: a video file whose index is at its end,
// on a server that gives no parts of files. ffmpeg counts that as success.
func needsSeek(said string) bool {
	return strings.Contains(said, "partial file") || strings.Contains(said, "moov atom not found") ||
		strings.Contains(said, "Stream ends prematurely")
}

// copy fetches the medium whole and starts a child that reads the copy. Of containers only those are let in that name no
// other files.
func (s *Sound) copy() error {
	s.local = true
	u, err := outbound.Target(s.in.URL)
	if err != nil {
		return err
	}
	ans, err := s.engine.guard.Get(s.ctx, u)
	if err != nil {
		return err
	}
	defer ans.Body.Close()
	file, err := os.CreateTemp(s.engine.cfg.TempDir, "brenda-medium-*")
	if err != nil {
		return fmt.Errorf("copy of the medium: %w", err)
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil { // it lives on while it is open: there is no litter
		return fmt.Errorf("copy of the medium: %w", err)
	}
	if _, err := io.Copy(file, ans.Body); err != nil {
		return fmt.Errorf("copy of the medium: %w", err)
	}
	if err := s.out.Close(); err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	return s.start([]string{
		"-v", "error", "-hide_banner", "-protocol_whitelist", "file", "-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2",
		"-i", "/dev/fd/3",
	}, file)
}
