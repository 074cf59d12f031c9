package speechtext

import "strings"

// readOrdinal reads 1er, 1re, 2e, 21ème, 2nd, 3èmes.
func readOrdinal(s string) (string, int) {
	n := digitRun(s)
	suffix := s[n : n+letterRun(s[n:])]
	spoken := ordinalWord(s[:n], suffix)
	if spoken == "" {
		return "", 0
	}
	return spoken, n + len(suffix)
}

// ordinalWord joins digits and a written ordinal ending; "" if the ending is none.
func ordinalWord(digits, suffix string) string {
	one := strings.TrimLeft(digits, "0") == "1"
	base := strings.TrimSuffix(suffix, "s")
	many := base != suffix
	switch base {
	case "er":
		if !one {
			return ""
		}
		return plural("premier", many)
	case "re", "ère", "ere":
		if !one {
			return ""
		}
		return plural("première", many)
	case "e", "è", "ème", "eme", "ième", "ieme", "me":
		return plural(ordinal(digits, strings.HasPrefix(base, "i")), many)
	case "nd":
		return plural("second", many)
	case "nde":
		return plural("seconde", many)
	}
	return ""
}
