package realtime

import (
	"strings"
	"unicode"

	"brenda/pipeline/turnwords"
)

// french judges words for turntaking.
type french struct{}

// Stop implements turntaking.Words.
func (french) Stop(text string) bool { return turnwords.IsStop(text) }

// Backchannel implements turntaking.Words.
func (french) Backchannel(text string) bool { return turnwords.IsBackchannel(text) }

// Complete implements turntaking.Words.
func (french) Complete(text string) float64 { return turnwords.Complete(text) }

// echoWords is how many of the words said last can come back from a loudspeaker: ten seconds of speech and some more.
const echoWords = 60

// Echo implements turntaking.Words: most of the words heard were just said, in the same order and close together. A
// recognizer that hears through a room gets some of them wrong.
func (french) Echo(heard, said string) bool {
	h, s := wordsOf(heard), wordsOf(said)
	if len(s) > echoWords {
		s = s[len(s)-echoWords:]
	}
	if len(h) == 0 {
		return false
	}
	const most = 0.7
	window := min(len(h)*3/2+1, len(s))
	for at := 0; at+window <= len(s) && window > 0; at++ {
		if float64(common(h, s[at:at+window])) >= most*float64(len(h)) {
			return true
		}
	}
	return false
}

// common returns the length of the longest common subsequence.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
