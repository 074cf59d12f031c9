package speechtext

import (
	"regexp"
	"strings"
)

var (
	tagForm = regexp.MustCompile(`^<(?:/?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?|!--[^>]*--)>`)
	urlSpan = regexp.MustCompile(`^<(?:https?://|mailto:)?[^\s<>]+[.@/][^\s<>]+>`)
)

// span returns the length of the link, image, code, tag or formula that s starts with, 0 if there is
// none. wait says that only what follows will tell.
func span(s string, final bool) (n int, wait bool) {
	switch s[0] {
	case '`':
		ticks := len(s) - len(strings.TrimLeft(s, "`"))
		return enclosed(s, s[:ticks], s[:ticks], final)
	case '!':
		if len(s) > 1 && s[1] == '[' {
			n, wait = link(s[1:], final)
			if n > 0 {
				n++
			}
		}
		return n, wait
	case '[':
		return link(s, final)
	case '<':
		return tag(s, final)
	case '\\':
		if strings.HasPrefix(s, `\(`) {
			return enclosed(s, `\(`, `\)`, final)
		}
		if strings.HasPrefix(s, `\[`) {
			return enclosed(s, `\[`, `\]`, final)
		}
	case '$':
		if strings.HasPrefix(s, "$$") {
			return enclosed(s, "$$", "$$", final)
		}
		if len(s) > 1 && (s[1] == '\\' || s[1] >= 'a' && s[1] <= 'z') {
			return enclosed(s, "$", "$", final)
		}
	}
	return 0, false
}

// enclosed measures what stands between two markers on one line.
func enclosed(s, left, right string, final bool) (n int, wait bool) {
	body, _, whole := strings.Cut(s[len(left):], "\n")
	if i := strings.Index(body, right); i > 0 && i < longestSpan {
		return len(left) + i + len(right), false
	}
	return 0, !whole && !final && len(body) < longestSpan
}

// link measures [text](target) and [text][name].
func link(s string, final bool) (n int, wait bool) {
	line, _, whole := strings.Cut(s, "\n")
	wait = !whole && !final && len(line) < longestSpan
	end := closing(line, '[', ']')
	if end == 0 || end > longestSpan {
		return 0, wait
	}
	if end == len(line) {
		return 0, wait
	}
	switch line[end] {
	case '(':
		if k := closing(line[end:], '(', ')'); k > 0 {
			return end + k, false
		}
		return 0, wait
	case '[':
		if k := closing(line[end:], '[', ']'); k > 0 {
			return end + k, false
		}
		return 0, wait
	}
	if strings.HasPrefix(line, "[^") {
		return end, false
	}
	return 0, false
}

// closing returns the bytes up to the bracket that closes the one s starts with; 0 if it does not come.
func closing(s string, left, right byte) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case left:
			depth++
		case right:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

func tag(s string, final bool) (n int, wait bool) {
	if len(s) > 1 && !isLetter(rune(s[1])) && s[1] != '/' && s[1] != '!' {
		return 0, false
	}
	if m := tagForm.FindString(s); m != "" {
		return len(m), false
	}
	if m := urlSpan.FindString(s); m != "" {
		return len(m), false
	}
	line, _, whole := strings.Cut(s, "\n")
	return 0, !whole && !final && len(line) < longestSpan && !strings.Contains(line, ">")
}
