package media

import (
	"io"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/transform"

	"brenda/pipeline/outbound"
)

// page reads an HTML page as a stream: what it says of itself, the media it shows, and the paragraphs of its text, each
// as soon as it is complete. It needs no tree, so that the length of a page costs nothing.
type page struct {
	tokens *html.Tokenizer
	base   *url.URL
	meta   map[string]string // names in lower case; the first one counts
	title  string
	lang   string
	linked []linked // JSON-LD
	media  []medium // <video>, <audio>, and what Open Graph names
	letter int      // bytes of text in paragraphs
	err    error    // the end, or why it came early

	text blocks
}

// medium is a file that a page plays.
type medium struct {
	url  string
	kind Kind
	mime string
}

// maxToken is the longest token in bytes: a page may have its pictures inside.
const maxToken = 4 << 20

func newPage(r io.Reader, enc string, base *url.URL) *page {
	if e, _ := charset.Lookup(enc); e != nil && enc != "utf-8" {
		r = transform.NewReader(r, e.NewDecoder())
	}
	p := &page{tokens: html.NewTokenizer(r), base: base, meta: map[string]string{}}
	p.tokens.SetMaxBuf(maxToken)
	return p
}

// charset returns the name of the encoding that a page with this beginning has.
func (src *source) charset(beginning []byte) string {
	_, name, certain := charset.DetermineEncoding(beginning, src.header.Get("Content-Type"))
	if !certain && name == "windows-1252" && ascii(beginning) {
		return "utf-8" // nothing speaks against it yet, and it is what most pages are
	}
	return name
}

func ascii(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 }) }

// readAll reads to the end and throws the paragraphs away.
func (p *page) readAll() {
	for {
		if _, ok := p.next(); !ok {
			return
		}
	}
}

// readHead reads until the head of the page is over.
func (p *page) readHead() {
	for p.err == nil && !p.text.begun {
		if b, ok := p.step(); ok {
			p.text.done = append(p.text.done, b)
		}
	}
}

// next returns the next paragraph. ok is false at the end: see err.
func (p *page) next() (b block, ok bool) {
	for {
		if len(p.text.done) > 0 {
			b, p.text.done = p.text.done[0], p.text.done[1:]
			p.letter += len(b.text)
			return b, true
		}
		if p.err != nil {
			return block{}, false
		}
		if b, ok := p.step(); ok {
			p.letter += len(b.text)
			return b, true
		}
	}
}

// step reads one token, and returns the paragraph that it completes.
func (p *page) step() (block, bool) {
	switch p.tokens.Next() {
	case html.ErrorToken:
		p.err = p.tokens.Err()
		return p.text.end()
	case html.TextToken:
		p.text.write(p.tokens.Text())
	case html.StartTagToken, html.SelfClosingTagToken:
		return p.start()
	case html.EndTagToken:
		name, _ := p.tokens.TagName()
		return p.text.closeTag(atom.Lookup(name))
	default:
	}
	return block{}, false
}

// start reads a start tag.
func (p *page) start() (block, bool) {
	raw, more := p.tokens.TagName()
	tag := atom.Lookup(raw)
	attr := map[string]string{}
	for more && len(attr) < 32 {
		var k, v []byte
		k, v, more = p.tokens.TagAttr()
		attr[string(k)] = strings.ToValidUTF8(string(v), "\uFFFD")
	}
	switch tag {
	case atom.Html:
		p.lang = attr["lang"]
	case atom.Meta:
		p.addMeta(attr)
	case atom.Base:
		if u, err := p.base.Parse(attr["href"]); err == nil && attr["href"] != "" {
			p.base = u
		}
	case atom.Title:
		if t := p.rawText(); p.title == "" && !p.text.begun {
			p.title = t
		}
		return block{}, false
	case atom.Script:
		b, ok := p.text.openTag(tag, attr) // which has its text passed over
		p.script(attr)
		return b, ok
	case atom.Video, atom.Audio:
		p.text.playing = Kind(raw)
		p.play(attr, p.text.playing)
	case atom.Source:
		if p.text.playing != "" {
			p.play(attr, p.text.playing)
		}
	default:
	}
	return p.text.openTag(tag, attr)
}

func (p *page) rawText() string {
	if p.tokens.Next() != html.TextToken {
		return ""
	}
	return squeeze(strings.ToValidUTF8(string(p.tokens.Text()), "\uFFFD"))
}

func (p *page) addMeta(attr map[string]string) {
	name := strings.ToLower(strings.TrimSpace(attr["property"]))
	if name == "" {
		name = strings.ToLower(strings.TrimSpace(attr["name"]))
	}
	if name == "" {
		name = strings.ToLower(attr["itemprop"])
	}
	content := squeeze(attr["content"])
	if name == "" || content == "" || len(p.meta) > 500 {
		return
	}
	if _, ok := p.meta[name]; !ok {
		p.meta[name] = content
	}
}

// play notes a medium.
func (p *page) play(attr map[string]string, kind Kind) {
	src := attr["src"]
	if src == "" || len(p.media) > 50 {
		return
	}
	u, err := p.base.Parse(strings.TrimSpace(src))
	if err != nil {
		return
	}
	if u, err = outbound.Target(u.String()); err == nil {
		p.media = append(p.media, medium{u.String(), kind, attr["type"]})
	}
}

// squeeze makes one space of each run of white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
