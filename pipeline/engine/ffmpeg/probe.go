package ffmpeg

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

// Info is what a medium says of itself.
type Info struct {
	Format   string            // ffmpeg's names of the container, such as "mp3" or "mov,mp4,m4a,3gp,3g2,mj2"
	Duration float64           // seconds; 0 when unknown, as of a live stream
	BitRate  int64             // bits per second; 0 when unknown
	Live     bool              // it goes on
	Tags     map[string]string // lower-case names: title, artist, date, …
	Streams  []Stream
}

// Stream is one track.
type Stream struct {
	Kind       string // "audio" or "video"
	Codec      string
	Width      int    // of video, pixels
	Height     int    // of video, pixels
	SampleRate int    // of audio, Hz
	Channels   int    // of audio
	BitRate    int64  // bits per second; 0 when unknown
	Language   string // as tagged; may be empty
	Picture    bool   // a cover, not a video
}

// HasAudio tells whether there is sound.
func (i Info) HasAudio() bool { return i.has("audio") }

// HasVideo tells whether there are moving pictures.
func (i Info) HasVideo() bool { return i.has("video") }

func (i Info) has(kind string) bool {
	for _, s := range i.Streams {
		if s.Kind == kind && !s.Picture {
			return true
		}
	}
	return false
}

const maxProbe = 4 << 20 // bytes of ffprobe's answer

// Probe reads the beginning of a medium and says what it is. What cannot be read is fault.Unsupported.
func (e *Engine) Probe(ctx context.Context, in Input) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.ProbeTime)
	defer cancel()
	m, err := e.open(ctx, in)
	if err != nil {
		return Info{}, err
	}
	length, live := 0.0, false
	if m.list != nil { // which changes while it is fed
		length, live = m.list.duration(), !m.list.media.Closed
	}
	info, said, err := e.probe(ctx, m)
	if err != nil && ctx.Err() == nil && needsSeek(said) && fault.KindOf(err) == fault.Unsupported {
		info, err = e.probeCopy(ctx, in)
	}
	if err != nil {
		return Info{}, err
	}
	if m.list != nil {
		info.Format, info.Duration, info.BitRate, info.Live = "hls", length, 0, live
	}
	m.station(&info)
	if size := m.answer.Size; info.Duration == 0 && m.list == nil && len(in.Parts) == 0 && size > 0 && info.BitRate > 0 {
		info.Duration = float64(size) * 8 / float64(info.BitRate)
	}
	return info, nil
}

// station adds what a radio station says of itself in the headers of its answer, as SHOUTcast and Icecast do.
func (m *medium) station(info *Info) {
	for header, tag := range map[string]string{"Icy-Name": "icy-name", "Icy-Description": "description", "Icy-Genre": "genre"} {
		value := strings.ToValidUTF8(strings.TrimSpace(m.answer.Header.Get(header)), "\uFFFD")
		if value == "" {
			continue
		}
		if info.Tags[tag] == "" {
			info.Tags[tag] = value
		}
		info.Live = info.Live || m.answer.Size < 0 // a station's file has an end
	}
}

// probe has ffprobe read the beginning of the medium, which it closes.
func (e *Engine) probe(ctx context.Context, m *medium) (Info, string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		m.close()
		return Info{}, "", fmt.Errorf("ffprobe: %w", err)
	}
	defer r.Close()
	feed := m.start(ctx, w)
	out, said, err := e.ask(ctx, func(cmd *exec.Cmd) { cmd.Stdin = r }, false)
	_ = r.Close() // so that the feed ends by itself
	fetched := feed.stop()
	if err != nil {
		return Info{}, said, e.explain(ctx, fetched, err, said)
	}
	info, err := parse(out)
	return info, said, err
}

// probeCopy is for media whose index is at their end.
func (e *Engine) probeCopy(ctx context.Context, in Input) (Info, error) {
	file, err := e.copied(ctx, in)
	if err != nil {
		return Info{}, err
	}
	defer file.Close()
	out, said, err := e.ask(ctx, func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{file} }, true)
	if err != nil {
		return Info{}, e.explain(ctx, nil, err, said)
	}
	return parse(out)
}

// ask runs ffprobe.
func (e *Engine) ask(ctx context.Context, connect func(*exec.Cmd), copied bool) ([]byte, string, error) {
	args := append(reading(copied), "-show_entries",
		"format=format_name,duration,bit_rate:format_tags"+
			":stream=codec_type,codec_name,width,height,sample_rate,channels,bit_rate"+
			":stream_tags=language:stream_disposition=attached_pic", "-of", "json")
	said, out := &outbound.Tail{}, &outbound.Capped{Left: maxProbe}
	cmd := outbound.Command(ctx, e.cfg.Env, e.cfg.FFprobe, args...)
	cmd.Stdout, cmd.Stderr = out, said
	connect(cmd)
	err := cmd.Run()
	return out.Bytes(), said.String(), err
}

func parse(b []byte) (Info, error) {
	var raw struct {
		Streams []struct {
			Kind        string            `json:"codec_type"`
			Codec       string            `json:"codec_name"`
			Width       int               `json:"width"`
			Height      int               `json:"height"`
			SampleRate  string            `json:"sample_rate"`
			Channels    int               `json:"channels"`
			BitRate     string            `json:"bit_rate"`
			Tags        map[string]string `json:"tags"`
			Disposition struct {
				Picture int `json:"attached_pic"`
			} `json:"disposition"`
		} `json:"streams"`
		Format struct {
			Name     string            `json:"format_name"`
			Duration string            `json:"duration"`
			BitRate  string            `json:"bit_rate"`
			Tags     map[string]string `json:"tags"`
		} `json:"format"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return Info{}, fault.Wrap(fmt.Errorf("ffprobe: %w", err), fault.Internal, "engine_failed",
			"the medium could not be examined")
	}
	info := Info{Format: raw.Format.Name, BitRate: whole(raw.Format.BitRate), Tags: map[string]string{}}
	info.Duration, _ = strconv.ParseFloat(raw.Format.Duration, 64) // absent where there is no end
	for name, value := range raw.Format.Tags {
		info.Tags[strings.ToLower(name)] = strings.ToValidUTF8(value, "\uFFFD")
	}
	for _, s := range raw.Streams {
		if s.Kind != "audio" && s.Kind != "video" {
			continue
		}
		info.Streams = append(info.Streams, Stream{
			Kind: s.Kind, Codec: s.Codec, Width: s.Width, Height: s.Height, SampleRate: int(whole(s.SampleRate)),
			Channels: s.Channels, BitRate: whole(s.BitRate), Language: s.Tags["language"], Picture: s.Disposition.Picture != 0,
		})
	}
	return info, nil
}

func whole(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // "N/A" and absence are 0
	return n
}
