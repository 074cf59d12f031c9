package ffmpeg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"sync"

	"brenda/pipeline"
	"brenda/pipeline/outbound"
)

// Sound is the sound of a medium while it is read: mono, pipeline.InputRate. Close ends the child.
type Sound struct {
	engine *Engine
	ctx    context.Context //nolint:containedctx // that of the child
	cancel context.CancelFunc
	lease  *outbound.Lease
	cmd    *exec.Cmd
	out    *os.File
	said   *outbound.Tail
	buf    []byte // read and not yet given away: part of a sample
	waited sync.Once
	err    error // how the child ended
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
	s := &Sound{engine: e, ctx: ctx, cancel: cancel, lease: lease, said: &outbound.Tail{}}
	if err := s.start(in); err != nil {
		cancel()
		return nil, errors.Join(err, lease.Close())
	}
	return s, nil
}

func (s *Sound) start(in Input) error {
	args, err := s.engine.arguments(in, s.lease)
	if err != nil {
		return err
	}
	args = append([]string{"-nostdin", "-threads", "1"}, args...)
	args = append(args, "-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "1", "-ar", fmt.Sprint(pipeline.InputRate),
		"-f", "f32le", "-flush_packets", "1", "pipe:1")
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	s.out = r
	s.cmd = s.lease.Command(s.ctx, s.engine.cfg.Env, s.engine.cfg.FFmpeg, args...)
	s.cmd.Stdout, s.cmd.Stderr = w, s.said
	err = s.cmd.Start()
	_ = w.Close() // the child has its own
	if err != nil {
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
		if err != nil && have < width {
			return 0, s.end(err)
		}
	}
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

// end waits for the child and says how it ended.
func (s *Sound) end(err error) error {
	s.wait()
	switch {
	case s.lease.Exceeded():
		return outbound.TooLarge()
	case s.err != nil:
		return s.engine.explain(s.ctx, s.lease, s.err, s.said.String())
	}
	return err
}

func (s *Sound) wait() { s.waited.Do(func() { s.err = s.cmd.Wait() }) }

// Close ends the child, waits for it, and ends its connections. It may be called twice, but not beside Read.
func (s *Sound) Close() error {
	s.cancel()
	s.wait()
	if err := s.out.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return errors.Join(err, s.lease.Close())
	}
	return s.lease.Close()
}
