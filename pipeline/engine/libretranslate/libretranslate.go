// Package libretranslate translates with a server that speaks LibreTranslate's API (POST /translate, GET /languages).
package libretranslate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/language"

	"brenda/pipeline/engine/peer"
	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
)

// Piece is how many characters the server is given at once.
const Piece = 1000

const (
	maxAnswer = 4 << 20          // bytes
	fresh     = time.Minute      // for how long the list of languages is believed
	asking    = 10 * time.Second // for the list of languages
)

// Config says where the server is.
type Config struct {
	URL     string // its root, such as "http://127.0.0.1:5000"
	Key     string // empty for none
	Timeout time.Duration
}

// Engine translates. Its methods may be called from any goroutine.
type Engine struct {
	cfg    Config
	client *http.Client

	mu    sync.Mutex
	ways  []translation.Way
	codes map[string]string // ISO 639-1 → the server's code, where it is another: zh → zh-Hans
	until time.Time
}

// New returns an engine. Nothing is asked before it is used.
func New(cfg Config) *Engine {
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	return &Engine{cfg: cfg, client: &http.Client{
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends the idle connections.
func (e *Engine) Close() error {
	e.client.CloseIdleConnections()
	return nil
}

// Ways implements translation.Engine: what GET /languages tells, looked up once a minute.
func (e *Engine) Ways(ctx context.Context) ([]translation.Way, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().Before(e.until) {
		return e.ways, nil
	}
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	var list []struct {
		Code    string   `json:"code"`
		Targets []string `json:"targets"` // missing in old servers: all
	}
	if err := e.ask(ctx, http.MethodGet, "/languages", nil, &list); err != nil {
		return nil, err
	}
	codes := map[string]string{}
	for _, l := range list {
		if base := short(l.Code); codes[base] == "" || l.Code == base {
			codes[base] = l.Code
		}
	}
	var ways []translation.Way
	for _, from := range list {
		targets := from.Targets
		if targets == nil {
			for _, to := range list {
				targets = append(targets, to.Code)
			}
		}
		for _, to := range targets {
			w := translation.Way{From: short(from.Code), To: short(to)}
			if w.From != w.To && codes[w.From] == from.Code && codes[w.To] == to {
				ways = append(ways, w)
			}
		}
	}
	slices.SortFunc(ways, translation.Way.Compare)
	e.ways, e.codes, e.until = ways, codes, time.Now().Add(fresh)
	return ways, nil
}

// short returns a language without script and region, as translation.Way has it: of several that differ only in those
// the server's first is used, unless one has neither.
func short(code string) string {
	tag, err := language.Parse(code)
	if err != nil {
		return code
	}
	base, _ := tag.Base()
	return base.String()
}

// code returns the server's code of a language.
func (e *Engine) code(l string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return cmp.Or(e.codes[l], l)
}

// Translate implements translation.Engine.
func (e *Engine) Translate(ctx context.Context, w translation.Way, piece string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	text, err := show(piece)
	if err != nil {
		return "", err
	}
	question := map[string]string{"q": text, "source": e.code(w.From), "target": e.code(w.To), "format": "text"}
	if e.cfg.Key != "" {
		question["api_key"] = e.cfg.Key
	}
	var answer struct {
		Text *string `json:"translatedText"`
	}
	if err := e.ask(ctx, http.MethodPost, "/translate", question, &answer); err != nil {
		return "", err
	}
	if answer.Text == nil {
		return "", fault.New(fault.Upstream, "upstream_failed", "the translation server gave an answer without a translation")
	}
	return read(*answer.Text), nil
}

// ask asks the server and reads its JSON.
func (e *Engine) ask(ctx context.Context, method, path string, question, answer any) error {
	var body io.Reader
	if question != nil {
		raw, err := json.Marshal(question)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, e.cfg.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := e.client.Do(req)
	if err != nil {
		return failed(ctx, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return failed(ctx, err)
	}
	if res.StatusCode != http.StatusOK {
		return refused(res, raw)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fault.Wrap(err, fault.Upstream, "upstream_failed", "the translation server's answer is not understood")
	}
	return nil
}

// failed tells of a server that gave no answer.
func failed(ctx context.Context, err error) error {
	err = fmt.Errorf("libretranslate: %w", err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "upstream_timeout", "the translation server is too slow")
	}
	return fault.Wrap(err, fault.Upstream, "upstream_failed",
		"the translation server cannot be reached; start it, or correct translate.url")
}

// refused tells of an answer that is an error. What the server says is for the log: it may tell of keys.
func refused(res *http.Response, body []byte) error {
	err := fmt.Errorf("libretranslate: status %d: %.200s", res.StatusCode, body)
	needsKey := bytes.Contains(bytes.ToLower(body), []byte("api key")) // status 400 where there is none, 403 where it is wrong
	switch s := res.StatusCode; {
	case s == http.StatusTooManyRequests:
		return &fault.Error{
			Kind: fault.Unavailable, Code: "overloaded", Err: err, RetryAfter: peer.RetryAfter(res.Header),
			Msg: "the translation server has too much to do; try again later",
		}
	case s == http.StatusUnauthorized, needsKey:
		return fault.Wrap(err, fault.Upstream, "upstream_failed", "the translation server wants a valid key; see translate.key")
	case s == http.StatusForbidden:
		return fault.Wrap(err, fault.Upstream, "upstream_failed",
			"the translation server refuses this server, as it does with a wrong key or after too many requests; see translate.key")
	}
	return fault.Wrap(err, fault.Upstream, "upstream_failed", "the translation server failed (status %d)", res.StatusCode)
}

// A mark is shown as a word that neural translators copy: capitals around a number.
var shown = regexp.MustCompile(`(?i)\bQWX(\d{1,4})Z\b`)

// show makes marks readable for the server. There is nothing it would keep between two words.
func show(piece string) (string, error) {
	if shown.MatchString(piece) {
		return "", translation.ErrMarks
	}
	var b strings.Builder
	for _, r := range piece {
		switch k, i := translation.MarkOf(r); k {
		case translation.Word:
			fmt.Fprintf(&b, "QWX%dZ", i)
		case translation.Gap:
			return "", translation.ErrMarks
		case translation.None:
			b.WriteRune(r)
		}
	}
	return b.String(), nil
}

// read makes marks of a translation, which has no line break.
func read(text string) string {
	return shown.ReplaceAllStringFunc(strings.Join(strings.Fields(text), " "), func(m string) string {
		i, err := strconv.Atoi(shown.FindStringSubmatch(m)[1])
		if err != nil {
			return m
		}
		return translation.Mark(translation.Word, i)
	})
}
