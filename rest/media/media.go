// Package media serves the specification's section 5: what is behind a URL, what can be read or heard there, and the
// same as a stream.
//
// A page is read by Brenda herself; sound and video go through children that see the network only through the guarded
// proxy of package outbound.
package media

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
	"brenda/rest/httpx"
	"brenda/rest/sound"
)

// Fetcher asks servers. *outbound.Guard is one.
type Fetcher interface {
	// Get asks for u, within the limits of package outbound. The caller closes the body.
	Get(ctx context.Context, u *url.URL) (*outbound.Answer, error)
}

// Finder finds the sound and video behind pages.
type Finder interface {
	// Find returns what is behind a page. Nothing at all is fault.Unsupported with code "no_media".
	Find(ctx context.Context, u string) (Found, error)
}

// Player reads media.
type Player interface {
	// Probe says what a medium is. What is none is fault.Unsupported.
	Probe(ctx context.Context, in Input) (Probe, error)
	// Play returns its sound while it is read, at pipeline.InputRate. The caller closes it.
	Play(ctx context.Context, in Input) (Sound, error)
}

// Sound is the sound of a medium that is being read.
type Sound interface {
	pipeline.Sound
	io.Closer
}

// Input is a medium to read.
type Input struct {
	URL    string
	Header map[string]string // what its server wants to see
	Parts  []string          // files to read one after the other, instead of URL
}

// Found is what a Finder says of a page. What is not known is empty.
type Found struct {
	Title, Description, Author, Site, Published, Language, Image string

	Duration float64 // seconds
	Live     bool
	Formats  []Format
	Entries  []Entry
	Playlist bool
	Sound    *Input // where the sound is best read; nil where there is none
}

// Probe is what a Player says of a medium. What is not known is empty.
type Probe struct {
	Title, Author, Site, Description, Published, Language string

	Duration float64 // seconds; 0 for one without an end
	Live     bool
	Audio    bool
	Video    bool
	Formats  []Format
}

// Format is one way to get a medium, or one of its tracks.
type Format struct {
	ID         string  `json:"format_id,omitempty"`
	URL        string  `json:"url,omitempty"`
	Ext        string  `json:"ext,omitempty"`
	Protocol   string  `json:"protocol,omitempty"`
	VCodec     string  `json:"vcodec,omitempty"` // "none" without video
	ACodec     string  `json:"acodec,omitempty"` // "none" without sound
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	SampleRate int     `json:"sample_rate,omitempty"` // Hz
	Channels   int     `json:"channels,omitempty"`
	BitRate    float64 `json:"bitrate,omitempty"` // kbit/s
	Size       int64   `json:"size,omitempty"`    // bytes
	Language   string  `json:"language,omitempty"`
}

// Entry is one medium of a playlist.
type Entry struct {
	URL      string  `json:"url"`
	Title    string  `json:"title"`
	Duration float64 `json:"duration,omitempty"` // seconds

	Error *httpx.Problem `json:"error,omitempty"` // why it could not be played
}

// Config is what a Service needs besides engines.
type Config struct {
	Languages []string      // ISO 639-1, that she understands, besides "auto"
	PageBytes int64         // of a page that is read; default 16 MB
	Parallel  int           // requests at the same time; default 8
	Patience  time.Duration // how long extract listens before it answers with what it has; default 9 min
}

// Service answers the routes of this section.
type Service struct {
	fetch    Fetcher
	find     Finder
	play     Player
	listener pipeline.Listener
	cfg      Config
	slots    chan struct{}
}

// New returns the service.
func New(fetch Fetcher, find Finder, play Player, listener pipeline.Listener, cfg Config) *Service {
	if cfg.PageBytes <= 0 {
		cfg.PageBytes = 16 << 20
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 8
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 9 * time.Minute
	}
	return &Service{
		fetch: fetch, find: find, play: play, listener: listener, cfg: cfg, slots: make(chan struct{}, cfg.Parallel),
	}
}

// request is the body of all routes of this section.
type request struct {
	URL      string   `json:"url"`
	Include  []string `json:"include"`  // stream: "audio"
	Language string   `json:"language"` // of what is said; default the server's
	target   *url.URL
}

func (s *Service) read(r *http.Request) (request, error) {
	req, err := httpx.Read[request](r)
	if err != nil {
		return req, err
	}
	if req.target, err = outbound.Target(req.URL); err != nil {
		return req, err
	}
	for _, what := range req.Include {
		if what != "audio" && what != "text" {
			return req, fault.Field("include", `include may hold "text" and "audio"`)
		}
	}
	return req, sound.CheckLanguage(req.Language, append([]string{"auto"}, s.cfg.Languages...))
}

func (r request) audio() bool { return slices.Contains(r.Include, "audio") }

// enter takes one of the places for requests. Each may have children and megabytes of its own.
func (s *Service) enter() (leave func(), err error) {
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	default:
		return nil, fault.New(fault.Unavailable, "overloaded", "%d URLs are being read already; try again in a moment",
			s.cfg.Parallel)
	}
}

// reach reads a request, takes one of the places for it, and asks the server that it names. leave closes the source and
// gives the place back.
func (s *Service) reach(r *http.Request) (req request, src *source, leave func(), err error) {
	if req, err = s.read(r); err != nil {
		return req, nil, nil, err
	}
	out, err := s.enter()
	if err != nil {
		return req, nil, nil, err
	}
	if src, err = s.open(r.Context(), req.target); err != nil {
		out()
		return req, nil, nil, err
	}
	return req, src, func() {
		src.close()
		out()
	}, nil
}

// Analyze answers POST /v1/ai/media/url/analyze.
func (s *Service) Analyze(w http.ResponseWriter, r *http.Request) error {
	_, src, leave, err := s.reach(r)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.examine(r.Context(), src); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, src.about)
}
