package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/engine/ffmpeg"
	"brenda/pipeline/engine/ytdlp"
	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/pipeline/weights"
	"brenda/rest/health"
	"brenda/rest/media"
)

// mediaConfig is about the routes that read what is behind a URL.
type mediaConfig struct {
	Allow    []string `sep:"," placeholder:"PREFIX" help:"Private networks that URLs may lead to, such as 192.168.1.0/24."`
	Ports    []int    `sep:"," default:"80,443" help:"Ports that URLs may name."`
	Parallel int      `default:"8" help:"URLs that are read at the same time; beyond it the answer is 503."`
	MB       int      `default:"100" name:"mb" help:"Megabytes that are read of one medium at most."`
}

const mebibyte = 1 << 20

// check returns every mistake, joined.
func (c mediaConfig) check() error {
	var errs []error
	if _, err := c.prefixes(); err != nil {
		errs = append(errs, err)
	}
	for _, p := range c.Ports {
		if p < 1 || p > 65535 {
			errs = append(errs, fmt.Errorf("media.ports: %d is no port", p))
		}
	}
	if c.Parallel < 1 || c.MB < 1 {
		errs = append(errs, errors.New("media.parallel and media.mb: must be at least 1"))
	}
	return errors.Join(errs...)
}

func (c mediaConfig) prefixes() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range c.Allow {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if a, errAddr := netip.ParseAddr(strings.TrimSpace(text)); errAddr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("media.allow: %q is no network such as 192.168.1.0/24", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// guard returns the way out for addresses that clients choose.
func (c mediaConfig) guard() (*outbound.Guard, error) {
	allow, err := c.prefixes()
	if err != nil {
		return nil, err
	}
	ports := make([]uint16, len(c.Ports))
	for i, p := range c.Ports {
		ports[i] = uint16(p) //nolint:gosec // checked
	}
	return outbound.New(outbound.Config{
		Allow: allow, Ports: ports, Bytes: int64(c.MB) * mebibyte,
		Agent: "Mozilla/5.0 (compatible; Brenda)",
	}), nil
}

// mediaTools are the programs of the media routes, those that are installed.
type mediaTools struct {
	guard   *outbound.Guard
	finder  *ytdlp.Engine
	player  *ffmpeg.Engine
	missing map[string]error // program → what provides it
}

func newMediaTools(cfg *config, log *slog.Logger) (*mediaTools, error) {
	guard, err := cfg.Media.guard()
	if err != nil {
		return nil, err
	}
	t := &mediaTools{guard: guard, missing: map[string]error{}}
	t.player, err = ffmpeg.New(ffmpeg.Config{Env: childEnv(), Log: log}, guard)
	t.missing["ffmpeg"] = err
	pack := ytdlpPackage(cfg, log)
	t.finder, err = ytdlp.New(ytdlp.Config{Package: pack, Mend: pull + "yt-dlp", Env: childEnv(), Log: log}, guard)
	t.missing["yt-dlp"] = err
	return t, nil
}

// ytdlpPackage is the folder of the packaged yt-dlp, or empty for the one in PATH.
func ytdlpPackage(cfg *config, log *slog.Logger) string {
	m, err := weights.New(cfg.Models.Dir, log)
	if err != nil {
		return ""
	}
	file, err := m.Path("yt-dlp", "")
	if err != nil {
		return ""
	}
	return filepath.Dir(filepath.Dir(file))
}

// childEnv is all that the children see of the environment.
func childEnv() []string {
	env := []string{"LANG=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// newMedia builds the service of the media routes, and tells /ready of its programs.
func (in *instance) newMedia(listener pipeline.Listener, languages []string) *media.Service {
	t, err := newMediaTools(in.cfg, in.log)
	if err != nil {
		in.log.Error("media", "error", err) // cannot be: the configuration was checked
		return nil
	}
	in.closers = append(in.closers, t.guard.Close)
	in.told = append(in.told, t.components)
	return media.New(t.guard, mediaFinder{t}, mediaPlayer{t}, listener, media.Config{
		Languages: languages, Parallel: in.cfg.Media.Parallel,
	})
}

// components tells of the programs, for /ready.
func (t *mediaTools) components(context.Context) []health.Component {
	var out []health.Component
	for _, name := range []string{"ffmpeg", "yt-dlp"} {
		c := health.Component{Name: name, State: health.Ready}
		if err := t.missing[name]; err != nil {
			c.State, c.Detail = health.Missing, fault.As(err).Msg
		}
		out = append(out, c)
	}
	return out
}

// checkMedia looks for the programs of the media routes, for doctor.
func checkMedia(cfg *config) []finding {
	t, err := newMediaTools(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{{Name: "media", State: missing, Says: err.Error(), Mend: "correct BRENDA_MEDIA_ALLOW"}}
	}
	defer func() { _ = t.guard.Close() }() // holds nothing yet
	mend := map[string]string{"ffmpeg": ffmpeg.Mend, "yt-dlp": pull + "yt-dlp"}
	var out []finding
	for _, name := range []string{"ffmpeg", "yt-dlp"} {
		f := finding{Name: name, State: fine, Says: "installed"}
		if t.missing[name] != nil {
			f.State, f.Says, f.Mend = warning, "not installed; sound and video behind URLs need it", mend[name]
		}
		out = append(out, f)
	}
	if _, err := exec.LookPath("python3"); err != nil {
		out = append(out, finding{
			Name: "python3", State: warning, Says: "not installed; yt-dlp needs it", Mend: "apt-get install python3",
		})
	}
	return out
}

// mediaFinder shows yt-dlp to the media routes.
type mediaFinder struct{ *mediaTools }

// Find implements media.Finder.
func (f mediaFinder) Find(ctx context.Context, u string) (media.Found, error) {
	if f.finder == nil {
		return media.Found{}, f.missing["yt-dlp"]
	}
	it, err := f.finder.Find(ctx, u)
	if err != nil {
		return media.Found{}, err
	}
	found := media.Found{
		Title: it.Title, Description: it.Description, Author: it.Author, Site: it.Site, Published: it.Published,
		Language: it.Language, Image: it.Image, Duration: it.Duration, Live: it.Live, Playlist: it.Playlist,
	}
	for _, x := range it.Formats {
		found.Formats = append(found.Formats, media.Format{
			ID: x.ID, URL: x.URL, Ext: x.Ext, Protocol: x.Protocol, VCodec: x.VCodec, ACodec: x.ACodec, Width: x.Width,
			Height: x.Height, BitRate: x.BitRate, Size: x.Bytes, Language: x.Language,
		})
	}
	for _, e := range it.Entries {
		found.Entries = append(found.Entries, media.Entry{URL: e.URL, Title: e.Title, Duration: e.Duration})
	}
	if best, ok := it.Sound(); ok {
		found.Sound = &media.Input{URL: best.URL, Header: best.Header, Parts: best.Parts}
	}
	return found, nil
}

// mediaPlayer shows ffmpeg to the media routes.
type mediaPlayer struct{ *mediaTools }

// Probe implements media.Player.
func (p mediaPlayer) Probe(ctx context.Context, in media.Input) (media.Probe, error) {
	if p.player == nil {
		return media.Probe{}, p.missing["ffmpeg"]
	}
	info, err := p.player.Probe(ctx, ffmpeg.Input(in))
	if err != nil {
		return media.Probe{}, err
	}
	tag := func(names ...string) (v string) {
		for _, n := range names {
			v = cmp.Or(v, info.Tags[n])
		}
		return v
	}
	probe := media.Probe{
		Title: tag("title", "icy-name"), Author: tag("artist", "album_artist", "composer"), Site: tag("album", "publisher"),
		Description: tag("comment", "description"), Published: tag("date", "creation_time"), Duration: info.Duration,
		Live: info.Live, Audio: info.HasAudio(), Video: info.HasVideo(),
	}
	container, others, _ := strings.Cut(info.Format, ",")
	plain, _, _ := strings.Cut(in.URL, "?")
	if ext := strings.TrimPrefix(path.Ext(plain), "."); slices.Contains(strings.Split(others, ","), ext) {
		container = ext
	}
	for _, s := range info.Streams {
		if s.Picture {
			continue
		}
		if s.Language == "und" {
			s.Language = ""
		}
		f := media.Format{
			ID: s.Kind, Ext: container, VCodec: "none", ACodec: "none", Width: s.Width, Height: s.Height,
			SampleRate: s.SampleRate, Channels: s.Channels, BitRate: float64(s.BitRate) / 1000, Language: s.Language,
		}
		if s.Kind == "video" {
			f.VCodec = s.Codec
		} else {
			f.ACodec = s.Codec
			probe.Language = cmp.Or(probe.Language, s.Language)
		}
		probe.Formats = append(probe.Formats, f)
	}
	return probe, nil
}

// Play implements media.Player.
func (p mediaPlayer) Play(ctx context.Context, in media.Input) (media.Sound, error) {
	if p.player == nil {
		return nil, p.missing["ffmpeg"]
	}
	return p.player.Play(ctx, ffmpeg.Input(in))
}
