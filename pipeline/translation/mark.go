package translation

// Kind says what a mark stands for.
type Kind int

// The kinds of marks.
const (
	None Kind = iota
	Word      // something in the place of a word: an address, a placeholder, code
	Gap       // something between words: a tag, a sign
)

// A mark is one private-use character of a sentence that stands for something which is not translated. Engines carry
// marks through as they are, each one once; where they stand is the engine's to decide.
const (
	firstWord = 0xE000
	firstGap  = 0xF000
	lastGap   = 0xF8FF
	maxMarks  = lastGap - firstGap + 1 // of each kind in one sentence
)

// Mark returns the i-th mark of a sentence, for something of a kind; "" for one that does not exist.
func Mark(k Kind, i int) string {
	switch {
	case i < 0 || i >= maxMarks:
	case k == Word:
		return string(rune(firstWord + i))
	case k == Gap:
		return string(rune(firstGap + i))
	}
	return ""
}

// MarkOf returns which mark a character is; None for an ordinary one.
func MarkOf(r rune) (k Kind, i int) {
	switch {
	case r >= firstGap && r <= lastGap:
		return Gap, int(r - firstGap)
	case r >= firstWord && r < firstGap:
		return Word, int(r - firstWord)
	}
	return None, 0
}
