package speechtext

import (
	"regexp"
	"strings"
)

var (
	urlForm   = regexp.MustCompile(`^(?:https?|ftp|file|wss?)://[^\s<>"]+|^www\.[^\s<>"]+`)
	mailForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)
	dotted    = regexp.MustCompile(`^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+`)
	knownTail = regexp.MustCompile(`^(?:com|fr|org|net|eu|io|be|ch|ca|de|uk|dev|app|info|gouv|edu|ai|tv|lu|re|` +
		`go|py|js|ts|md|txt|pdf|docx?|xlsx?|csv|json|ya?ml|html?|css|java|cpp|rs|rb|php|sh|png|jpe?g|gif|svg|` +
		`mp3|mp4|wav|zip|gz|tar|exe|toml|ini|log|sql|xml|pptx?|odt|ods)$`)
)

// address reads what is written for machines: a bare URL as its domain, an e-mail and a file name with
// their dots. The path of a URL is not said: nobody can note it by ear.
func (r *reader) address() (string, int) {
	s := r.rest()
	word, _, _ := strings.Cut(s, " ")
	if !strings.ContainsAny(word, ".@:") || isWord(r.before()) {
		return "", 0
	}
	if m := trimURL(urlForm.FindString(word)); m != "" {
		return readHost(m), len(m)
	}
	if m := mailForm.FindString(word); m != "" {
		name, host, _ := strings.Cut(m, "@")
		return readDots(name) + " arobase " + readDots(host), len(m)
	}
	m := dotted.FindString(word)
	if m == "" {
		return "", 0
	}
	parts := strings.Split(m, ".")
	if !knownTail.MatchString(parts[len(parts)-1]) || len(parts[0]) < 2 {
		return "", 0
	}
	n := len(m)
	if rest := word[n:]; strings.HasPrefix(rest, "/") && len(rest) > 1 { // exemple.fr/page
		n = len(trimURL(word))
	}
	return readDots(m), n
}

// trimURL leaves out the punctuation of the sentence around.
func trimURL(u string) string { return strings.TrimRight(u, ".,;:!?)]}'*_…") }

func readHost(url string) string {
	_, host, found := strings.Cut(url, "://")
	if !found {
		host = url
	}
	if i := strings.IndexAny(host, "/?#:"); i >= 0 {
		host = host[:i]
	}
	return readDots(strings.TrimPrefix(host, "www."))
}

// readDots says the marks of an address: "jean.dupont" → "jean point dupont".
func readDots(s string) string {
	return strings.TrimSpace(strings.NewReplacer(
		".", " point ", "_", " tiret bas ", "-", " tiret ", "+", " plus ", "%", " pour cent ", "@", " arobase ",
	).Replace(s))
}
