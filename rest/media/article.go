package media

import (
	"bytes"
	"io"
	"net/url"
	"strings"

	readability "codeberg.org/readeck/go-readability/v2"
	htmltomarkdown "github.com/JohannesKaufmann/html-to-markdown/v2"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/transform"

	"brenda/pipeline/outbound"
)

// article is the readable part of a page.
type article struct {
	Text     string  `json:"text"`
	Markdown string  `json:"markdown"`
	Links    []link  `json:"links"`
	Images   []still `json:"images"`
}

type link struct {
	URL  string `json:"url"`
	Text string `json:"text"`
}

// still is a picture of an article.
type still struct {
	URL string `json:"url"`
	Alt string `json:"alt"`
}

// Bounds of one article.
const (
	maxElements = 100_000 // more is no article, and would take readability minutes
	maxLinks    = 1000
)

// read makes an article of a whole page, and fills in what the page's metadata did not say. A page that readability
// cannot read, be it too short or too deep, is read paragraph by paragraph.
func readArticle(content []byte, enc string, base *url.URL, a *About) article {
	doc, err := parse(content, enc)
	if err == nil {
		parser := readability.NewParser()
		parser.MaxElemsToParse = maxElements
		var got readability.Article
		if got, err = parser.ParseAndMutate(doc, base); err == nil && got.Node != nil {
			fill(&a.Title, got.Title())
			fill(&a.Description, got.Excerpt())
			fill(&a.Author, squeeze(got.Byline()))
			fill(&a.SiteName, got.SiteName())
			fill(&a.Language, language(got.Language()))
			if img, err := base.Parse(got.ImageURL()); err == nil && got.ImageURL() != "" {
				fill(&a.Image, img.String())
			}
			if when, err := got.PublishedTime(); err == nil {
				fill(&a.Published, when.Format("2006-01-02T15:04:05Z07:00"))
			}
			return fromNode(got, base)
		}
	}
	return fromBlocks(newPage(bytes.NewReader(content), enc, base))
}

func parse(content []byte, enc string) (*html.Node, error) {
	var r io.Reader = bytes.NewReader(content)
	if e, _ := charset.Lookup(enc); e != nil && enc != "utf-8" {
		r = transform.NewReader(r, e.NewDecoder())
	}
	return html.Parse(r)
}

func fromNode(got readability.Article, base *url.URL) article {
	out := article{Links: []link{}, Images: []still{}}
	var text strings.Builder
	if err := got.RenderText(&text); err == nil { // a strings.Builder takes everything
		out.Text = strings.TrimSpace(text.String())
	}
	for n := range got.Node.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.DataAtom {
		case atom.A:
			if u := resolve(base, attribute(n, "href")); u != "" && len(out.Links) < maxLinks {
				out.Links = append(out.Links, link{u, squeeze(textOf(n))})
			}
		case atom.Img:
			if u := resolve(base, attribute(n, "src")); u != "" && len(out.Images) < maxLinks {
				out.Images = append(out.Images, still{u, squeeze(attribute(n, "alt"))})
			}
		default:
		}
	}
	markdown, err := htmltomarkdown.ConvertNode(got.Node)
	if err != nil {
		out.Markdown = out.Text
	} else {
		out.Markdown = strings.TrimSpace(string(markdown))
	}
	return out
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// resolve returns an address of the web that a page names, or nothing.
func resolve(base *url.URL, ref string) string {
	u, err := base.Parse(strings.TrimSpace(ref))
	if err != nil || ref == "" || strings.HasPrefix(ref, "#") {
		return ""
	}
	fragment := u.Fragment
	if u, err = outbound.Target(u.String()); err != nil {
		return ""
	}
	u.Fragment = fragment
	return u.String()
}

func fromBlocks(p *page) article {
	var text, markdown []string
	for {
		b, ok := p.next()
		if !ok {
			break
		}
		text = append(text, b.text)
		if b.level > 0 {
			b.text = strings.Repeat("#", b.level) + " " + b.text
		}
		markdown = append(markdown, b.text)
	}
	return article{
		Text: strings.Join(text, "\n\n"), Markdown: strings.Join(markdown, "\n\n"), Links: []link{}, Images: []still{},
	}
}
