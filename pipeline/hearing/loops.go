package hearing

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"brenda/pipeline"
)

// maxRate is more letters and digits than anybody says in a second; fast French has 20.
const maxRate = 30

// longestRepeat is how many words a repetition is looked for.
const longestRepeat = 12

// suspicious says why a transcript is worth a second try, or "".
func suspicious(t pipeline.Transcript, u Utterance) string {
	switch {
	case t.Capped:
		return "too many tokens"
	case tooFast(t.Text, u):
		return "too fast"
	case loops(t.Text):
		return "a loop"
	}
	return ""
}

// settle takes the result of the second try as far as it can be believed.
func settle(t pipeline.Transcript, u Utterance) pipeline.Transcript {
	// The same words again, at a pace that a person can speak, were probably said: "non, non, non, non,
	// non".
	if t.Capped || tooFast(t.Text, u) || loops(t.Text) && letters(t.Text) > 2*maxRate/3*seconds(u) {
		t.Text = collapse(t.Text)
	}
	if tooFast(t.Text, u) {
		t.Text = ""
	}
	return t
}

// seconds is how long somebody may have spoken: the detector opens late and closes early.
func seconds(u Utterance) int {
	return int(u.Voiced.Seconds() + 1)
}

func tooFast(text string, u Utterance) bool { return letters(text) > maxRate*seconds(u) }

// letters counts letters and digits.
func letters(text string) int {
	n := 0
	for _, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// loops reports whether a text is for a great part the same words again and again.
func loops(text string) bool {
	words := plainWords(text)
	short := collapseWords(words)
	if len(words)-len(short) >= 4 && len(short) <= len(words)*2/3 {
		return true
	}
	return stutters(text)
}

// stutters finds a loop below words: "au-t-t-t-t-t".
func stutters(text string) bool {
	runes := []rune(strings.ToLower(text))
	const times, longest = 6, 4
	for size := 1; size <= longest; size++ {
		same := 0
		for i := size; i < len(runes); i++ {
			if runes[i] != runes[i-size] || unicode.IsDigit(runes[i]) || runes[i] == ' ' || runes[i] == '.' {
				same = 0
				continue
			}
			if same++; same >= size*(times-1) {
				return true
			}
		}
	}
	return false
}

// collapse leaves one of each repeated stretch of words.
func collapse(text string) string {
	fields := strings.Fields(text)
	plain := make([]string, len(fields))
	for i, f := range fields {
		plain[i] = strings.Join(plainWords(f), " ")
	}
	keep := survivors(plain)
	out := make([]string, 0, len(keep))
	for _, i := range keep {
		if !stutters(fields[i]) {
			out = append(out, fields[i])
		}
	}
	return strings.Join(out, " ")
}

func collapseWords(words []string) []string {
	keep := survivors(words)
	out := make([]string, len(keep))
	for i, k := range keep {
		out[i] = words[k]
	}
	return out
}

// survivors returns the indices that remain when each stretch that is repeated at once, three times or
// more, stands once. Short stretches go first, so that a loop of a loop ends as one.
func survivors(words []string) []int {
	keep := make([]int, len(words))
	for i := range keep {
		keep[i] = i
	}
	for size := 1; size <= longestRepeat; size++ {
		for i := 0; i+3*size <= len(keep); i++ {
			times := 1
			for j := i + size; j+size <= len(keep) && sameWords(words, keep[i:i+size], keep[j:j+size]); j += size {
				times++
			}
			if times >= 3 {
				end := i + times*size
				// The loop may have been cut off within a round.
				for part := 0; part < size && end < len(keep) && words[keep[end]] == words[keep[i+part]]; part++ {
					end++
				}
				if end < len(keep) && end > i+times*size {
					end = i + times*size // not at the text's end: those words belong to what follows
				}
				keep = slices.Delete(keep, i+size, end)
			}
		}
	}
	return keep
}

func sameWords(words []string, a, b []int) bool {
	return slices.EqualFunc(a, b, func(i, j int) bool { return words[i] == words[j] })
}

// plainWords returns the words of a text without case, accents and punctuation.
func plainWords(text string) []string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		case !unicode.Is(unicode.Mn, r):
			b.WriteByte(' ')
		}
	}
	return strings.Fields(b.String())
}
