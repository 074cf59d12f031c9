// Package espeak turns text into IPA phonemes with the espeak-ng program.
//
// espeak-ng is under the GPL and keeps global state, so it stays a program of its own that is talked to
// through pipes; it is never linked. One child per voice is kept running, because a start costs ten times
// what a sentence does.
package espeak

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"brenda/pipeline/fault"
)

// Config says which program to run.
type Config struct {
	Program string        // name or path; empty means "espeak-ng"
	Timeout time.Duration // a line that takes longer counts as a hang; 0 means 3 s
	Log     *slog.Logger  // nil means none
}

// Phonemizer turns text into phonemes. Its methods may be called from several goroutines at once.
type Phonemizer struct {
	cfg Config

	mu     sync.Mutex
	voices map[string]*voice
	closed bool
}

// voice is the child of one voice. Its token is held by whoever talks to the child.
type voice struct {
	token chan struct{}
	child *child // nil when none runs
}

// New returns a phonemizer. No program is started before the first text.
func New(cfg Config) *Phonemizer {
	if cfg.Program == "" {
		cfg.Program = "espeak-ng"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 3 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Phonemizer{cfg: cfg, voices: map[string]*voice{}}
}

// maxLine is how many bytes of text go to the program in one line; it cuts lines of 1000 itself, within
// words.
const maxLine = 700

var (
	voiceName = regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]+)*$`)
	// A change of language shows as "(en)", and the tie is put inside it: "(^e^n)".
	languageFlag = regexp.MustCompile(`\([\^a-z-]*\)`)
)

// IPA returns the phonemes of text spoken by an espeak-ng voice ("fr", "en-us"), with "^" between the letters
// of one sound. Only letters, digits and common signs are spoken; the text's punctuation is gone from the
// answer. A missing program is fault.Unavailable.
func (p *Phonemizer) IPA(ctx context.Context, voice, text string) (string, error) {
	if !voiceName.MatchString(voice) {
		return "", fault.Field("language", "%q is no language code", voice)
	}
	var out []string
	for _, line := range split(clean(text)) {
		ipa, err := p.line(ctx, voice, line)
		if err != nil {
			return "", err
		}
		out = append(out, strings.Fields(languageFlag.ReplaceAllString(ipa, ""))...)
	}
	return strings.Join(out, " "), nil
}

// line has one line phonemised. A child that died or hangs is replaced, once.
func (p *Phonemizer) line(ctx context.Context, name, line string) (string, error) {
	v, err := p.take(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { v.token <- struct{}{} }()
	for attempt := 0; ; attempt++ {
		fresh := v.child == nil
		if fresh {
			if v.child, err = p.start(ctx, name); err != nil {
				return "", err
			}
		}
		ipa, err := v.child.ask(ctx, line, p.cfg.Timeout)
		if err == nil {
			return ipa, nil
		}
		v.child.kill() // what it still has to say must not answer the next line
		v.child = nil
		switch {
		case ctx.Err() != nil:
			return "", fmt.Errorf("espeak: %w", context.Cause(ctx))
		case attempt > 0:
			return "", fault.Wrap(err, fault.Unavailable, "engine_restarted", "espeak-ng does not answer; try again")
		}
		p.cfg.Log.Warn("espeak-ng failed and is started again", "voice", name, "fresh", fresh, "error", err)
	}
}

// take waits for the voice's token, which the caller gives back.
func (p *Phonemizer) take(ctx context.Context, name string) (*voice, error) {
	p.mu.Lock()
	v := p.voices[name]
	if v == nil {
		v = &voice{token: make(chan struct{}, 1)}
		v.token <- struct{}{}
		p.voices[name] = v
	}
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, fault.New(fault.Unavailable, "", "the speech engine is shutting down")
	}
	select {
	case <-v.token:
		return v, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("espeak: %w", context.Cause(ctx))
	}
}

// start starts a voice's child. A build of espeak-ng that keeps its answers in a buffer is started under
// stdbuf.
func (p *Phonemizer) start(ctx context.Context, name string) (*child, error) {
	path, err := exec.LookPath(p.cfg.Program)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "engine_missing",
			"espeak-ng is not installed; run: apt-get install espeak-ng")
	}
	argv := []string{path, "-q", "--ipa", "--tie=^", "-v", name}
	c, err := launch(ctx, argv, p.cfg.Timeout)
	if errors.Is(err, errSilent) && ctx.Err() == nil {
		if stdbuf, lookErr := exec.LookPath("stdbuf"); lookErr == nil {
			c, err = launch(ctx, append([]string{stdbuf, "-oL"}, argv...), p.cfg.Timeout)
		}
	}
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("espeak: %w", context.Cause(ctx))
	}
	return nil, fault.Wrap(err, fault.Unavailable, "engine_failed",
		"espeak-ng does not start with voice %q", name)
}

// Close ends all children. It waits for lines that are being phonemised.
func (p *Phonemizer) Close() error {
	p.mu.Lock()
	p.closed = true
	voices := p.voices
	p.voices = map[string]*voice{}
	p.mu.Unlock()
	for _, v := range voices {
		<-v.token
		if v.child != nil {
			v.child.kill()
			v.child = nil
		}
		v.token <- struct{}{}
	}
	return nil
}

// clean keeps what is spoken. Control characters above all must go: espeak-ng takes commands from them that
// would outlive the line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '’', r == 'ʼ', r == '‘':
			return '\''
		case unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Sc),
			strings.ContainsRune("'-.,;:!?…%°+=&@/#*×÷", r):
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, " "))
}

// split cuts text into lines of at most maxLine bytes, between words where it can. Blank text gives none.
func split(text string) []string {
	var lines []string
	var line strings.Builder
	flush := func() {
		if line.Len() > 0 {
			lines = append(lines, line.String())
			line.Reset()
		}
	}
	for word := range strings.FieldsSeq(text) {
		for _, part := range pieces(word) {
			if line.Len()+1+len(part) > maxLine {
				flush()
			}
			if line.Len() > 0 {
				line.WriteByte(' ')
			}
			line.WriteString(part)
		}
	}
	flush()
	return lines
}

// pieces cuts a word that is too long for a line, between runes.
func pieces(word string) []string {
	if len(word) <= maxLine {
		return []string{word}
	}
	var out []string
	start := 0
	for i := range word {
		if i-start > maxLine-4 {
			out, start = append(out, word[start:i]), i
		}
	}
	return append(out, word[start:])
}
