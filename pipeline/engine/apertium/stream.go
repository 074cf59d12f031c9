package apertium

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"brenda/pipeline/translation"
)

// What Apertium's programs pass on is a stream in which some characters have a meaning: ^lemma<tag>$ is a word that was
// analysed, [...] is a blank that nothing looks into. Plain text has them escaped.
const special = `\[]{}^$/@<>`

// The end of a text. Apertium's own deformatters add a full stop in front of the last blank, so that the rules see where
// the sentence ends; it is taken off again. Without it, or with one per stage of a pivot, translations differ.
const (
	fullStop = "."
	lastGap  = "[][\n]"
)

// A mark that stands for a word becomes a word that no dictionary has, and which is passed on as it is.
const (
	strange = "zkv"
	letters = "bdfgklmnprtv"
)

var (
	strangeWord = regexp.MustCompile(`(?i)` + strange + `([` + letters + `]{2})`)
	leakedTag   = regexp.MustCompile(`<[a-zA-Z0-9_:+-]{1,20}>`)
)

// errMarks is returned for a sentence whose marks cannot be put into the stream.
var errMarks = errors.New("the sentence has too many marks")

// encodeEnd ends a text of the stream as Apertium's deformatters do.
func encodeEnd(text string) string { return text + fullStop + lastGap }

// encode makes a text of the stream out of a sentence with marks.
func encode(sentence string) (string, error) {
	if strings.Contains(strings.ToLower(sentence), strange) {
		return "", errMarks
	}
	var b strings.Builder
	for _, r := range sentence {
		kind, i := translation.MarkOf(r)
		switch {
		case kind == translation.Word && i < len(letters)*len(letters):
			b.WriteString(strange)
			b.WriteByte(letters[i/len(letters)])
			b.WriteByte(letters[i%len(letters)])
		case kind == translation.Word:
			return "", errMarks
		case kind == translation.Gap:
			b.WriteString("[" + strconv.Itoa(i) + "]")
		case r == '\n' || r == '\r' || r == 0:
			b.WriteByte(' ')
		case strings.ContainsRune(special, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return encodeEnd(b.String()), nil
}

// decode makes a sentence with marks out of a text of the stream. Tags that the rules forgot to remove are removed.
func decode(stream string) string {
	stream = dropTags(strings.TrimSuffix(stream, fullStop))
	var b strings.Builder
	for i := 0; i < len(stream); {
		switch c := stream[i]; {
		case c == '\\' && i+1 < len(stream):
			b.WriteByte(stream[i+1])
			i += 2
		case c == '[':
			end := strings.IndexByte(stream[i:], ']')
			if end < 0 {
				return b.String()
			}
			if n, err := strconv.Atoi(stream[i+1 : i+end]); err == nil {
				b.WriteString(translation.Mark(translation.Gap, n))
			}
			i += end + 1
		default:
			b.WriteByte(c)
			i++
		}
	}
	return strangeWord.ReplaceAllStringFunc(b.String(), func(word string) string {
		pair := strings.ToLower(word[len(strange):])
		n := strings.IndexByte(letters, pair[0])*len(letters) + strings.IndexByte(letters, pair[1])
		return translation.Mark(translation.Word, n)
	})
}

// dropTags removes the tags that are not escaped: what a person wrote is.
func dropTags(stream string) string {
	var b strings.Builder
	last := 0
	for _, at := range leakedTag.FindAllStringIndex(stream, -1) {
		if at[0] > 0 && stream[at[0]-1] == '\\' {
			continue
		}
		b.WriteString(stream[last:at[0]])
		last = at[1]
	}
	b.WriteString(stream[last:])
	return b.String()
}
