// Package translation translates texts of any length: it keeps what is not language (line breaks, addresses, code,
// placeholders, tags, numbers), cuts the rest into sentences, has an engine translate them side by side, and checks
// that nothing was lost.
package translation

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Engine translates single sentences. Its methods may be called from any goroutine.
type Engine interface {
	// Ways returns every pair that it can translate now. An engine that is not installed is fault.Unavailable.
	Ways(ctx context.Context) ([]Way, error)
	// Translate translates a piece of at most the size that it was registered with, on one of its ways. The piece has
	// no line breaks, and begins and ends with no space; it may have marks (see Mark), which must come back.
	// ErrMarks says that it has marks that the engine cannot carry.
	Translate(ctx context.Context, w Way, piece string) (string, error)
}

// ErrMarks is what an engine returns for a piece with marks that it cannot carry. The piece is then cut at its marks.
var ErrMarks = errors.New("the marks cannot be carried through a translation")

// Way is a pair of languages (ISO 639-1 where there is a code), and the languages between them.
type Way struct {
	From, To string
	Pivot    []string // empty for a direct way
}

// Compare orders ways by their languages.
func (w Way) Compare(v Way) int {
	return cmp.Or(compareCodes(w.From, v.From), compareCodes(w.To, v.To), slices.Compare(w.Pivot, v.Pivot))
}

// compareCodes orders languages: French, English, then the others.
func compareCodes(a, b string) int {
	rank := func(c string) int { return map[string]int{"fr": -2, "en": -1}[c] }
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
