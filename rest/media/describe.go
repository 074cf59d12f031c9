package media

import (
	"strings"

	"brenda/pipeline/outbound"
)

// describe fills in what the page says of itself.
func (p *page) describe(a *About) {
	of := func(names ...string) string {
		for _, n := range names {
			if v := p.meta[n]; v != "" {
				return v
			}
		}
		return ""
	}
	ld := p.article()
	a.Title = cmpOr(of("og:title", "twitter:title"), ld.name, p.title, of("dc.title"))
	a.Description = cmpOr(of("og:description", "description", "twitter:description", "dc.description"), ld.description)
	a.SiteName = of("og:site_name", "application-name")
	a.Author = cmpOr(ld.author, name(of("author", "article:author", "dc.creator", "twitter:creator")))
	a.Published = cmpOr(of("article:published_time", "og:published_time", "og:article:published_time"), ld.published,
		of("date", "dc.date", "dc.date.issued", "datepublished", "video:release_date", "og:video:release_date"))
	a.Language = language(cmpOr(p.lang, ld.lang, of("og:locale", "content-language", "dc.language")))
	a.Image = p.absolute(of("og:image:secure_url", "og:image", "og:image:url", "twitter:image", "twitter:image:src"))
}

// name is an author; some pages have an address there.
func name(s string) string {
	if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
		return ""
	}
	return s
}

// language returns a language tag in one spelling: "fr", "fr-CA".
func language(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "_", "-")
	if len(s) > 35 {
		return ""
	}
	base, region, ok := strings.Cut(s, "-")
	if ok && len(region) == 2 {
		return strings.ToLower(base) + "-" + strings.ToUpper(region)
	}
	return strings.ToLower(s)
}

func (p *page) absolute(ref string) string {
	if ref == "" {
		return ""
	}
	u, err := p.base.Parse(ref)
	if err != nil {
		return ""
	}
	if u, err = outbound.Target(u.String()); err != nil {
		return ""
	}
	return u.String()
}

// article returns the JSON-LD entry that is about the page's content.
func (p *page) article() linked {
	for _, l := range p.linked {
		for _, kind := range []string{"Article", "Posting", "Video", "Audio", "Episode", "WebPage", "Recording"} {
			if strings.Contains(l.kind, kind) {
				return l
			}
		}
	}
	return linked{}
}

// A page is a medium when it says so, or when it plays one and has little else.
const littleText = 800 // bytes

func (p *page) isMedium() bool {
	kind := p.meta["og:type"]
	for _, is := range []string{"video", "music.song", "music.radio_station", "audio"} {
		if strings.HasPrefix(kind, is) {
			return true
		}
	}
	shows := len(p.media) > 0 || p.meta["og:video"] != "" || p.meta["og:video:url"] != "" || p.meta["og:audio"] != "" ||
		p.meta["twitter:player"] != ""
	return shows && p.letter < littleText
}

func (p *page) mediumKind() Kind {
	kind := p.meta["og:type"]
	switch {
	case strings.HasPrefix(kind, "music"), strings.HasPrefix(kind, "audio"):
		return Audio
	case strings.HasPrefix(kind, "video"):
		return Video
	case len(p.media) > 0:
		return p.media[0].kind
	case p.meta["og:audio"] != "" && p.meta["og:video"] == "":
		return Audio
	}
	return Video
}

// formats returns the media that the page itself names.
func (p *page) formats() []Format {
	var out []Format
	for _, m := range p.media {
		f := Format{URL: m.url, Ext: strings.TrimPrefix(extension(path(m.url)), ".")}
		if m.kind == Audio {
			f.VCodec = "none"
		}
		out = append(out, f)
	}
	return out
}

func path(u string) string {
	u, _, _ = strings.Cut(u, "?")
	return u
}
