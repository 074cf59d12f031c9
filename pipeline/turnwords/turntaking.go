// Package turnwords judges words that a person has said so far: is the sentence finished, is it only a
// sign of listening, does it ask the assistant to be quiet. French; pure functions over text, no clock
// and no sound.
package turnwords

import (
	"slices"
	"strings"
	"unicode"
)

// normalize returns the words of a transcript: lower case, no punctuation, one kind of apostrophe,
// elisions apart ("l'eau" → "l'", "eau"), hyphens kept.
func normalize(text string) []string {
	text = strings.ToLower(strings.NewReplacer("’", "'", "ʼ", "'", "‑", "-").Replace(text))
	text = strings.ReplaceAll(text, "'", "' ")
	text = strings.ReplaceAll(text, "aujourd' hui", "aujourd'hui")
	text = strings.ReplaceAll(text, "d' accord", "d'accord")
	text = strings.ReplaceAll(text, "quelqu' un", "quelqu'un")
	return strings.FieldsFunc(text, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsMark(c) && !unicode.IsDigit(c) && c != '\'' && c != '-'
	})
}

// phrases is a set of phrases, each as normalized words joined by spaces.
func phrases(lines string) map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(lines) {
		if words := normalize(line); len(words) > 0 {
			m[strings.Join(words, " ")] = true
		}
	}
	return m
}

// Backchannels returns the phrases that show listening and ask for nothing.
func Backchannels() []string { return keys(backchannels) }

// StopWords returns the phrases that ask the assistant to stop talking.
func StopWords() []string { return keys(stopWords) }

func keys(m map[string]bool) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, strings.ReplaceAll(k, "' ", "'"))
	}
	slices.Sort(list)
	return list
}

// IsBackchannel tells that text is nothing but signs of listening, such as "oui", "d'accord" or "ah oui,
// ok": the person does not take the turn. Text without words is none.
func IsBackchannel(text string) bool {
	words := normalize(text)
	return len(words) > 0 && len(words) <= 6 && covered(words, backchannels)
}

// IsStop tells that text asks the assistant to be quiet: a stop phrase, alone or with politeness and the
// assistant's name around it ("Brenda, arrête s'il te plaît"). A sentence that only holds the word
// ("Arrête la musique") is none.
func IsStop(text string) bool {
	words := normalize(text)
	if len(words) == 0 || len(words) > 12 {
		return false
	}
	all := make(map[string]bool, len(stopWords)+len(softeners))
	hit := false
	for _, m := range [...]map[string]bool{stopWords, softeners} {
		for k := range m {
			all[k] = true
		}
	}
	for i := range words {
		for j := i + 1; j <= min(len(words), i+longestPhrase); j++ {
			hit = hit || stopWords[strings.Join(words[i:j], " ")]
		}
	}
	return hit && covered(words, all)
}

// longestPhrase is how many normalized words a phrase of the lists has at most.
const longestPhrase = 9

// covered tells that words is a row of phrases of the set.
func covered(words []string, set map[string]bool) bool {
	reach := make([]bool, len(words)+1)
	reach[0] = true
	for i := range words {
		if !reach[i] {
			continue
		}
		for j := i + 1; j <= min(len(words), i+longestPhrase); j++ {
			if set[strings.Join(words[i:j], " ")] {
				reach[j] = true
			}
		}
	}
	return reach[len(words)]
}
