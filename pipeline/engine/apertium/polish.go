package apertium

import (
	"regexp"
	"slices"
	"strings"
)

var (
	spaces     = regexp.MustCompile(` {2,}`)
	looseSign  = regexp.MustCompile(`[ \x{A0}\x{202F}]+([?!;:]+)(\s|$)`)
	looseStop  = regexp.MustCompile(`[ \x{A0}]+([.,]+)(\s|$)`)
	siIl       = regexp.MustCompile(`\b([Ss])i (ils?)\b`)
	tightSign  = regexp.MustCompile(`([\pL\d»”)\x{E000}-\x{EFFF}])([?!;]+)(\s|$)`)
	enArticle  = regexp.MustCompile(`(?i)(^|[^\pL'’-])(en) (les?) ([\pL]+)`)
	openedSign = strings.NewReplacer("¿", "", "¡", "") //nolint:gochecknoglobals // constant
)

// polish mends what the rules get plainly wrong: the space before ? and !, which French has and others have not;
// Spanish ¿ and ¡; "si il"; "en le", which French says only before a participle.
func polish(to, got string) string {
	got = spaces.ReplaceAllString(got, " ")
	if !slices.Contains([]string{"es", "gl", "ast", "an"}, to) {
		got = openedSign.Replace(got)
	}
	got = looseStop.ReplaceAllString(got, "$1$2")
	if to != "fr" {
		return looseSign.ReplaceAllString(got, "$1$2")
	}
	got = tightSign.ReplaceAllString(got, "$1\u00a0$2$3")
	got = siIl.ReplaceAllString(got, "$1'$2")
	return enArticle.ReplaceAllStringFunc(got, func(found string) string {
		m := enArticle.FindStringSubmatch(found)
		next := strings.ToLower(m[4])
		if strings.HasSuffix(next, "ant") || slices.Contains([]string{"lui", "leur", "y", "en", "me", "te", "se"}, next) {
			return found
		}
		dans := "dans"
		if m[2] == "En" || m[2] == "EN" {
			dans = "Dans"
		}
		return m[1] + dans + " " + m[3] + " " + m[4]
	})
}
