package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/mogiioin/hls-m3u8/m3u8"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

const (
	mark      = "#EXTM3U" // how every playlist begins
	maxList   = 8 << 20   // bytes of a playlist
	liveStart = 3         // segments from the end, where a live stream is joined
	patience  = 6         // reloads without anything new, after which a live stream is over
)

// playlist is the HLS playlist of one rendition.
type playlist struct {
	base   *url.URL
	media  *m3u8.MediaPlaylist
	next   uint64 // sequence number of the segment to send next
	loaded *m3u8.Map
	keys   map[string][]byte
	missed int // failures of a live stream since the last segment that was sent
}

// duration returns the length in seconds, 0 for a live stream.
func (p *playlist) duration() float64 {
	if !p.media.Closed {
		return 0
	}
	sum := 0.0
	for _, s := range p.media.Segments {
		if s != nil {
			sum += s.Duration
		}
	}
	return sum
}

// openList reads the playlist at the beginning of the medium; of one with renditions that which is best to listen to.
func (m *medium) openList(ctx context.Context) (*playlist, error) {
	list, err := decode(m.body)
	if err != nil {
		return nil, err
	}
	base := m.answer.URL
	if master, ok := list.(*m3u8.MasterPlaylist); ok {
		ref := choose(master)
		u, err := base.Parse(ref)
		if err != nil || ref == "" {
			return nil, unreadable(errors.New("no rendition"))
		}
		if list, base, err = m.load(ctx, u); err != nil {
			return nil, err
		}
	}
	media, ok := list.(*m3u8.MediaPlaylist)
	if !ok {
		return nil, unreadable(errors.New("a list of lists of lists"))
	}
	p := &playlist{base: base, media: media, keys: map[string][]byte{}}
	p.next = p.first()
	return p, nil
}

// first returns the segment to begin with.
func (p *playlist) first() uint64 {
	n := p.media.SeqNo
	if !p.media.Closed && p.media.MediaType != m3u8.EVENT {
		count := uint64(0)
		for _, s := range p.media.Segments {
			if s != nil {
				count++
			}
		}
		n += max(count, liveStart) - liveStart
	}
	return n
}

func unreadable(err error) error {
	return fault.Wrap(fmt.Errorf("HLS: %w", err), fault.Unsupported, "unsupported_media",
		"the playlist behind the URL cannot be read")
}

// load fetches a playlist.
func (m *medium) load(ctx context.Context, u *url.URL) (m3u8.Playlist, *url.URL, error) {
	ans, err := m.fetch(ctx, u.String(), "")
	if err != nil {
		return nil, nil, err
	}
	defer ans.Body.Close()
	list, err := decode(ans.Body)
	return list, ans.URL, err
}

// decode parses a playlist. The parser is not ours, and what it parses neither: a panic is an error.
func decode(r io.Reader) (list m3u8.Playlist, err error) {
	defer func() {
		if p := recover(); p != nil {
			list, err = nil, unreadable(fmt.Errorf("%v", p))
		}
	}()
	b, err := io.ReadAll(io.LimitReader(r, maxList+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxList:
		return nil, outbound.TooLarge()
	}
	list, _, err = m3u8.DecodeFrom(bytes.NewReader(b), false)
	if err != nil {
		return nil, unreadable(err)
	}
	return list, nil
}

// choose returns the rendition to listen to: sound alone if there is, else what is smallest.
func choose(master *m3u8.MasterPlaylist) string {
	best, sound, least := "", "", uint32(0)
	for _, v := range master.Variants {
		if v == nil || v.Iframe || v.URI == "" {
			continue
		}
		for _, a := range v.Alternatives {
			if a != nil && a.Type == "AUDIO" && a.URI != "" && (sound == "" || a.Default) {
				sound = a.URI
			}
		}
		mute := v.Codecs != "" && !strings.Contains(v.Codecs, "mp4a") && !strings.Contains(v.Codecs, "ac-3") &&
			!strings.Contains(v.Codecs, "ec-3") && !strings.Contains(v.Codecs, "pus") && !strings.Contains(v.Codecs, "lac")
		if !mute && (best == "" || v.Bandwidth < least) {
			best, least = v.URI, v.Bandwidth
		}
	}
	if sound != "" {
		return sound
	}
	return best
}

// sendList sends the segments in turn, and those of a live stream as they come.
func (m *medium) sendList(ctx context.Context, w io.Writer) error {
	p := m.list
	for idle := 0; ; {
		before := p.next
		if err := m.sendNew(ctx, w); err != nil || p.media.Closed {
			return err
		}
		if idle++; p.next != before {
			idle = 0
		}
		if idle > patience {
			return nil
		}
		wait := time.NewTimer(time.Duration(min(max(p.media.TargetDuration, 1), 30)) * time.Second)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return context.Cause(ctx)
		}
		list, base, err := m.load(ctx, p.base)
		switch {
		case err != nil && m.passing(ctx, err):
			continue // until patience ends
		case err != nil:
			return err
		}
		media, ok := list.(*m3u8.MediaPlaylist)
		if !ok {
			return unreadable(errors.New("another kind of list"))
		}
		p.media, p.base = media, base
		p.next = max(p.next, media.SeqNo) // what was missed is missed
	}
}

// passing tells whether a live stream goes on after a failure: its server may fail once, and what it misses is missed.
func (m *medium) passing(ctx context.Context, err error) bool {
	if m.list.media.Closed || ctx.Err() != nil {
		return false
	}
	if k := fault.KindOf(err); k != fault.Upstream && k != fault.Timeout {
		return false
	}
	m.list.missed++
	return m.list.missed <= patience
}

// sendNew sends the segments of the present playlist that were not sent yet.
func (m *medium) sendNew(ctx context.Context, w io.Writer) error {
	p := m.list
	keys, section := p.media.Keys, p.media.Map
	seq := p.media.SeqNo
	for _, s := range p.media.Segments {
		if s == nil {
			continue
		}
		if len(s.Keys) > 0 {
			keys = s.Keys
		}
		if s.Map != nil {
			section = s.Map
		}
		if seq >= p.next && !s.Gap {
			before := m.left
			if err := m.sendSegment(ctx, w, s, seq, keys, section); err != nil && (m.left != before || !m.passing(ctx, err)) {
				return err
			}
			if m.left != before {
				p.missed = 0
			}
		}
		seq++
		p.next = max(p.next, seq)
	}
	return nil
}
