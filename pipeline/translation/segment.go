package translation

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// maxSentence is how many characters go to an engine in one piece at most, when it takes single sentences.
const maxSentence = 500

// piece is a part of a text: one to translate, or one that stays. All pieces of a text, joined, are the text.
type piece struct {
	held
	keep string // stays as it is; empty for a piece to translate
}

var (
	lineBreak = regexp.MustCompile("\r\n|[\n\r\v\f\u0085\u2028\u2029]")
	fence     = regexp.MustCompile("^\\s*(```+|~~~+)")
	// cellGap is what stands between the columns of a table, and what a line begins with: list signs, quotes, heads.
	cellGap = regexp.MustCompile(`\t+|[ \x{A0}]{2,}|\s*\|\s*`)
	lead    = regexp.MustCompile(`^\s*(?:(?:[-*+•‣◦–—>]|#{1,6}|\d{1,3}[.)]|[a-z]\)|\[[ xX]\])\s+)*`)
)

// segment cuts a text into pieces. size is how many characters a piece may have that joins several sentences; 0 keeps
// sentences single.
func segment(text string, size int) []piece {
	s := segmenter{size: size}
	inFence := false
	for len(text) > 0 {
		line, gap := text, ""
		if at := lineBreak.FindStringIndex(text); at != nil {
			line, gap = text[:at[0]], text[at[0]:at[1]]
		}
		text = text[len(line)+len(gap):]
		switch isFence := fence.MatchString(line); {
		case isFence || inFence:
			inFence = inFence != isFence
			s.keep(line)
		default:
			s.line(line)
		}
		s.keep(gap)
	}
	return s.out
}

type segmenter struct {
	size int
	out  []piece
}

// keep adds text that stays.
func (s *segmenter) keep(text string) {
	if text == "" {
		return
	}
	if n := len(s.out); n > 0 && s.out[n-1].keep != "" {
		s.out[n-1].keep += text
		return
	}
	s.out = append(s.out, piece{keep: text})
}

func (s *segmenter) line(line string) {
	start := lead.FindString(line)
	s.keep(start)
	line = line[len(start):]
	for len(line) > 0 {
		cell, gap := line, ""
		if at := cellGap.FindStringIndex(line); at != nil {
			cell, gap = line[:at[0]], line[at[0]:at[1]]
		}
		line = line[len(cell)+len(gap):]
		s.cell(protect(cell))
		s.keep(gap)
	}
}

// cell cuts a stretch with marks into sentences, and joins them as far as the size allows.
func (s *segmenter) cell(h held) {
	joined := ""
	for _, sentence := range sentences(h.text) {
		if joined != "" && utf8.RuneCountInString(joined)+utf8.RuneCountInString(sentence) > s.size {
			s.piece(h.take(joined))
			joined = ""
		}
		joined += sentence
	}
	s.piece(h.take(joined))
}

// piece adds a stretch to translate. What stands around its words stays: space, tags.
func (s *segmenter) piece(p held) {
	if !hasLetter(p.text) {
		s.keep(p.restore(p.text))
		return
	}
	outside := func(r rune) bool {
		k, _ := MarkOf(r)
		return k == Gap || unicode.IsSpace(r)
	}
	inner := strings.TrimLeftFunc(p.text, outside)
	before := p.text[:len(p.text)-len(inner)]
	inner = strings.TrimRightFunc(inner, outside)
	after := p.text[len(before)+len(inner):]
	s.keep(p.restore(before))
	after = p.restore(after)
	p.take(before)
	s.out = append(s.out, piece{held: p.take(inner)})
	s.keep(after)
}

// take removes a stretch from the front and returns it with its marks counted from 0. text is what it has there.
func (h *held) take(text string) held {
	var out held
	var b strings.Builder
	for _, r := range text {
		switch k, _ := MarkOf(r); k {
		case Word:
			out.add(&b, Word, h.words[0])
			h.words = h.words[1:]
		case Gap:
			out.add(&b, Gap, h.gaps[0])
			h.gaps = h.gaps[1:]
		case None:
			b.WriteRune(r)
		}
	}
	out.text = b.String()
	return out
}

func hasLetter(text string) bool {
	return strings.ContainsFunc(text, unicode.IsLetter)
}

// sentences cuts a text at the ends of sentences (Unicode's rules, but for abbreviations), each with the space after it,
// and what is too long at commas, then between words.
func sentences(text string) []string {
	var out []string
	joined := ""
	for state := -1; len(text) > 0; {
		var one string
		one, text, state = uniseg.FirstSentenceInString(text, state)
		joined += one
		if abbreviated(joined) && len(text) > 0 {
			continue
		}
		out = append(out, shorten(joined)...)
		joined = ""
	}
	if joined != "" {
		out = append(out, shorten(joined)...)
	}
	return out
}

// abbreviations that do not end a sentence, in the languages that are common here.
var abbreviations = []string{ //nolint:gochecknoglobals // constant
	"m", "mm", "mme", "mmes", "mlle", "dr", "pr", "st", "ste", "art", "av", "bd", "cf", "ex", "fig", "n", "no", "p", "pp",
	"vol", "chap", "env", "mr", "mrs", "ms", "prof", "vs", "e.g", "i.e", "sr", "sra", "dra", "ud", "sig", "dott",
}

// abbreviated tells whether a text ends in an abbreviation or an initial rather than a sentence.
func abbreviated(text string) bool {
	text, ok := strings.CutSuffix(strings.TrimRightFunc(text, unicode.IsSpace), ".")
	if !ok {
		return false
	}
	before := func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("('’«\"", r) }
	word := text[strings.LastIndexFunc(text, before)+1:]
	_, n := utf8.DecodeRuneInString(word)
	if n > 0 && n == len(word) && unicode.IsUpper([]rune(word)[0]) {
		return true
	}
	return slices.Contains(abbreviations, strings.ToLower(word))
}

// shorten cuts what is longer than maxSentence.
func shorten(text string) []string {
	var out []string
	for {
		runes := []rune(text)
		if len(runes) <= maxSentence {
			return append(out, text)
		}
		window := string(runes[:maxSentence])
		cut := max(strings.LastIndex(window, "; "), strings.LastIndex(window, ", "), strings.LastIndex(window, ": "))
		if cut < len(window)/3 {
			cut = strings.LastIndexFunc(window, unicode.IsSpace)
		}
		end := len(window)
		if cut > 0 {
			_, n := utf8.DecodeRuneInString(window[cut:])
			end = cut + n
		}
		out = append(out, text[:end])
		text = text[end:]
	}
}
