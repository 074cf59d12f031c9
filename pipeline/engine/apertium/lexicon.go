package apertium

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// lexiconIdle is how long an analyser that nobody asks stays in memory.
const lexiconIdle = time.Minute

// analysed is a word as an analyser returns it: ^surface/analysis/…$, with * before the analysis of an unknown one.
var analysed = regexp.MustCompile(`\^((?:[^\\/^$]|\\.)+)/(\*?)`)

// Known returns how much of a text (0…1, by letters) are words that the dictionary of a language has. has is false when
// no dictionary of that language is installed.
func (e *Engine) Known(ctx context.Context, language, text string) (share float64, has bool, err error) {
	p, err := e.analyser(language)
	if p == nil || err != nil {
		return 0, false, err
	}
	stream, err := encode(wordsOf(text))
	if err != nil {
		return 0, false, err
	}
	answer, err := p.ask(ctx, stream)
	if err != nil {
		return 0, true, err
	}
	known, all := 0, 0
	for _, m := range analysed.FindAllStringSubmatch(answer, -1) {
		if !strings.ContainsFunc(m[1], unicode.IsLetter) {
			continue
		}
		n := utf8.RuneCountInString(m[1])
		all += n
		if m[2] == "" {
			known += n
		}
	}
	return float64(known) / float64(max(all, 1)), true, nil
}

// wordsOf leaves words, and the apostrophes and hyphens in them.
func wordsOf(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) || strings.ContainsRune("'’-·", r) {
			return r
		}
		return ' '
	}, text)
}

// analyser returns the pool of the smallest analyser of a language, nil when none is installed.
func (e *Engine) analyser(language string) (*pool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := "words of " + language
	if p, ok := e.pools[key]; ok || e.closed {
		return p, nil
	}
	modes, err := readModes(e.cfg.Modes)
	if err != nil {
		return nil, err
	}
	modes = slices.DeleteFunc(modes, func(m mode) bool {
		return m.from != language || filepath.Base(m.stages[0].path) != "lt-proc"
	})
	if len(modes) == 0 {
		return nil, nil
	}
	m := slices.MinFunc(modes, func(a, b mode) int { return cmp.Compare(weight(a.stages[0]), weight(b.stages[0])) })
	m.stages = m.stages[:1]
	cfg := e.cfg
	cfg.Size, cfg.Idle = 1, min(cfg.Idle, lexiconIdle)
	e.pools[key] = newPool(m, cfg)
	return e.pools[key], nil
}

// weight is how big the data of a program is, in bytes.
func weight(s stage) int64 {
	var n int64
	for _, a := range s.args {
		if info, err := os.Stat(a); err == nil && strings.HasPrefix(a, "/") {
			n += info.Size()
		}
	}
	return n
}
