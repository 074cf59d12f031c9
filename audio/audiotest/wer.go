package audiotest

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Errors counts how a transcript differs from what was said, in words.
type Errors struct {
	Words         int // in the reference
	Substitutions int
	Deletions     int // in the reference only
	Insertions    int // in the hypothesis only
}

// Rate returns the word error rate: errors per word of the reference. It may exceed 1. For an empty
// reference it is 0 or, if words were invented, their number.
func (e Errors) Rate() float64 {
	return float64(e.Substitutions+e.Deletions+e.Insertions) / float64(max(1, e.Words))
}

// Add returns the sum of two counts, for the rate of a whole set.
func (e Errors) Add(o Errors) Errors {
	return Errors{
		Words:         e.Words + o.Words,
		Substitutions: e.Substitutions + o.Substitutions,
		Deletions:     e.Deletions + o.Deletions,
		Insertions:    e.Insertions + o.Insertions,
	}
}

// WER returns the word error rate of a French transcript; see [Compare].
func WER(reference, hypothesis string) float64 { return Compare(reference, hypothesis).Rate() }

// Compare counts the word errors of a French transcript against what was said, both after [Words]: the fewest
// substitutions, deletions and insertions that turn one into the other (Levenshtein).
func Compare(reference, hypothesis string) Errors {
	ref, hyp := Words(reference), Words(hypothesis)
	// row[j] is the cheapest way from the words of ref so far to hyp[:j].
	row := make([]Errors, len(hyp)+1)
	for j := range row {
		row[j] = Errors{Insertions: j}
	}
	for i, word := range ref {
		diagonal := row[0]
		row[0] = Errors{Deletions: i + 1}
		for j, other := range hyp {
			best := diagonal
			if word != other {
				best.Substitutions++
			}
			del, ins := row[j+1], row[j]
			del.Deletions++
			ins.Insertions++
			diagonal = row[j+1]
			row[j+1] = cheapest(best, del, ins)
		}
	}
	e := row[len(hyp)]
	e.Words = len(ref)
	return e
}

func cheapest(all ...Errors) Errors {
	best := all[0]
	for _, e := range all[1:] {
		if e.Substitutions+e.Deletions+e.Insertions < best.Substitutions+best.Deletions+best.Insertions {
			best = e
		}
	}
	return best
}

// Words returns the words of a French text in a form in which only real differences remain: lower case,
// composed accents, œ and æ as two letters, apostrophes and hyphens as borders between words, no
// punctuation. Accents and digits stay, and so do a comma or point between digits.
func Words(text string) []string {
	text = strings.NewReplacer("œ", "oe", "æ", "ae").Replace(strings.ToLower(norm.NFC.String(text)))
	runes := []rune(text)
	var b strings.Builder
	for i, r := range runes {
		inNumber := (r == ',' || r == '.') && i > 0 && i+1 < len(runes) &&
			unicode.IsDigit(runes[i-1]) && unicode.IsDigit(runes[i+1])
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r):
			b.WriteRune(r)
		case inNumber:
			b.WriteByte(',')
		case strings.ContainsRune("%€$£&+=°", r): // read aloud, so a difference
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteByte(' ')
		}
	}
	return strings.Fields(b.String())
}
