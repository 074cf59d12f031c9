package kokoro

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"brenda/pipeline/fault"
)

// Voice is a voice that is installed.
type Voice struct {
	Name     string // as in voices/NAME.bin
	Language string // ISO 639-1: what it speaks unless asked otherwise
}

// accents maps the languages that Kokoro was trained on, and that espeak-ng phonemises for it, to espeak-ng's
// voices.
func accents() map[string]string {
	return map[string]string{"fr": "fr", "en": "en-us", "es": "es", "it": "it", "pt": "pt-br", "hi": "hi"}
}

// language guesses a voice's language from its name: Kokoro's own names start with a letter for it
// ("ff_siwis"), and names that are Brenda's are French.
func language(name string) string {
	if len(name) < 3 || name[2] != '_' {
		return "fr"
	}
	return map[byte]string{'a': "en", 'b': "en", 'e': "es", 'f': "fr", 'h': "hi", 'i': "it", 'p': "pt"}[name[0]]
}

// accent returns the espeak-ng voice for a language such as "fr" or "fr-FR"; empty means the voice's own.
func (v Voice) accent(lang string) (string, error) {
	if lang == "" {
		lang = v.Language
	}
	known := accents()
	primary, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(lang, "_", "-")), "-")
	if a, ok := known[primary]; ok {
		return a, nil
	}
	names := make([]string, 0, len(known))
	for n := range known {
		names = append(names, n)
	}
	slices.Sort(names)
	return "", fault.Field("language", "unknown language %q; known are %s", lang, strings.Join(names, ", "))
}

// assets is what the parent needs to know of the model.
type assets struct {
	vocabulary map[rune]int64
	voices     []Voice
}

// readAssets reads the small files, and looks whether those are there that only the child reads.
func readAssets(dir, library string) (*assets, error) {
	for _, path := range []string{library, filepath.Join(dir, modelFile)} {
		if _, err := os.Stat(path); err != nil {
			return nil, missing(err)
		}
	}
	vocabulary, err := readVocabulary(filepath.Join(dir, "tokens.json"))
	if err != nil {
		return nil, missing(err)
	}
	voices, err := readVoices(dir)
	if err != nil {
		return nil, missing(err)
	}
	return &assets{vocabulary: vocabulary, voices: voices}, nil
}

const notInstalled = "the speech model is not installed; run: brenda models pull"

func missing(err error) error {
	return fault.Wrap(err, fault.Unavailable, "model_missing", notInstalled)
}

func readVocabulary(path string) (map[rune]int64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var byPhoneme map[string]int64
	if err := json.Unmarshal(raw, &byPhoneme); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	v := make(map[rune]int64, len(byPhoneme))
	for p, id := range byPhoneme {
		r, size := utf8.DecodeRuneInString(p)
		if size != len(p) || id <= 0 || id > maxTokenID {
			return nil, fmt.Errorf("%s: bad entry %q: %d", filepath.Base(path), p, id)
		}
		v[r] = id
	}
	return v, nil
}

// readVoices lists the voices whose language is known.
func readVoices(dir string) ([]Voice, error) {
	files, err := os.ReadDir(filepath.Join(dir, voicesDir))
	if err != nil {
		return nil, err
	}
	var voices []Voice
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), voiceSuffix)
		if lang := language(name); ok && lang != "" && f.Type()&fs.ModeDir == 0 {
			voices = append(voices, Voice{Name: name, Language: lang})
		}
	}
	if len(voices) == 0 {
		return nil, fmt.Errorf("no voices: %w", fs.ErrNotExist)
	}
	return voices, nil
}

// voice finds a voice by name, in any case of letters.
func (a *assets) voice(name string) (Voice, error) {
	for _, v := range a.voices {
		if strings.EqualFold(v.Name, name) {
			return v, nil
		}
	}
	names := make([]string, len(a.voices))
	for i, v := range a.voices {
		names[i] = v.Name
	}
	err := fault.New(fault.NotFound, "voice_not_found", "no voice %q; there is %s",
		name, strings.Join(names, ", "))
	err.Param = "voice"
	return Voice{}, err
}
