// Package ffmpeg reads sound and video of any kind from the network with ffmpeg and ffprobe.
//
// Each call is a child process of its own. It sees the network only through an [outbound.Lease], so that a playlist
// that leads inside, a redirect or a name that changes its address reaches nothing forbidden; files, devices and other
// protocols are shut off by ffmpeg's own white lists.
package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

// Mend is the command that installs what this package needs.
const Mend = "apt-get install ffmpeg"

// Config says what to run.
type Config struct {
	FFmpeg, FFprobe string   // programs; default those in PATH
	Env             []string // all that a child's environment has besides the proxy: PATH and the like
	Agent           string   // User-Agent; default "Brenda"
	TempDir         string   // for media that must be copied first; default the system's
	ProbeTime       time.Duration
	Log             *slog.Logger // default: none
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
	if cfg.Agent == "" {
		cfg.Agent = "Brenda"
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
	Header map[string]string // what the server wants to see; only Referer, Origin, User-Agent and Accept… are sent
}

const (
	protocols = "http,https,tcp,tls,httpproxy,crypto"
	// What a medium may be. Not those that lead elsewhere by themselves (concat, sdp, rtsp), nor devices.
	demuxers = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,avi,caf,dash,dts,eac3,flac,flv,hls,m4v,matroska,webm," +
		"matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,ogg,rm,tta,w64,wav,webvtt,wv,wtv"
)

// arguments are those by which both programs read in. The URL stands directly after -i and has its scheme in front, so
// that it is never an option.
func (e *Engine) arguments(in Input, lease *outbound.Lease) ([]string, error) {
	u, err := outbound.Target(in.URL)
	if err != nil {
		return nil, err
	}
	silence := strconv.FormatInt((outbound.DefaultFirstByte + 5*time.Second).Microseconds(), 10) // the proxy knows first
	args := []string{
		"-v", "error", "-hide_banner", "-protocol_whitelist", protocols, "-format_whitelist", demuxers,
		"-http_proxy", lease.URL(), "-rw_timeout", silence, "-max_redirects", strconv.Itoa(outbound.MaxRedirects),
	}
	agent, headers := e.cfg.Agent, ""
	for _, name := range slices.Sorted(maps.Keys(in.Header)) {
		value := in.Header[name]
		switch lower := strings.ToLower(name); {
		case strings.ContainsFunc(name+value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		case lower == "user-agent":
			agent = value
		case lower == "referer", lower == "origin", strings.HasPrefix(lower, "accept") && lower != "accept-encoding":
			headers += name + ": " + value + "\r\n"
		}
	}
	args = append(args, "-user_agent", agent)
	if headers != "" {
		args = append(args, "-headers", headers)
	}
	return append(args, "-i", u.String()), nil
}

// explain returns the fault of a child that failed: what the proxy knows, or else that the medium is unreadable.
func (e *Engine) explain(ctx context.Context, lease *outbound.Lease, err error, said string) error {
	e.cfg.Log.DebugContext(ctx, "ffmpeg failed", "error", err, "said", said)
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return context.Cause(ctx)
	case lease.Err() != nil:
		return lease.Err()
	case ctx.Err() != nil:
		return fault.Wrap(err, fault.Timeout, "upstream_timeout", "the server behind the URL is too slow")
	case strings.Contains(said, "Server returned"), strings.Contains(said, "HTTP error"):
		return fault.Wrap(err, fault.Upstream, "upstream_failed", "the server behind the URL refuses the medium")
	}
	if err == nil {
		err = errors.New("no sound came out")
	}
	err = fmt.Errorf("%w: %s", err, said)
	return fault.Wrap(err, fault.Unsupported, "unsupported_media", "what is behind the URL is no sound or video that can be read")
}
