// Package speechtext turns what a language model writes into what a voice can say.
//
// [Splitter] cuts a stream of tokens into chunks: the first as early as a clause allows, so that speech
// starts soon, then whole sentences of growing length. Markdown, code, tables, links and emoji are
// understood while they stream and are not read aloud as symbols. [Verbalize] spells out numbers, units,
// dates, abbreviations … the way a French person says them.
//
// Everything here is pure: no clock, no I/O, no goroutine; the same text gives the same chunks whatever
// its token borders.
package speechtext

import "strings"

// maxPasses bounds how often Verbalize looks at its own output. One pass settles ordinary text; hostile
// text, in which dropping a symbol lays bare a new number or abbreviation, takes two or three.
const maxPasses = 12

// French is the ISO 639-1 code of the language that is read in full.
const French = "fr"

// Verbalize returns text as a person says it: no digit, no abbreviation, no symbol in French. Its output
// is made of words, spaces and the punctuation . , ; : ! ? … ' - only, and verbalizing it again changes
// nothing. Other languages are cleaned of markup and emoji, and keep their digits and currency signs for
// the voice's own rules.
//
// Where French usage is ambiguous it decides so: "1.234" and "1 234" are thousands, "1.23" and "1,234"
// decimals, "1,234.56" and "1,234,567" are English notation; "12/03/2024" is day first; 24 hour clock.
func Verbalize(text, lang string) string {
	read := languageOf(lang)
	for range maxPasses {
		next := read(text)
		if next == text {
			break
		}
		text = next
	}
	return text
}

// languageOf returns one pass of reading in a language. To add a language, add a file with such a function.
func languageOf(lang string) func(string) string {
	lang, _, _ = strings.Cut(strings.ToLower(lang), "-")
	if lang == French || lang == "" {
		return readFrench
	}
	return readGeneric
}
