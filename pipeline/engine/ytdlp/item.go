package ytdlp

import (
	"cmp"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Item is a medium, or a list of them. What is not known is empty.
type Item struct {
	Title       string
	Description string
	Author      string
	Site        string
	Published   string // RFC 3339 or a date
	Language    string
	Image       string
	Duration    float64 // seconds
	Live        bool
	Formats     []Format
	Entries     []Entry // of a playlist
	Playlist    bool
}

// Format is one way to get a medium.
type Format struct {
	ID       string
	URL      string
	Ext      string
	Protocol string // such as "https" or "m3u8_native"
	VCodec   string // "none" when there is no video, empty when unknown
	ACodec   string // "none" when there is no sound, empty when unknown
	Width    int
	Height   int
	BitRate  float64 // kbit/s, of sound and video together
	Bytes    int64
	Language string
	Header   map[string]string // what the server wants to see
	Parts    []string          // of a DASH manifest: the files to read one after the other, instead of URL
}

const maxParts = 20_000 // of one medium: eleven hours in pieces of two seconds

// Entry is one medium of a playlist.
type Entry struct {
	URL      string
	Title    string
	Duration float64 // seconds
}

// text is a string that may come as a number or null.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(strings.ToValidUTF8(s, "\uFFFD"))
	}
	return nil
}

// number is a number that may come as anything.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	var f float64
	if json.Unmarshal(b, &f) == nil {
		*n = number(f)
	}
	return nil
}

type rawItem struct {
	Type        text        `json:"_type"`
	Extractor   text        `json:"extractor"`
	ExtractorK  text        `json:"extractor_key"`
	Title       text        `json:"title"`
	Description text        `json:"description"`
	Uploader    text        `json:"uploader"`
	Channel     text        `json:"channel"`
	Artist      text        `json:"artist"`
	UploadDate  text        `json:"upload_date"`
	Timestamp   number      `json:"timestamp"`
	Language    text        `json:"language"`
	Thumbnail   text        `json:"thumbnail"`
	Duration    number      `json:"duration"`
	IsLive      bool        `json:"is_live"`
	Entries     []*rawEntry `json:"entries"`
	Formats     []rawFormat `json:"formats"`
	rawFormat
}

type rawEntry struct {
	URL        text        `json:"url"`
	WebpageURL text        `json:"webpage_url"`
	Title      text        `json:"title"`
	Duration   number      `json:"duration"`
	Formats    []rawFormat `json:"formats"`
}

type rawFormat struct {
	ID       text            `json:"format_id"`
	URL      text            `json:"url"`
	Ext      text            `json:"ext"`
	Protocol text            `json:"protocol"`
	VCodec   text            `json:"vcodec"`
	ACodec   text            `json:"acodec"`
	Width    number          `json:"width"`
	Height   number          `json:"height"`
	BitRate  number          `json:"tbr"`
	Bytes    number          `json:"filesize"`
	About    number          `json:"filesize_approx"`
	Lang     text            `json:"language"`
	Header   map[string]text `json:"http_headers"`
	Base     text            `json:"fragment_base_url"`
	Pieces   []rawPiece      `json:"fragments"`
}

// rawPiece is one file of a manifest: an address, or a path below that of the format.
type rawPiece struct {
	URL      text   `json:"url"`
	Path     text   `json:"path"`
	Duration number `json:"duration"`
}

// counter is what the extractors for any page add to a page's title.
var counter = regexp.MustCompile(` \(\d+\)$`)

func (r *rawItem) item() Item {
	it := Item{
		Title: string(r.Title), Description: string(r.Description), Author: string(cmp.Or(r.Uploader, r.Channel, r.Artist)),
		Published: r.published(), Language: string(r.Language), Image: string(r.Thumbnail),
		Duration: float64(r.Duration), Live: r.IsLive, Playlist: r.Type == "playlist",
	}
	anyPage := strings.EqualFold(string(r.Extractor), "generic") || strings.EqualFold(string(r.Extractor), "html5")
	if anyPage {
		it.Title = counter.ReplaceAllString(it.Title, "")
		it.Published = "" // it would be the file's own date
	} else {
		it.Site = string(r.ExtractorK)
	}
	raw := r.Formats
	if len(raw) == 0 && r.URL != "" {
		raw = []rawFormat{r.rawFormat}
	}
	for _, f := range raw {
		it.Formats = append(it.Formats, f.format())
		if it.Duration == 0 && !it.Live {
			for _, p := range f.Pieces {
				it.Duration += float64(p.Duration)
			}
		}
	}
	for _, e := range r.Entries {
		if e == nil {
			continue
		}
		entry := Entry{URL: string(cmp.Or(e.WebpageURL, e.URL)), Title: string(e.Title), Duration: float64(e.Duration)}
		if anyPage && len(e.Formats) > 0 { // several media on one page have one address
			entry.URL = string(e.Formats[len(e.Formats)-1].URL)
		}
		it.Entries = append(it.Entries, entry)
	}
	return it
}

func (r *rawItem) published() string {
	if r.Timestamp > 0 && r.Timestamp < 1e11 {
		return time.Unix(int64(r.Timestamp), 0).UTC().Format(time.RFC3339)
	}
	if d, err := time.Parse("20060102", string(r.UploadDate)); err == nil {
		return d.Format(time.DateOnly)
	}
	return ""
}

func (f rawFormat) format() Format {
	out := Format{
		ID: string(f.ID), URL: string(f.URL), Ext: string(f.Ext), Protocol: string(f.Protocol), VCodec: string(f.VCodec),
		ACodec: string(f.ACodec), Width: int(f.Width), Height: int(f.Height), BitRate: float64(f.BitRate),
		Bytes: int64(cmp.Or(f.Bytes, f.About)), Language: string(f.Lang), Header: map[string]string{},
	}
	for k, v := range f.Header {
		out.Header[k] = string(v)
	}
	base, err := url.Parse(string(cmp.Or(f.Base, f.URL)))
	if err != nil || len(f.Pieces) > maxParts {
		return out
	}
	for _, p := range f.Pieces {
		at, err := base.Parse(string(cmp.Or(p.URL, p.Path)))
		if err != nil {
			out.Parts = nil // a medium with a hole
			return out
		}
		out.Parts = append(out.Parts, at.String())
	}
	return out
}

// Sound returns the format from which the sound is best read: sound alone before sound with video, and of those what is
// small but good enough to understand speech. ok is false when none can be read, as of DASH that is live: its list of
// files is over when it is read.
func (it Item) Sound() (best Format, ok bool) {
	usable := slices.DeleteFunc(slices.Clone(it.Formats), func(f Format) bool {
		return f.ACodec == "none" || !strings.HasPrefix(f.URL, "http") || f.Protocol == "mhtml" ||
			f.dash() && (it.Live || len(f.Parts) == 0) || strings.Contains(f.Protocol, "f4m") || strings.Contains(f.Protocol, "ism")
	})
	if len(usable) == 0 {
		return Format{}, false
	}
	slices.SortStableFunc(usable, func(a, b Format) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.BitRate, b.BitRate))
	})
	return usable[0], true
}

func (f Format) dash() bool { return strings.Contains(f.Protocol, "dash") }

// rank is lower for what is better; one file is better than many.
func (f Format) rank() int {
	const enough = 40 // kbit/s
	rank := 4
	switch {
	case f.VCodec == "none" && f.BitRate >= enough:
		rank = 0
	case f.VCodec == "none":
		rank = 2
	}
	if f.dash() {
		rank++
	}
	return rank
}
