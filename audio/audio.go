// Package audio brings sound in: it tells WAV and MP3 by their content, decodes them as a stream in
// constant memory, mixes down to mono and resamples. It also has the resampler and the measures of level
// that the voice pipeline needs.
//
// Sound is mono float32 in −1…1 at a rate in Hz. The formats are in packages below: [brenda/audio/wav] and
// [brenda/audio/mp3] read and write, [brenda/audio/g711] has telephony's codes.
//
// # What the libraries do, and what they are kept from
//
// The libraries are go-audio/wav and go-mp3. Both trust what they read: a 36-byte WAV makes the first
// allocate gigabytes, a 78-byte MP3 makes the second panic. Neither therefore sees a byte of the original
// container. Package wav walks the RIFF chunks itself, checks each size against the bytes that are there,
// and gives go-audio/wav a clean header of its own over the samples; it converts floats, A-law and µ-law
// itself, which the library gets wrong. Package mp3 cuts the stream into frames itself, checks each, and
// feeds go-mp3 whole frames of one kind; a frame on which it fails or panics is replaced by silence. This
// package caps how much sound comes out.
package audio

import (
	"errors"
	"fmt"
	"io"
	"time"

	"brenda/audio/mp3"
	"brenda/audio/pcm"
	"brenda/audio/wav"
)

// The rates that are accepted, in Hz.
const (
	MinRate = 8000
	MaxRate = 192000
)

// ValidRate tells whether this package handles a sample rate.
func ValidRate(rate int) bool { return rate >= MinRate && rate <= MaxRate }

// DefaultMaxDuration is the longest sound that [Open] plays unless told otherwise.
const DefaultMaxDuration = 4 * time.Hour

// What can be wrong with sound that came from outside. Other errors come from the reader.
var (
	ErrFormat  = pcm.ErrFormat  // no sound, or of a kind that is not supported
	ErrTooLong = pcm.ErrTooLong // plays longer than the limit
)

// Source is a stream of mono samples in −1…1.
type Source interface {
	// Rate returns the sample rate in Hz.
	Rate() int
	// Read fills dst as io.Reader does and returns how many samples it wrote; it returns io.EOF with 0
	// samples at the end. An error that wraps ErrFormat, ErrTooLong or the reader's own error ends the
	// stream.
	Read(dst []float32) (int, error)
}

// Option changes how [Open] works.
type Option func(*stream)

// MaxDuration limits how long a sound may play before Read returns ErrTooLong.
func MaxDuration(d time.Duration) Option {
	return func(s *stream) { s.limit = d }
}

// Open returns the sound in r, which is size bytes long, as a stream at the given rate in Hz. It tells
// WAV and MP3 by their content and reads as it goes: nothing is held but a few frames. What is neither,
// or broken before its first sample, fails with [ErrFormat]. r is read from its start, must not be used
// by others meanwhile, and stays the caller's to close.
func Open(r io.ReadSeeker, size int64, rate int, options ...Option) (Source, error) {
	if !ValidRate(rate) {
		return nil, fmt.Errorf("audio: cannot deliver %d Hz", rate)
	}
	d, err := decoder(r, size)
	if err != nil {
		return nil, fmt.Errorf("audio: %w", err)
	}
	s := &stream{src: d, rate: rate, limit: DefaultMaxDuration, block: make([]float32, blockSamples)}
	for _, o := range options {
		o(s)
	}
	s.left = int64(s.limit.Seconds() * float64(d.Rate()))
	s.resampler = NewResampler(d.Rate(), rate)
	return s, nil
}

func decoder(r io.ReadSeeker, size int64) (Source, error) {
	var head [12]byte
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	n, err := io.ReadFull(r, head[:min(int64(len(head)), max(size, 0))])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if wav.Is(head[:n]) {
		return wav.NewReader(r, size)
	}
	return mp3.NewReader(r, size)
}

// blockSamples is how much is decoded at once.
const blockSamples = 4096

// stream limits and resamples what a decoder gives.
type stream struct {
	src       Source
	rate      int
	limit     time.Duration
	left      int64 // input samples that may still come
	resampler *Resampler
	block     []float32 // input, reused
	out       []float32 // output, reused
	ready     []float32 // the part of out that was not read yet
	err       error     // why there is no more
}

func (s *stream) Rate() int { return s.rate }

func (s *stream) Read(dst []float32) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	for len(s.ready) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.fill()
	}
	n := copy(dst, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

func (s *stream) fill() {
	n, err := s.src.Read(s.block)
	if s.left -= int64(n); s.left < 0 {
		n += int(s.left)
		err = fmt.Errorf("audio: %w: more than %v", ErrTooLong, s.limit)
	}
	s.out = s.resampler.Process(s.out[:0], s.block[:n])
	if err != nil {
		s.err = err
		s.out = s.resampler.Flush(s.out)
	}
	for i, v := range s.out {
		s.out[i] = pcm.Clean(v) // the filter may overshoot where the input touches ±1
	}
	s.ready = s.out
}

// ReadAll returns the rest of a sound. On an error it returns what came before it as well.
func ReadAll(s Source) ([]float32, error) {
	var all []float32
	block := make([]float32, blockSamples)
	for {
		n, err := s.Read(block)
		all = append(all, block[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}
