package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"brenda/audio"
	"brenda/audio/wav"
)

// Sound goes in steps of 20 ms: samples of 16 bits, 16 kHz in, 24 kHz out.
const (
	step         = 20 * time.Millisecond
	micBytes     = 2 * 16000 / 50
	speakerBytes = 2 * 24000 / 50
)

// openMicrophone returns samples as they are spoken.
func openMicrophone(ctx context.Context, name string) (io.Reader, error) {
	if name == "arecord" {
		cmd := exec.CommandContext(ctx, name, strings.Fields("-q -t raw -f S16_LE -c 1 -r 16000 --buffer-time=100000")...)
		samples, err := cmd.StdoutPipe()
		return samples, errors.Join(err, cmd.Start())
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	src, err := audio.Open(file, info.Size(), 16000)
	if err != nil {
		return nil, err
	}
	pcm, err := audio.ReadAll(src)
	return &recording{begin: time.Now(), rest: audio.PCM16(pcm)}, err
}

// recording is a file that sounds as if it were spoken now; after its end the room is quiet.
type recording struct {
	begin time.Time
	read  int
	rest  []byte
}

func (r *recording) Read(b []byte) (int, error) {
	n := copy(b, r.rest)
	clear(b[n:])
	r.rest = r.rest[n:]
	r.read += len(b)
	<-time.After(time.Until(r.begin.Add(time.Duration(r.read) * time.Second / (2 * 16000))))
	return len(b), nil
}

// piece is a part of an answer's sound.
type piece struct {
	stream byte
	at     time.Duration // where in the answer it begins
	sound  []byte
}

// speaker plays one piece after the other.
type speaker struct {
	write func(samples []byte) error
	close func() error
	fill  bool // with silence

	mu    sync.Mutex
	queue []piece
	quiet func() // called when everything has been played
}

func openSpeaker(ctx context.Context, name string) (*speaker, error) {
	if name == "aplay" {
		cmd := exec.CommandContext(ctx, name, strings.Fields("-q -t raw -f S16_LE -c 1 -r 24000 --buffer-time=100000")...)
		samples, err := cmd.StdinPipe()
		write := func(b []byte) error { _, err := samples.Write(b); return err }
		return &speaker{write: write, close: func() error { return nil }}, errors.Join(err, cmd.Start())
	}
	file, err := os.Create(name)
	w := wav.NewWriter(file, 24000)
	write := func(b []byte) error { return w.Write(audio.FloatsFromPCM16(nil, b)) }
	return &speaker{write: write, close: func() error { return errors.Join(w.Close(), file.Close()) }, fill: true}, err
}

func (s *speaker) do(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *speaker) add(p piece)           { s.do(func() { s.queue = append(s.queue, p) }) }
func (s *speaker) flush()                { s.do(func() { s.queue = nil }) }
func (s *speaker) whenQuiet(then func()) { s.do(func() { s.quiet = then }) }

// next takes a step of the first piece; ok is false when there is none.
func (s *speaker) next() (p piece, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		if s.quiet != nil {
			s.quiet()
		}
		return piece{sound: make([]byte, speakerBytes)}, false
	}
	first := &s.queue[0]
	p = piece{stream: first.stream, at: first.at, sound: first.sound[:min(speakerBytes, len(first.sound))]}
	first.at, first.sound = first.at+step, first.sound[len(p.sound):]
	if len(first.sound) == 0 {
		s.queue = s.queue[1:]
	}
	return p, true
}

// play plays in real time, and tells every 100 ms how far an answer has got.
func (s *speaker) play(ctx context.Context, told func(ctx context.Context, stream byte, at time.Duration)) error {
	tick := time.NewTicker(step)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s.close()
		}
		p, ok := s.next()
		if ok && n%5 == 0 {
			told(ctx, p.stream, p.at)
		}
		if ok || s.fill {
			if err := s.write(p.sound); err != nil {
				return errors.Join(err, s.close())
			}
		}
	}
}
