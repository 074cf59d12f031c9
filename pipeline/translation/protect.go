package translation

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// held is a stretch of text with marks, and what they stand for.
type held struct {
	text  string
	words []string // by the index of the mark
	gaps  []string
}

// add appends something that is not translated.
func (h *held) add(b *strings.Builder, k Kind, what string) {
	list := &h.gaps
	if k == Word {
		list = &h.words
	}
	b.WriteString(Mark(k, len(*list)))
	*list = append(*list, what)
}

// restore puts back what marks stand for.
func (h *held) restore(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch k, i := MarkOf(r); {
		case k == Word && i < len(h.words):
			b.WriteString(h.words[i])
		case k == Gap && i < len(h.gaps):
			b.WriteString(h.gaps[i])
		case k == None:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// span is a stretch of bytes that is not translated.
type span struct {
	start, end int
	kind       Kind
}

// The patterns of what is not language, the first that matches wins.
const (
	code    = "``[^`]+``|`[^`]+`"
	tag     = `</?[A-Za-z][^<>]*>|<!--[^<>]*-->|&(?:[A-Za-z]{2,8}|#\d{1,6}|#x[0-9A-Fa-f]{1,6});`
	address = `(?i:https?|ftp|file|wss?)://[^\s<>"«»\x{E000}-\x{F8FF}]+|www\.[\pL\d./?=&%#_-]+|` +
		`(?i:mailto:)?[\pL\d._%+-]+@[\pL\d-]+(?:\.[\pL\d-]+)+`
	placeholder = `\{\{[^{}]{0,80}\}\}|[$#]?\{[^{}]{0,80}\}|\[\[[^\[\]]{0,80}\]\]|\$[A-Za-z_]\w*|` +
		`%\([A-Za-z_]\w*\)[a-z]|%(?:\d+\$)?[-+0#]*\d*(?:\.\d+)?[sdifxXegucvqTt]\b|%@|%%`
	handle      = `[@#][\pL_][\pL\d_]*|--[a-z][\w-]*`
	path        = `(?:[A-Za-z]:\\|~/|\.{1,2}/|/)[\w.-]+(?:[/\\][\w.-]+)*`
	file        = `[\w-]+(?:\.[\w-]+)*\.[a-z]{2,4}\b`
	snake       = `[A-Za-z\d]+(?:_[A-Za-z\d]+)+|[A-Za-z]+\d[A-Za-z\d]*`
	number      = `\d+(?:[.,:/\x{A0}\x{202F}'’-]\d+)+`
	strangeSign = `[\x{E000}-\x{F8FF}\x{FFFD}\x{2190}-\x{2BFF}\x{1F000}-\x{1FAFF}\x{FE0F}` +
		`\x{200B}-\x{200F}\x{2060}\x{FEFF}\x00-\x08\x0E-\x1F\x7F-\x9F]+`
)

var patterns = regexp.MustCompile(
	`(` + tag + `|` + strangeSign + `)|(` + code + `|` + address + `|` + placeholder + `|` + handle + `|` + path + `|` +
		file + `|` + snake + `|` + number + `)`)

// protect puts marks in the place of all that is not language. There can be more of them in a line than there are marks,
// so they are not counted yet: take returns parts whose marks are.
func protect(text string) held {
	var h held
	var b strings.Builder
	last := 0
	for _, s := range spans(text) {
		b.WriteString(text[last:s.start])
		b.WriteString(Mark(s.kind, 0))
		if what := text[s.start:s.end]; s.kind == Word {
			h.words = append(h.words, what)
		} else {
			h.gaps = append(h.gaps, what)
		}
		last = s.end
	}
	b.WriteString(text[last:])
	h.text = b.String()
	return h
}

// window is how many bytes are searched at once: what looks like the beginning of an address may be searched to its end
// again and again, so that the time grows with the square.
const window = 2000

// spans finds what is not language, in order, without overlaps.
func spans(text string) []span {
	var out []span
	for from := 0; from < len(text); {
		end := from + windowEnd(text[from:])
		for _, s := range spansIn(text[from:end]) {
			out = append(out, span{s.start + from, s.end + from, s.kind})
		}
		from = end
	}
	return merge(out)
}

// windowEnd returns where a window that begins a text ends: in front of a space, else between two characters.
func windowEnd(text string) int {
	if len(text) <= window {
		return len(text)
	}
	if at := strings.LastIndexAny(text[:window], " \u00a0\u3000"); at > 0 {
		return at
	}
	end := window
	for end > 1 && !utf8.RuneStart(text[end]) {
		end--
	}
	return end
}

// spansIn finds the spans of one window.
func spansIn(text string) []span {
	var out []span
	for at := 0; at < len(text); {
		m := patterns.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		s := span{start: at + m[0], end: at + m[1], kind: Word}
		if m[2] < 0 && text[s.start] == '/' && isWordBefore(text, s.start) {
			at = s.start + 1 // "et/ou" is no path
			continue
		}
		if m[2] >= 0 {
			s.kind = Gap
		} else {
			s.end = s.start + len(trimAddress(text[s.start:s.end]))
			s = glued(text, s, at)
		}
		out = append(out, s)
		at = s.end
	}
	return out
}

// trimAddress takes the end of a sentence off what may be an address.
func trimAddress(s string) string {
	if !strings.Contains(s, "/") && !strings.Contains(s, "@") && !strings.HasPrefix(s, "www.") {
		return s
	}
	for range 100 {
		short := strings.TrimRight(s, ".,;:!?'’…*")
		for _, pair := range []string{"()", "[]"} {
			if strings.HasSuffix(short, pair[1:]) && strings.Count(short, pair[:1]) < strings.Count(short, pair[1:]) {
				short = short[:len(short)-1]
			}
		}
		if short == s || short == "" {
			return s
		}
		s = short
	}
	return s
}

// glued makes a word of a span and the letters and digits that it touches, so that an engine sees a whole word.
func glued(text string, s span, from int) span {
	for s.start > from {
		r, n := utf8.DecodeLastRuneInString(text[from:s.start])
		if !wordRune(r) {
			break
		}
		s.start -= n
	}
	for s.end < len(text) {
		r, n := utf8.DecodeRuneInString(text[s.end:])
		if !wordRune(r) {
			break
		}
		s.end += n
	}
	return s
}

// merge makes one of words that touch.
func merge(in []span) []span {
	var out []span
	for _, s := range in {
		if n := len(out); n > 0 && out[n-1].end == s.start && out[n-1].kind == s.kind {
			out[n-1].end = s.end
			continue
		}
		out = append(out, s)
	}
	return out
}

func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || unicode.IsMark(r)
}

func isWordBefore(text string, at int) bool {
	r, _ := utf8.DecodeLastRuneInString(text[:at])
	return at > 0 && wordRune(r)
}

// strictSigns are kept, besides marks, in a text that is cut at its marks: digits, and what may mean something to an
// engine.
var strictSigns = regexp.MustCompile(`\d+|[\[\]{}<>^$/\\@#*|~=_&%+€£]+`)

// shatter cuts a stretch with marks into texts, by turns what is translated (even) and what is not (odd).
func (h *held) shatter() []string {
	out := []string{""}
	plain := func(s string) {
		if len(out)%2 == 0 {
			out = append(out, "")
		}
		out[len(out)-1] += s
	}
	fixed := func(s string) {
		if len(out)%2 == 1 {
			out = append(out, "")
		}
		out[len(out)-1] += s
	}
	text := func(s string) {
		last := 0
		for _, at := range strictSigns.FindAllStringIndex(s, -1) {
			if at[0] > last {
				plain(s[last:at[0]])
			}
			fixed(s[at[0]:at[1]])
			last = at[1]
		}
		if last < len(s) {
			plain(s[last:])
		}
	}
	last := 0
	for at, r := range h.text {
		if k, _ := MarkOf(r); k != None {
			text(h.text[last:at])
			fixed(h.restore(string(r)))
			last = at + utf8.RuneLen(r)
		}
	}
	text(h.text[last:])
	return out
}
