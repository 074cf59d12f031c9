package tesseract

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"brenda/pipeline/picture"
)

const (
	smallWord = 26   // words that are not higher than that many pixels are read better at twice their size
	sureWords = 0.86 // pages below that confidence are tried again
)

// reading is what one pass found.
type reading struct {
	words []word
}

type word struct {
	text       string
	confidence float64 // 0…1
	box        image.Rectangle
	line       [4]int // page, block, paragraph, line
}

// The columns of tesseract's table.
const (
	colLevel, colPage, colLeft, colTop, colWidth, colHeight, colConf, colText = 0, 1, 6, 7, 8, 9, 10, 11

	columns   = 12
	levelWord = "5"
)

// parse reads the table. Its first line is the head.
func parse(tsv []byte) (reading, error) {
	var r reading
	lines := strings.Split(string(tsv), "\n")
	if !strings.HasPrefix(lines[0], "level\t") {
		return r, errors.New("tesseract did not write a table")
	}
	for _, l := range lines[1:] {
		f := strings.SplitN(l, "\t", columns)
		if len(f) < columns || f[colLevel] != levelWord {
			continue
		}
		text := strings.TrimSpace(strings.ToValidUTF8(f[colText], ""))
		if text == "" {
			continue
		}
		var n [colConf]int
		for i := colPage; i < colConf; i++ {
			v, err := strconv.Atoi(f[i])
			if err != nil {
				return r, fmt.Errorf("a word at %q: %w", f[i], err)
			}
			n[i] = v
		}
		conf, err := strconv.ParseFloat(f[colConf], 64)
		if err != nil || math.IsNaN(conf) {
			return r, fmt.Errorf("a word's confidence is %q", f[colConf])
		}
		r.words = append(r.words, word{
			text: text, confidence: clamp(conf),
			box:  image.Rect(n[colLeft], n[colTop], n[colLeft]+n[colWidth], n[colTop]+n[colHeight]),
			line: [4]int(n[colPage : colPage+4]),
		})
	}
	return r, nil
}

// confidence is the mean of the words', weighted by their letters, and the number of letters.
func (r reading) confidence() (mean float64, letters int) {
	for _, w := range r.words {
		n := utf8.RuneCountInString(w.text)
		mean += w.confidence * float64(n)
		letters += n
	}
	if letters == 0 {
		return 0, 0
	}
	return mean / float64(letters), letters
}

// doubtful tells whether a second look at twice the size is worth its time.
func (r reading) doubtful() bool {
	conf, letters := r.confidence()
	if letters == 0 || conf < sureWords {
		return true
	}
	return r.height() < smallWord
}

// worth orders readings of the same page: by the letters that are likely right, less those that are likely wrong.
func (r reading) worth() float64 {
	var sum float64
	for _, w := range r.words {
		sum += (w.confidence - 0.5) * float64(utf8.RuneCountInString(w.text))
	}
	return sum
}

// page puts the words together, with boxes in the picture that the sheet was made of.
func (r reading) page(s sheet) picture.Page {
	var text strings.Builder
	height := r.height()
	p := picture.Page{Words: make([]picture.Word, 0, len(r.words))}
	for i, w := range r.words {
		if i > 0 {
			text.WriteString(r.gap(i, height))
		}
		text.WriteString(w.text)
		p.Words = append(p.Words, picture.Word{Text: w.text, Confidence: w.confidence, Box: s.original(w.box)})
	}
	p.Text = text.String()
	p.Confidence, _ = r.confidence()
	return p
}

// gap is what stands before word i, which is not the first. Tesseract begins a new block between any two lines that are
// a little apart, so that the space between them has a say; height is that of a word.
func (r reading) gap(i, height int) string {
	a, b := r.words[i-1], r.words[i]
	switch {
	case a.line == b.line:
		return " "
	case a.line[0] == b.line[0] && a.line[1] == b.line[1]: // page and block
		return "\n"
	}
	bottom, top := r.lineBox(i-1).Max.Y, r.lineBox(i).Min.Y
	if space := top - bottom; 2*space > 3*height || space < -height { // an empty line, or another column
		return "\n\n"
	}
	return "\n"
}

// lineBox returns what the line of word i covers.
func (r reading) lineBox(i int) image.Rectangle {
	var box image.Rectangle
	for j := i; j >= 0 && r.words[j].line == r.words[i].line; j-- {
		box = box.Union(r.words[j].box)
	}
	for j := i; j < len(r.words) && r.words[j].line == r.words[i].line; j++ {
		box = box.Union(r.words[j].box)
	}
	return box
}

// height is the words' median height, 0 for none.
func (r reading) height() int {
	if len(r.words) == 0 {
		return 0
	}
	heights := make([]int, len(r.words))
	for i, w := range r.words {
		heights[i] = w.box.Dy()
	}
	slices.Sort(heights)
	return heights[len(heights)/2]
}
