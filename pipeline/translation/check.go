package translation

import (
	"regexp"
	"slices"
	"strings"
)

var digits = regexp.MustCompile(`\d+`)

// signs are the characters of which a translation must have as many as its original.
const signs = `[]{}<>^$/\@#*|~=_&%+€£`

// faithful tells whether a translation has all marks, numbers and signs of its original, no more and no less.
func faithful(original, got string) bool {
	return strings.TrimSpace(got) != "" &&
		slices.Equal(essence(original, markRune), essence(got, markRune)) &&
		slices.Equal(essence(original, signRune), essence(got, signRune)) &&
		slices.Equal(numbers(original), numbers(got))
}

func markRune(r rune) bool {
	k, _ := MarkOf(r)
	return k != None
}

func signRune(r rune) bool { return strings.ContainsRune(signs, r) }

// essence returns the characters of a kind, sorted.
func essence(text string, of func(rune) bool) []rune {
	var out []rune
	for _, r := range text {
		if of(r) {
			out = append(out, r)
		}
	}
	slices.Sort(out)
	return out
}

func numbers(text string) []string {
	out := digits.FindAllString(text, -1)
	slices.Sort(out)
	return out
}
