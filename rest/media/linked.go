package media

import (
	"encoding/json"
	"strings"

	"golang.org/x/net/html"
)

// linked is what is used of JSON-LD, the metadata that search engines read.
type linked struct {
	kind                                       string
	name, description, published, author, lang string
}

// script reads JSON-LD and passes over everything else.
func (p *page) script(attr map[string]string) {
	if !strings.EqualFold(strings.TrimSpace(attr["type"]), "application/ld+json") {
		return
	}
	if p.tokens.Next() != html.TextToken {
		return
	}
	var v any
	if json.Unmarshal(p.tokens.Text(), &v) == nil {
		p.link(v, 0)
	}
}

func (p *page) link(v any, depth int) {
	if depth > 4 || len(p.linked) > 20 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			p.link(e, depth+1)
		}
	case map[string]any:
		p.link(v["@graph"], depth+1)
		p.linked = append(p.linked, linked{
			kind: word(v["@type"]), name: cmpOr(word(v["headline"]), word(v["name"])), description: word(v["description"]),
			published: cmpOr(word(v["datePublished"]), word(v["uploadDate"])), author: word(v["author"]), lang: word(v["inLanguage"]),
		})
	}
}

func cmpOr(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// word returns the text that a value of JSON-LD has: itself, its name, or those of its elements.
func word(v any) string {
	switch v := v.(type) {
	case string:
		return squeeze(v)
	case map[string]any:
		return cmpOr(word(v["name"]), word(v["@value"]))
	case []any:
		var names []string
		for _, e := range v[:min(len(v), 10)] {
			if w := word(e); w != "" {
				names = append(names, w)
			}
		}
		return strings.Join(names, ", ")
	}
	return ""
}
