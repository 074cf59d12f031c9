package imagenet

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// synset is a meaning: its place in WordNet's file of nouns.
type synset int

// taxonomy knows which of the classifier's classes are kinds of what a word means.
type taxonomy struct {
	below  map[synset][]int    // classes that are of a kind; only kinds that the classifier knows well enough
	senses map[string][]synset // meanings of a word, the usual one first; only those of below
}

// sparse is how many kinds of a thing WordNet may list for each one that the classifier knows. It knows 3 sorts of
// people of 6,000: "a person" is not something that it can see.
const sparse = 100

// loadTaxonomy reads WordNet 3.0 (data.noun and index.noun in dir) and the JSON file that gives each class number its
// WordNet number.
func loadTaxonomy(dir, classes string) (*taxonomy, error) {
	leaves, err := readClasses(classes)
	if err != nil {
		return nil, fmt.Errorf("classes: %w", err)
	}
	parents, err := readParents(filepath.Join(dir, "data.noun"))
	if err != nil {
		return nil, fmt.Errorf("wordnet: %w", err)
	}
	t := &taxonomy{below: map[synset][]int{}}
	for class, leaf := range leaves {
		for _, s := range ancestors(nil, parents, leaf) {
			t.below[s] = append(t.below[s], class)
		}
	}
	kinds := countKinds(parents, t.below)
	for s, classes := range t.below {
		if kinds[s] > sparse*len(classes) {
			delete(t.below, s)
		}
	}
	t.senses, err = readSenses(filepath.Join(dir, "index.noun"), t.below)
	if err != nil {
		return nil, fmt.Errorf("wordnet: %w", err)
	}
	return t, nil
}

// readClasses reads {"0": "n01440764", …}.
func readClasses(path string) ([]synset, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var ids map[string]string
	if err := json.Unmarshal(b, &ids); err != nil {
		return nil, err
	}
	out := make([]synset, classCount)
	for key, id := range ids {
		class, err := strconv.Atoi(key)
		if err != nil || class < 0 || class >= classCount || !strings.HasPrefix(id, "n") {
			return nil, fmt.Errorf("%q is %q", key, id)
		}
		n, err := strconv.Atoi(id[1:])
		if err != nil {
			return nil, err
		}
		out[class] = synset(n)
	}
	if slices.Contains(out, 0) {
		return nil, errors.New("some class has no number")
	}
	return out, nil
}

// eachLine calls visit with the fields of each line that is not of the licence at the top.
func eachLine(path string, visit func(fields []string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text := lines.Text(); text != "" && text[0] != ' ' {
			if err := visit(strings.Fields(text)); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

var errMalformed = errors.New("not a file of WordNet 3.0")

// readParents reads what each noun is a kind of: see wndb(5WN).
func readParents(path string) (map[synset][]synset, error) {
	parents := map[synset][]synset{}
	err := eachLine(path, func(f []string) error {
		const beforeWords = 4
		if len(f) < beforeWords {
			return errMalformed
		}
		words, err := strconv.ParseUint(f[3], 16, 8)
		at := beforeWords + 2*int(words)
		if err != nil || len(f) <= at {
			return errMalformed
		}
		self, err1 := strconv.Atoi(f[0])
		pointers, err2 := strconv.Atoi(f[at])
		if err1 != nil || err2 != nil || len(f) < at+1+4*pointers {
			return errMalformed
		}
		above := []synset{}
		for i := range pointers {
			p := f[at+1+4*i:]
			if n, err := strconv.Atoi(p[1]); err == nil && p[2] == "n" && (p[0] == "@" || p[0] == "@i") {
				above = append(above, synset(n))
			}
		}
		parents[synset(self)] = above
		return nil
	})
	return parents, err
}

// ancestors returns a meaning and all that it is a kind of, each once, in the space of buf. They are few: a search in a
// list is faster than a map.
func ancestors(buf []synset, parents map[synset][]synset, s synset) []synset {
	seen := append(buf[:0], s)
	for i := 0; i < len(seen); i++ {
		for _, p := range parents[seen[i]] {
			if !slices.Contains(seen, p) {
				seen = append(seen, p)
			}
		}
	}
	return seen
}

// countKinds returns how many kinds of each of the meanings WordNet lists, itself included.
func countKinds(parents map[synset][]synset, of map[synset][]int) map[synset]int {
	kinds := make(map[synset]int, len(of))
	var buf []synset
	for s := range parents {
		buf = ancestors(buf, parents, s)
		for _, a := range buf {
			if of[a] != nil {
				kinds[a]++
			}
		}
	}
	return kinds
}

// readSenses reads the meanings of all words, and keeps those of a set.
func readSenses(path string, of map[synset][]int) (map[string][]synset, error) {
	senses := map[string][]synset{}
	err := eachLine(path, func(f []string) error {
		const beforePointers, afterPointers = 4, 2
		if len(f) < beforePointers {
			return errMalformed
		}
		pointers, err := strconv.Atoi(f[3])
		if err != nil || pointers < 0 || len(f) < beforePointers+pointers+afterPointers {
			return errMalformed
		}
		for _, text := range f[beforePointers+pointers+afterPointers:] {
			n, err := strconv.Atoi(text)
			if err != nil {
				return errMalformed
			}
			if of[synset(n)] != nil {
				senses[f[0]] = append(senses[f[0]], synset(n))
			}
		}
		return nil
	})
	return senses, err
}

// classes returns the classes that an English noun covers, by the first of its meanings that has any; nil for none.
func (t *taxonomy) classes(noun string) []int {
	noun = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(noun)), " ", "_")
	for _, form := range singulars(noun) {
		if s := t.senses[form]; len(s) > 0 {
			return t.below[s[0]]
		}
	}
	return nil
}

// singulars returns a noun and what it may be the plural of, by the rules of morphy(7WN).
func singulars(noun string) []string {
	out := []string{noun}
	for _, rule := range [][2]string{{"ies", "y"}, {"ves", "f"}, {"men", "man"}, {"es", ""}, {"s", ""}} {
		if stem, ok := strings.CutSuffix(noun, rule[0]); ok && stem != "" {
			out = append(out, stem+rule[1])
		}
	}
	return out
}
