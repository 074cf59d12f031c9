package media

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// block is a paragraph or a heading.
type block struct {
	text  string
	level int // 1…6 of a heading, 0 of anything else
}

// blocks cuts a page's text into paragraphs while it is read, and leaves out what is not the page's own: menus, forms,
// lists of links. It sees one tag after the other and no tree, so it knows less than readability does; in exchange a
// paragraph is there when it has been read.
type blocks struct {
	begun   bool      // the head is over
	playing Kind      // within <video> or <audio>
	done    []block   // read ahead
	skip    atom.Atom // the element that is passed over
	depth   int       // how many of that element are open
	inner   int       // open <article> and <main>
	framed  bool      // there was one
	links   int       // open <a>
	linked  int       // letters of buf that are links
	brs     int       // line breaks in a row
	level   int       // of the heading that is open
	tag     atom.Atom // the block that is open
	buf     strings.Builder
}

const maxBlock = 16 << 10 // bytes; longer ones are cut

// openTag reads a start tag. It returns the paragraph that it ends, if it does.
func (t *blocks) openTag(tag atom.Atom, attr map[string]string) (block, bool) {
	if !t.begun && !ofHead(tag) {
		t.begun = true
	}
	switch {
	case t.skip != 0:
		if tag == t.skip {
			t.depth++
		}
		return block{}, false
	case t.foreign(tag, attr):
		b, ok := t.end()
		t.skip, t.depth = tag, 1
		return b, ok
	case tag == atom.A:
		t.links++
		return block{}, false
	case tag == atom.Br:
		if t.brs++; t.brs < 2 {
			t.buf.WriteByte(' ')
			return block{}, false
		}
		return t.end()
	case !isBlock(tag):
		return block{}, false
	}
	b, ok := t.end()
	t.tag = tag
	switch tag {
	case atom.Article, atom.Main:
		t.inner++
		t.framed = true
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		t.level = int(tag.String()[1] - '0')
	default:
	}
	return b, ok
}

// closeTag reads an end tag. It returns the paragraph that it ends, if it does.
func (t *blocks) closeTag(tag atom.Atom) (block, bool) {
	switch tag {
	case atom.Head:
		t.begun = true
		return block{}, false
	case atom.Video, atom.Audio:
		t.playing = ""
	default:
	}
	if t.skip != 0 {
		if tag == t.skip {
			if t.depth--; t.depth == 0 {
				t.skip = 0
			}
		}
		return block{}, false
	}
	if tag == atom.A {
		t.links = max(t.links-1, 0)
	}
	if !isBlock(tag) {
		return block{}, false
	}
	b, ok := t.end()
	if tag == atom.Article || tag == atom.Main {
		t.inner = max(t.inner-1, 0)
	}
	t.tag = 0
	return b, ok
}

// write adds text to the paragraph that is open.
func (t *blocks) write(text []byte) {
	if t.skip != 0 || !t.begun || t.buf.Len() > maxBlock {
		return
	}
	before := t.buf.Len()
	t.buf.Write(text)
	if t.links > 0 {
		t.linked += t.buf.Len() - before
	}
	if strings.TrimSpace(string(text)) != "" {
		t.brs = 0
	}
}

// end closes the paragraph that is open and returns it if it is worth it.
func (t *blocks) end() (block, bool) {
	text := squeeze(strings.ToValidUTF8(t.buf.String(), "\uFFFD"))
	b := block{text: text, level: t.level}
	mostlyLinks := 2*t.linked > t.buf.Len()
	t.buf.Reset()
	t.linked, t.level, t.brs = 0, 0, 0
	if mostlyLinks || !t.worth(b) {
		return block{}, false
	}
	return b, true
}

// worth tells whether a paragraph is likely to be the page's own. Within <article> or <main> nearly everything is;
// after one nothing is; where there is none, what is long enough to say something.
func (t *blocks) worth(b block) bool {
	n := utf8.RuneCountInString(b.text)
	last, _ := utf8.DecodeLastRuneInString(b.text)
	switch {
	case n < 2 || !strings.ContainsFunc(b.text, unicode.IsLetter):
		return false
	case t.inner > 0:
		return b.level > 0 || n >= 20 || strings.ContainsRune(".!?…»:", last)
	case t.framed:
		return false
	case b.level > 0:
		return true
	case t.tag == atom.P:
		return n >= 40 || n >= 15 && strings.ContainsRune(".!?…»", last)
	}
	return n >= 60
}

// foreign tells whether an element is something beside the page's own text.
func (t *blocks) foreign(tag atom.Atom, attr map[string]string) bool {
	switch tag {
	case atom.Nav, atom.Footer, atom.Aside, atom.Form, atom.Style, atom.Script, atom.Noscript, atom.Template, atom.Button,
		atom.Select, atom.Textarea, atom.Svg, atom.Iframe, atom.Figcaption, atom.Menu, atom.Dialog, atom.Object:
		return true
	case atom.Header:
		return t.inner == 0
	case atom.Div, atom.Section, atom.Ul, atom.Ol, atom.P, atom.Table, atom.Span:
	default:
		return false
	}
	if _, hidden := attr["hidden"]; hidden || attr["aria-hidden"] == "true" ||
		slices.Contains(strings.Fields("navigation banner contentinfo complementary search dialog alert"), attr["role"]) {
		return true
	}
	names := strings.FieldsFunc(strings.ToLower(attr["class"]+" "+attr["id"]), func(r rune) bool {
		return !unicode.IsLetter(r)
	})
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(beside(), n) })
}

// beside are words by which pages name what is not their text.
func beside() []string {
	return strings.Fields("nav navbar navigation menu footer sidebar comments comment cookie cookies consent share sharing " +
		"social related promo advert advertisement ads newsletter breadcrumb breadcrumbs banner pagination toolbar popup modal")
}

func isBlock(tag atom.Atom) bool {
	switch tag {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Li, atom.Ul, atom.Ol, atom.Dl, atom.Dt, atom.Dd,
		atom.Blockquote, atom.Pre, atom.Div, atom.Section, atom.Article, atom.Main, atom.Header, atom.Figure, atom.Table,
		atom.Tr, atom.Td, atom.Th, atom.Hr, atom.Body, atom.Center, atom.Address, atom.Details, atom.Summary, atom.Video,
		atom.Audio:
		return true
	default:
		return false
	}
}

// ofHead tells whether an element may stand in a page's head.
func ofHead(tag atom.Atom) bool {
	switch tag {
	case atom.Html, atom.Head, atom.Meta, atom.Link, atom.Title, atom.Base, atom.Script, atom.Style, atom.Noscript,
		atom.Template:
		return true
	default:
		return false
	}
}
