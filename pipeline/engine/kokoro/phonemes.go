package kokoro

import (
	"context"
	"slices"
	"strings"
	"unicode"
)

// The punctuation that the model was trained on; it makes the melody.
const (
	closing = ";:,.!?…)”"
	opening = "(“"
	dash    = '—'
)

// symbols turns espeak-ng's pairs of tied letters into the single letters of the model's alphabet (misaki's
// table for espeak-ng), and drops what the alphabet has no letter for.
func symbols() *strings.Replacer {
	return strings.NewReplacer("a^ɪ", "I", "a^ʊ", "W", "d^z", "ʣ", "d^ʒ", "ʤ", "e^ɪ", "A", "o^ʊ", "O", "ə^ʊ",
		"Q", "s^s", "S", "t^s", "ʦ", "t^ʃ", "ʧ", "ɔ^ɪ", "Y", "^", "", "-", "")
}

// phonemize returns text as phonemes with its punctuation in place. ipa is asked for each stretch without
// punctuation.
func phonemize(
	ctx context.Context, text string, ipa func(ctx context.Context, text string) (string, error),
) (string, error) {
	var out phrase
	replace := symbols()
	for _, s := range segments(text) {
		if s.mark != 0 {
			out.mark(s.mark)
			continue
		}
		p, err := ipa(ctx, s.words)
		if err != nil {
			return "", err
		}
		out.words(replace.Replace(p))
	}
	return out.String(), nil
}

// segment is a stretch of words, or one punctuation mark.
type segment struct {
	words string
	mark  rune
}

// segments takes text apart at its punctuation. Marks between two digits ("3,14") belong to the number.
func segments(text string) []segment {
	runes := []rune(strings.NewReplacer("...", "…", "«", "“", "»", "”", "–", "—", "„", "“", "‹", "“", "›", "”").
		Replace(text))
	var out []segment
	var words []rune
	flush := func() {
		if strings.TrimSpace(string(words)) != "" {
			out = append(out, segment{words: strings.TrimSpace(string(words))})
		}
		words = words[:0]
	}
	quoted := false
	for i, r := range runes {
		inNumber := i > 0 && i+1 < len(runes) && unicode.IsDigit(runes[i-1]) && unicode.IsDigit(runes[i+1])
		if r == '"' { // says not whether it opens or closes
			r = map[bool]rune{false: '“', true: '”'}[quoted]
			quoted = !quoted
		}
		if inNumber || (r != dash && !strings.ContainsRune(closing+opening, r)) {
			words = append(words, r)
			continue
		}
		flush()
		out = append(out, segment{mark: r})
	}
	flush()
	return out
}

// phrase puts phonemes and punctuation together as the model was trained to see them: one space between
// words, marks next to the words that they belong to, no mark twice in a row.
type phrase struct {
	out   []rune
	glued bool // no space before the next word
}

func (p *phrase) words(phonemes string) {
	for word := range strings.FieldsSeq(phonemes) {
		if len(p.out) > 0 && !p.glued {
			p.out = append(p.out, ' ')
		}
		p.out, p.glued = append(p.out, []rune(word)...), false
	}
}

func (p *phrase) mark(r rune) {
	spoken := slices.ContainsFunc(p.out, func(r rune) bool { return !strings.ContainsRune(opening+" ", r) })
	switch {
	case strings.ContainsRune(opening, r):
		if len(p.out) > 0 && !p.glued {
			p.out = append(p.out, ' ')
		}
		p.out, p.glued = append(p.out, r), true
	case !spoken, p.out[len(p.out)-1] == r: // nothing to close yet, or said already
	case r == dash:
		p.out, p.glued = append(p.out, ' ', r), false
	default:
		p.out, p.glued = append(p.out, r), false
	}
}

func (p *phrase) String() string { return string(p.out) }

// piece is what is spoken in one inference.
type piece struct {
	tokens []int64
	end    rune // the mark that it ends with; 0 for none
}

// comfort is how many tokens a piece may have (about 8 s of speech): beyond it the model begins to hurry, and
// needs more memory. Lines are usually shorter, see speechtext.
const comfort = 160

// opener is how many tokens the first of several pieces may have, so that the sound begins early.
const opener = 70

// pieces turns phonemes into tokens. Phonemes that the model does not know are left out.
func (a *assets) pieces(phonemes string) []piece {
	var runes []rune
	for _, r := range phonemes {
		if a.vocabulary[r] != 0 {
			runes = append(runes, r)
		}
	}
	var out []piece
	limit := opener
	for len(runes) > 0 {
		n := len(runes)
		if n > comfort {
			n = cut(runes[:limit])
			limit = comfort
		}
		if p := a.piece(runes[:n]); p.tokens != nil {
			out = append(out, p)
		}
		runes = runes[n:]
	}
	return out
}

// cut returns how much of too long a piece is spoken at once: up to its last full stop, else comma, else
// space.
func cut(runes []rune) int {
	for _, marks := range []string{".!?…", closing + string(dash), " "} {
		for i := len(runes) - 1; i > len(runes)/4; i-- {
			if strings.ContainsRune(marks, runes[i]) {
				return i + 1
			}
		}
	}
	return len(runes)
}

// piece makes a piece, without tokens if no sound is in it.
func (a *assets) piece(runes []rune) piece {
	runes = []rune(strings.TrimSpace(string(runes)))
	sound := slices.ContainsFunc(runes, unicode.IsLetter)
	if !sound {
		return piece{}
	}
	p := piece{tokens: make([]int64, len(runes))}
	for i, r := range runes {
		p.tokens[i] = a.vocabulary[r]
	}
	for i := len(runes) - 1; i >= 0 && p.end == 0 && !unicode.IsLetter(runes[i]); i-- {
		if strings.ContainsRune(";:,.!?…", runes[i]) || runes[i] == dash {
			p.end = runes[i]
		}
	}
	return p
}
