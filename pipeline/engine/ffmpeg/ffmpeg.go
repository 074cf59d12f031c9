// Package ffmpeg reads sound and video of any kind with ffmpeg and ffprobe.
//
// Each call is a child process of its own, which has no network at all: Brenda fetches the medium through an
// [outbound.Guard] and writes it into the child's standard input. An ffmpeg that may open connections can be led anywhere
// by what it reads (a variant in an HLS playlist that is tcp://10.0.0.1 is opened past its own HTTP proxy), so its white
// lists leave it the pipe and containers that name no other files; HLS is followed by Brenda herself.
package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

// Mend is the command that installs what this package needs.
const Mend = "apt-get install ffmpeg"

// Config says what to run.
type Config struct {
	FFmpeg, FFprobe string        // programs; default those in PATH
	Env             []string      // all that a child's environment has: PATH and the like
	TempDir         string        // for media that must be copied first; default the system's
	ProbeTime       time.Duration // default 1 min
	Log             *slog.Logger  // default: none
}

// Engine runs ffmpeg. It may be used from any number of goroutines.
type Engine struct {
	cfg   Config
	guard *outbound.Guard
}

// New returns an engine. Where the programs are missing the error is fault.Unavailable, with the command that brings
// them.
func New(cfg Config, guard *outbound.Guard) (*Engine, error) {
	for name, at := range map[string]*string{"ffmpeg": &cfg.FFmpeg, "ffprobe": &cfg.FFprobe} {
		if *at == "" {
			*at = name
		}
		path, err := exec.LookPath(*at)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "engine_missing", "%s is not installed; run: %s", name, Mend)
		}
		*at = path
	}
	if cfg.ProbeTime <= 0 {
		cfg.ProbeTime = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{cfg: cfg, guard: guard}, nil
}

// Input is a medium to read.
type Input struct {
	URL    string            // http or https
	Header map[string]string // what the server wants to see; see outbound.Guard.Fetch
	Parts  []string          // addresses of files to read one after the other, instead of URL
}

// What a medium may be: not what leads elsewhere by itself (hls, dash, concat, sdp, rtsp), nor devices.
const demuxers = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,avi,caf,dts,eac3,flac,flv,m4v,matroska,webm," +
	"matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,ogg,rm,tta,w64,wav,wv,wtv"

// reading are the arguments by which both programs read: from standard input, or from a copy on descriptor 3.
func reading(copied bool) []string {
	args := []string{"-v", "error", "-hide_banner", "-format_whitelist", demuxers}
	if copied {
		return append(args, "-protocol_whitelist", "file", "-i", "/dev/fd/3")
	}
	return append(args, "-protocol_whitelist", "pipe", "-i", "pipe:0")
}

// needsSeek tells whether ffmpeg failed because it wanted to go back in a medium, as in a video file whose index is at its
// end. It counts that as success.
func needsSeek(said string) bool {
	return strings.Contains(said, "partial file") || strings.Contains(said, "moov atom not found") ||
		strings.Contains(said, "Stream ends prematurely")
}

// explain returns the fault of a child that failed, or whose medium could not be fetched whole: fetched says why.
func (e *Engine) explain(ctx context.Context, fetched, err error, said string) error {
	e.cfg.Log.DebugContext(ctx, "ffmpeg failed", "error", err, "fetched", fetched, "said", said)
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return context.Cause(ctx)
	case fetched != nil:
		return fetched
	case ctx.Err() != nil:
		return fault.Wrap(ctx.Err(), fault.Timeout, "upstream_timeout", "the server behind the URL is too slow")
	}
	if err == nil {
		err = errors.New("no sound came out")
	}
	return fault.Wrap(fmt.Errorf("%w: %s", err, said), fault.Unsupported, "unsupported_media",
		"what is behind the URL is no sound or video that can be read")
}
