package media

import (
	"context"
	"errors"
	"io"

	"brenda/pipeline"
)

// queue is a sound that one goroutine reads and another listens to.
type queue struct {
	ctx    context.Context //nolint:containedctx // of the stream
	pieces chan []float32
	rest   []float32
}

// fill reads src to its end. Each chunk goes to tap as soon as it is whole.
func (q *queue) fill(src pipeline.Sound, tap func(at int64, pcm []float32) error) error {
	var at int64
	chunk := make([]float32, 0, chunkSamples)
	for {
		piece := make([]float32, pieceSamples)
		n, err := src.Read(piece)
		piece = piece[:n]
		chunk = append(chunk, piece...)
		if len(chunk) >= chunkSamples || err != nil && len(chunk) > 0 {
			if err := tap(at, chunk); err != nil {
				return err
			}
			at += int64(len(chunk))
			chunk = chunk[:0]
		}
		if n > 0 {
			select {
			case q.pieces <- piece:
			case <-q.ctx.Done():
				return context.Cause(q.ctx)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// Rate implements pipeline.Sound.
func (q *queue) Rate() int { return pipeline.InputRate }

// Read implements pipeline.Sound.
func (q *queue) Read(dst []float32) (int, error) {
	for len(q.rest) == 0 {
		select {
		case piece, ok := <-q.pieces:
			if !ok {
				return 0, io.EOF
			}
			q.rest = piece
		case <-q.ctx.Done():
			return 0, context.Cause(q.ctx)
		}
	}
	n := copy(dst, q.rest)
	q.rest = q.rest[n:]
	return n, nil
}
