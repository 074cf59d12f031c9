package sound

import (
	"slices"
	"strings"

	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// CheckVoice refuses a voice's name that could be a path.
func CheckVoice(field, name string) error {
	control := func(r rune) bool { return r < ' ' }
	if strings.ContainsAny(name, `/\`) || strings.ContainsFunc(name, control) || name == ".." {
		return fault.Field(field, "%s must be the name of a voice, not a path", field)
	}
	return nil
}

// CheckLanguage refuses a language that is not one of the known. Empty is the default.
func CheckLanguage(language string, known []string) error {
	if language == "" || slices.Contains(known, language) {
		return nil
	}
	return fault.Field("language", "language must be one of %s", strings.Join(known, ", "))
}

// Find refuses a name that is not one of the existing, with fault.NotFound. Empty is the default.
func Find(field, name string, existing []string) error {
	if name == "" || slices.Contains(existing, name) {
		return nil
	}
	have := strings.Join(existing, ", ")
	if httpx.Blank(have) {
		have = "none"
	}
	f := fault.New(fault.NotFound, "unknown_"+field, "there is no such %s; available: %s", field, have)
	f.Param = field
	return f
}
