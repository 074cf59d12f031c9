package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"brenda/audio"
	"brenda/audio/mp3"
	"brenda/audio/wav"
	"brenda/pipeline"
)

// sink takes sound at pipeline.OutputRate.
type sink interface {
	Write(pcm []float32) error
	Close() error
}

// silent takes sound and does nothing with it.
type silent struct{}

func (silent) Write([]float32) error { return nil }
func (silent) Close() error          { return nil }

// encoder is a sound file being written.
type encoder interface {
	Write(pcm []float32) error
	Close() error
}

// fileSink writes a sound file: whole under its name at Close, or not at all.
type fileSink struct {
	encoder
	file *os.File
	path string
	bad  error
}

// newFileSink begins a file whose kind its ending tells: .wav or .mp3.
func newFileSink(path string) (*fileSink, error) {
	kind := strings.ToLower(filepath.Ext(path))
	if kind != ".wav" && kind != ".mp3" {
		return nil, fmt.Errorf("%s: the name must end in .wav or .mp3", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".brenda-*"+kind)
	if err != nil {
		return nil, err
	}
	s := &fileSink{file: f, path: path}
	if kind == ".wav" {
		s.encoder = wav.NewWriter(f, pipeline.OutputRate)
		return s, nil
	}
	s.encoder, err = mp3.NewWriter(f, pipeline.OutputRate)
	if err != nil {
		_ = f.Close()
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	return s, nil
}

// Write adds sound.
func (s *fileSink) Write(pcm []float32) error {
	err := s.encoder.Write(pcm)
	s.bad = errors.Join(s.bad, err)
	return err
}

// Close ends the file and gives it its name.
func (s *fileSink) Close() error {
	err := errors.Join(s.bad, s.encoder.Close(), s.file.Chmod(0o644), s.file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(s.file.Name()))
	}
	return os.Rename(s.file.Name(), s.path)
}

// players are programs that play raw sound from standard input, the best first.
func players() [][]string {
	rate := strconv.Itoa(pipeline.OutputRate)
	return [][]string{
		{"aplay", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", rate},
		{"paplay", "--raw", "--format=s16le", "--channels=1", "--rate=" + rate},
		{"ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-f", "s16le", "-ar", rate, "-"},
		{"play", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", rate, "-"},
	}
}

// player plays sound through a program of the machine.
type player struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// newPlayer starts a program that plays.
func newPlayer(ctx context.Context) (*player, error) {
	for _, p := range players() {
		path, err := exec.LookPath(p[0])
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, path, p[1:]...)
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		return &player{cmd: cmd, in: in}, cmd.Start()
	}
	return nil, errors.New("no program to play sound with: install alsa-utils, or write to a file with -o")
}

// Write plays sound.
func (p *player) Write(pcm []float32) error {
	_, err := p.in.Write(audio.PCM16(pcm))
	return err
}

// Close waits until all has been played.
func (p *player) Close() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

// newSink returns where sound goes: a file, a player, or nowhere.
func newSink(ctx context.Context, path string, play bool) (sink, error) {
	switch {
	case path != "":
		return newFileSink(path)
	case play:
		return newPlayer(ctx)
	}
	return silent{}, nil
}

// pour decodes a WAV file and writes its sound to s.
func pour(s sink, file []byte) error {
	src, err := audio.Open(bytes.NewReader(file), int64(len(file)), pipeline.OutputRate)
	if err != nil {
		return err
	}
	pcm, err := audio.ReadAll(src)
	if err != nil {
		return err
	}
	return s.Write(pcm)
}
