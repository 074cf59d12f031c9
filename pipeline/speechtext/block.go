package speechtext

import (
	"regexp"
	"strings"
)

var (
	markerForm = regexp.MustCompile(`^[ \t]*(?:>[ \t]?)*(?:(#{1,6})[ \t]+|` +
		`[-*+•–—][ \t]+(?:\[[ xX]\][ \t]+)?|(\d{1,3}[.)])[ \t]+|([a-zA-Z]\))[ \t]+)?`)
	ruleForm = regexp.MustCompile(`^[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|` +
		`={3,}|\|?[ \t]*:?-{3,}[-:| \t]*)\r?$`)
	refForm = regexp.MustCompile(`^[ \t]*\[[^\]]+\]:[ \t]*\S+`)
)

// kind is what a line of Markdown is.
type kind struct {
	marker int  // bytes of the list, heading or quote marker
	heard  int  // characters that are heard for the marker ("1." is)
	ends   bool // a heading or list entry: it ends with its line
	whole  bool // code fence, table row or rule: taken as one line
	number string
}

// lineKind judges a line without its line end; a line that is still being written may change its kind.
func lineKind(line string) kind {
	trimmed := strings.TrimLeft(line, " \t")
	if c := firstRune(trimmed); isLetter(c) && !strings.HasPrefix(trimmed[len(string(c)):], ")") {
		return kind{marker: len(line) - len(trimmed)} // prose, by far the most lines
	}
	if fenceOf(line) != "" || strings.HasPrefix(trimmed, "|") || ruleForm.MatchString(line) ||
		refForm.MatchString(line) {
		return kind{whole: true}
	}
	lettered := len(trimmed) > 1 && trimmed[1] == ')'
	if trimmed == "" || !strings.ContainsRune(">#-*+•–—0123456789", firstRune(trimmed)) && !lettered {
		return kind{marker: len(line) - len(trimmed)}
	}
	m := markerForm.FindStringSubmatch(line)
	k := kind{marker: len(m[0]), number: m[2] + m[3]}
	k.heard = 3 * len(k.number)
	k.ends = strings.Trim(m[0], " \t>") != ""
	return k
}

// fenceOf returns the marker of a line that opens a code block: three or more ` or ~.
func fenceOf(line string) string {
	t := strings.TrimLeft(line, " \t>")
	for _, mark := range [...]string{"`", "~"} {
		n := len(t) - len(strings.TrimLeft(t, mark))
		if n >= 3 && !strings.Contains(t[n:], "`") {
			return t[:n]
		}
	}
	return ""
}

// closesFence tells that a line closes the code block that mark opened.
func closesFence(line, mark string) bool {
	t := strings.TrimSpace(strings.TrimLeft(line, " \t>"))
	return len(t) >= len(mark) && strings.Trim(t, mark[:1]) == ""
}
