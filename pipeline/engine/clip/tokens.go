package clip

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// contextLength is how many tokens a text has, begin and end included; it is filled up with zeros.
const contextLength = 77

// endOfWord marks the last piece of a word in the list of merges.
const endOfWord = "</w>"

// tokenizer turns text into the numbers that CLIP reads: byte pair encoding as OpenAI published it with the model. The
// vocabulary follows from the list of merges, so nothing else is needed.
type tokenizer struct {
	ids        map[string]int64
	ranks      map[[2]string]int
	letters    [256]string // how a byte is written in the list
	pattern    *regexp.Regexp
	begin, end int64
}

// mergesUsed is how many merges the model knows; the file that OpenAI published has more.
const mergesUsed = 49152 - 256 - 2

// loadTokenizer reads merges.txt or OpenAI's bpe_simple_vocab_16e6.txt.gz.
func loadTokenizer(path string) (*tokenizer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(path, ".gz") {
		return newTokenizer(f)
	}
	gz, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return newTokenizer(io.LimitReader(gz, 16<<20))
}

func newTokenizer(merges io.Reader) (*tokenizer, error) {
	t := &tokenizer{ids: map[string]int64{}, ranks: map[[2]string]int{}}
	t.pattern = regexp.MustCompile(`'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+`)
	order := t.alphabet()
	for _, end := range []string{"", endOfWord} {
		for _, b := range order {
			t.ids[t.letters[b]+end] = int64(len(t.ids))
		}
	}
	lines := bufio.NewScanner(merges)
	for first := true; lines.Scan() && len(t.ranks) < mergesUsed; first = false {
		if first { // the version
			continue
		}
		pair := strings.Fields(lines.Text())
		if len(pair) == 0 {
			continue
		}
		if len(pair) != 2 {
			return nil, fmt.Errorf("%q is no merge", lines.Text())
		}
		t.ranks[[2]string(pair)] = len(t.ranks)
		t.ids[pair[0]+pair[1]] = int64(len(t.ids))
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(t.ranks) == 0 {
		return nil, errors.New("there are no merges")
	}
	t.begin, t.end = int64(len(t.ids)), int64(len(t.ids))+1
	return t, nil
}

// alphabet gives each byte a visible letter, and returns the bytes in the order of their numbers: those that are
// visible by themselves first.
func (t *tokenizer) alphabet() []byte {
	var order, rest []byte
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			t.letters[b] = string(rune(b))
			order = append(order, byte(b))
		} else {
			t.letters[b] = string(rune(256 + len(rest)))
			rest = append(rest, byte(b))
		}
	}
	return append(order, rest...)
}

// encode returns contextLength numbers. What is too long is cut.
func (t *tokenizer) encode(text string) []int64 {
	text = clean(text)
	out := []int64{t.begin}
	for _, word := range t.pattern.FindAllString(text, -1) {
		for _, piece := range t.pieces(word) {
			out = append(out, t.ids[piece])
		}
	}
	if len(out) > contextLength-1 {
		out = out[:contextLength-1]
	}
	out = append(out, t.end)
	return append(out, make([]int64, contextLength-len(out))...)
}

// clean prepares a text as OpenAI does, which is with ftfy (fix_text) and twice html.unescape: one spelling of quotes,
// letters and widths. What ftfy does about texts that were decoded wrongly is left out: JSON has none.
func clean(text string) string {
	if !strings.Contains(text, "<") {
		text = html.UnescapeString(text)
	}
	text = width.Fold.String(ligatures().Replace(text))
	text = norm.NFC.String(strings.Map(straight, text))
	text = html.UnescapeString(html.UnescapeString(text))
	return cases.Lower(language.Und).String(strings.Join(strings.Fields(text), " "))
}

// straight makes curly quotes straight, and drops what cannot be seen.
func straight(r rune) rune {
	switch {
	case r == 0x2BC, r >= 0x2018 && r <= 0x201B:
		return '\''
	case r >= 0x201C && r <= 0x201F:
		return '"'
	case r < ' ' && r != '\t' && r != '\n' && r != '\f' && r != '\r', r == 0x7F, r == 0xFEFF:
		return -1
	}
	return r
}

func ligatures() *strings.Replacer {
	return strings.NewReplacer(
		"ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "ſt", "ﬆ", "st", "Ĳ", "IJ", "ĳ", "ij",
	)
}

// pieces joins the letters of a word, the most usual pair first, until no pair is left that the model knows.
func (t *tokenizer) pieces(word string) []string {
	const longest = 4 * contextLength // bytes; more would be cut anyway, and joining them takes its time
	word = word[:min(len(word), longest)]
	parts := make([]string, 0, len(word))
	for i := range len(word) {
		parts = append(parts, t.letters[word[i]])
	}
	parts[len(parts)-1] += endOfWord
	for {
		best, at := len(t.ranks), -1
		for i := range len(parts) - 1 {
			if r, ok := t.ranks[[2]string{parts[i], parts[i+1]}]; ok && r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			return parts
		}
		first, second, joined := parts[at], parts[at+1], parts[:0:0]
		for i := 0; i < len(parts); i++ {
			if i < len(parts)-1 && parts[i] == first && parts[i+1] == second {
				joined = append(joined, first+second)
				i++
			} else {
				joined = append(joined, parts[i])
			}
		}
		parts = joined
	}
}
