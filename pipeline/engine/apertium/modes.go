package apertium

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/text/language"
)

// DefaultModes is where Debian's packages put their modes.
const DefaultModes = "/usr/share/apertium/modes"

// mode is one way to translate that is installed: from one language to another, through a chain of programs.
type mode struct {
	name     string // as Apertium calls it, such as "fra-cat"
	from, to string // canonical codes, such as "fr" and "ca"
	stages   []stage
}

// stage is one program of a mode, as it runs for good.
type stage struct {
	path string
	args []string
}

// plainName is the name of a mode that is one. Others are variants ("cat-eng_US", "eo-en-bytecode").
var plainName = regexp.MustCompile(`^([a-z]{2,3})-([a-z]{2,3})$`)

// readModes returns the modes of a folder whose programs and data are all there. A folder that is missing has none.
func readModes(dir string) ([]mode, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list modes: %w", err)
	}
	var modes []mode
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".mode")
		parts := plainName.FindStringSubmatch(name)
		if !ok || parts == nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // it is being installed, or removed
		}
		stages, err := parseMode(string(text))
		if err != nil || !installed(stages) {
			continue
		}
		modes = append(modes, mode{name: name, from: canonical(parts[1]), to: canonical(parts[2]), stages: stages})
	}
	return modes, nil
}

// canonical returns the shortest code of a language: "fr" for "fra". Codes that are not known stay.
func canonical(code string) string {
	if base, err := language.ParseBase(code); err == nil {
		return base.String()
	}
	return code
}

// installed tells whether all data of a mode is there.
func installed(stages []stage) bool {
	for _, s := range stages {
		for _, a := range s.args {
			if !strings.HasPrefix(a, "/") {
				continue
			}
			if _, err := os.Stat(a); err != nil {
				return false
			}
		}
	}
	return true
}

// parseMode reads a mode file: one shell pipeline. It is run without a shell, and each program gets -z: to flush at
// each NUL and go on. $1 is how the generator marks unknown words, which -n leaves out; $2 is nothing here.
func parseMode(text string) ([]stage, error) {
	words, err := shellWords(text)
	if err != nil {
		return nil, err
	}
	var stages []stage
	fresh := true
	for _, w := range words {
		switch {
		case w == "|":
			fresh = true
		case fresh:
			path, err := exec.LookPath(w)
			if err != nil {
				return nil, fmt.Errorf("program of a mode: %w", err)
			}
			stages, fresh = append(stages, stage{path: path, args: []string{"-z"}}), false
		case w == "$2":
		default:
			s := &stages[len(stages)-1]
			s.args = append(s.args, strings.ReplaceAll(w, "$1", "-n"))
		}
	}
	if len(stages) == 0 || fresh {
		return nil, errors.New("a mode ends in the middle")
	}
	return stages, nil
}

// shellWords cuts a pipeline into words, with "|" as a word of its own. It knows quotes, and refuses whatever else a
// shell would do something with.
func shellWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	open, inWord := rune(0), false
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, r := range strings.TrimSpace(text) {
		switch {
		case open != 0 && r == open:
			open = 0
		case open != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			open, inWord = r, true
		case r == '|':
			end()
			words = append(words, "|")
		case r == ' ' || r == '\t':
			end()
		case strings.ContainsRune("\n;&<>()`\\*?#", r):
			return nil, fmt.Errorf("a mode has %q, which is not understood", r)
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if open != 0 {
		return nil, errors.New("a mode has a quote without an end")
	}
	end()
	return words, nil
}
