package ffmpeg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"

	"brenda/pipeline"
	"brenda/pipeline/outbound"
)

// Sound is the sound of a medium while it is read: mono, pipeline.InputRate. Close ends the child.
type Sound struct {
	engine *Engine
	ctx    context.Context //nolint:containedctx // that of the child
	cancel context.CancelFunc
	in     Input
	feed   *feed // nil when a copy is read
	cmd    *exec.Cmd
	out    *os.File
	said   *outbound.Tail
	buf    []byte // read and not yet given away: part of a sample

	running bool
	heard   bool  // there was a first sample
	err     error // how the child ended
	fetched error // why the medium could not be fetched whole
}

// Play starts to read a medium. Its sound comes as fast as it is read from Sound; nothing is read ahead but a few
// seconds. ctx ends it, and so does Close, which must be called.
func (e *Engine) Play(ctx context.Context, in Input) (*Sound, error) {
	ctx, cancel := context.WithCancel(ctx)
	m, err := e.open(ctx, in)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &Sound{engine: e, ctx: ctx, cancel: cancel, in: in}
	r, w, err := os.Pipe()
	if err == nil {
		err = s.start(func(cmd *exec.Cmd) { cmd.Stdin = r }, false)
		_ = r.Close() // the child has its own
		if err == nil {
			s.feed = m.start(ctx, w)
			return s, nil
		}
		_ = w.Close() // nobody reads
	}
	cancel()
	m.close()
	return nil, err
}

// start starts a child that reads from standard input, or from a copy.
func (s *Sound) start(connect func(*exec.Cmd), copied bool) error {
	args := append([]string{"-nostdin", "-threads", "1"}, reading(copied)...)
	args = append(args, "-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "1", "-ar", strconv.Itoa(pipeline.InputRate),
		"-f", "f32le", "-flush_packets", "1", "pipe:1")
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	s.said = &outbound.Tail{}
	s.cmd = outbound.Command(s.ctx, s.engine.cfg.Env, s.engine.cfg.FFmpeg, args...)
	s.cmd.Stdout, s.cmd.Stderr = w, s.said
	connect(s.cmd)
	err = s.cmd.Start()
	_ = w.Close() // the child has its own
	if err != nil {
		return errors.Join(fmt.Errorf("ffmpeg: %w", err), r.Close())
	}
	s.out, s.running = r, true
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
	switch said := s.said.String(); {
	case s.ctx.Err() == nil && s.fetched == nil && !s.heard && s.feed != nil && needsSeek(said):
		return s.again()
	case s.err != nil, s.fetched != nil, !s.heard && said != "":
		return s.engine.explain(s.ctx, s.fetched, s.err, said)
	}
	return err
}

// again reads a copy of the medium, in which the child can go back.
func (s *Sound) again() error {
	file, err := s.engine.copied(s.ctx, s.in)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := s.out.Close(); err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	s.feed = nil
	return s.start(func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{file} }, true)
}

func (s *Sound) wait() {
	if !s.running {
		return
	}
	s.err, s.running = s.cmd.Wait(), false
	if s.feed != nil {
		s.fetched = s.feed.stop()
	}
}

// Close ends the child, waits for it, and ends what fetches the medium. It may be called twice, but not beside Read.
func (s *Sound) Close() error {
	s.cancel()
	s.wait()
	if err := s.out.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	return nil
}
