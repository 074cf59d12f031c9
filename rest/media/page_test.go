package media_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"brenda/pipeline/outbound"
	"brenda/rest/media"
)

// paragraphs are the text of the article, whatever its markup.
var paragraphs = []string{
	"Voici le premier paragraphe de l'article, assez long pour que chacun voie qu'il en est un : œuvre, été, « citation ».",
	"Le deuxième paragraphe parle du chat qui dort sur le canapé pendant que les enfants jouent dans le jardin, près du mur.",
	"Le troisième paragraphe est le dernier, et il n'est pas moins long que les autres, car un article doit avoir du corps.",
}

// markups are three ways in which pages hold an article.
var markups = map[string]string{
	"semantic": `<!DOCTYPE html><html lang="fr"><head><meta charset="utf-8"><title>Titre - Site</title>` +
		`<meta property="og:title" content="Le titre"><meta property="og:site_name" content="Le Site"><meta name="author" content="Zoé Martin">` +
		`<meta name="description" content="Le résumé"><meta property="og:image" content="/p.jpg">` +
		`<meta property="article:published_time" content="2026-01-02T03:04:05Z"></head><body><header><a href="/">Accueil</a></header>` +
		`<nav><ul><li><a href="/a">Un lien du menu, assez long pour tromper</a></li></ul></nav><main><article><h1>Le titre</h1>` +
		`<p>%s</p><p>%s <a href="lien">ici</a></p><img src="i.png" alt="Une image"><p>%s</p></article></main>` +
		`<aside><p>Une publicité qui est presque aussi longue qu'un vrai paragraphe de l'article.</p></aside><footer>Mentions</footer></body></html>`,
	"divs": `<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"><title>Le titre</title>` +
		`<script type="application/ld+json">{"@context":"https://schema.org","@type":"NewsArticle","headline":"Le titre","description":"Le résumé",` +
		`"author":[{"@type":"Person","name":"Zoé Martin"}],"datePublished":"2026-01-02T03:04:05Z","inLanguage":"fr"}</script>` +
		`<meta property="og:site_name" content="Le Site"><meta name="twitter:image" content="/p.jpg"></head>` +
		`<body><div class="menu"><a href="/">Accueil du site, avec un texte qui est long</a></div><div id="content"><h2>Le titre</h2>` +
		`<div class="text"><p>%s<p>%s <a href="lien">ici</a><p><img src="i.png" alt="Une image"><p>%s</div></div>` +
		`<div class="footer">Des mentions légales qui sont longues, mais qui ne sont pas un article du tout.</div></body></html>`,
	"table": `<HTML LANG=fr><HEAD><META CHARSET=utf-8><TITLE>Le titre</TITLE><META NAME=author CONTENT="Zoé Martin"><META NAME=DESCRIPTION CONTENT="Le résumé">` +
		`<META NAME="date" CONTENT="2026-01-02T03:04:05Z"><META PROPERTY="og:site_name" CONTENT="Le Site"><META PROPERTY="og:image" CONTENT="/p.jpg"></HEAD>` +
		`<BODY><TABLE><TR><TD><A HREF="/">Accueil</A></TD><TD><FONT SIZE=5>Le titre</FONT><BR><BR>%s<BR><BR>%s <A HREF="lien">ici</A><BR><BR>%s` +
		`<BR><BR><IMG SRC="i.png" ALT="Une image"></TD></TR></TABLE></BODY></HTML>`,
}

func page(kind string) string {
	return fmt.Sprintf(markups[kind], paragraphs[0], paragraphs[1], paragraphs[2])
}

func TestArticles(t *testing.T) {
	b := newBench(t, outbound.Config{}, media.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page(strings.Trim(r.URL.Path, "/")))
	})
	for kind := range markups {
		t.Run(kind, func(t *testing.T) {
			for _, route := range []string{"analyze", "extract"} {
				status, a := b.ask(t, route, "/"+kind)
				for name, want := range map[string]any{
					"kind": "page", "status": 200.0, "title": "Le titre", "description": "Le résumé", "site_name": "Le Site", "author": "Zoé Martin",
					"published": "2026-01-02T03:04:05Z", "language": "fr", "image": b.origin.URL + "/p.jpg", "duration": nil,
					"size": float64(len(page(kind))), "final_url": b.origin.URL + "/" + kind,
				} {
					if a[name] != want || status != 200 {
						t.Errorf("%s: %s is %v, not %v", route, name, a[name], want)
					}
				}
			}
			_, a := b.ask(t, "extract", "/"+kind)
			text, markdown := fmt.Sprint(a["text"]), fmt.Sprint(a["markdown"])
			for _, p := range paragraphs {
				if !strings.Contains(text, p) || !strings.Contains(markdown, p) {
					t.Errorf("%q is not in the article:\n%s", p, text)
				}
			}
			if strings.Contains(text, "publicité") || strings.Contains(text, "Mentions") || strings.Contains(text, "menu") {
				t.Errorf("more than the article:\n%s", text)
			}
			if links := fmt.Sprint(a["links"]); !strings.Contains(links, b.origin.URL+"/lien") {
				t.Error(links)
			}
			if images := fmt.Sprint(a["images"]); !strings.Contains(images, b.origin.URL+"/i.png") || !strings.Contains(images, "Une image") {
				t.Error(images)
			}
			all := b.stream(t, "/"+kind)
			if about, _ := all[0].Content.(map[string]any); all[0].Type != "metadata" || about["title"] != "Le titre" {
				t.Errorf("%+v", all[0])
			}
			var said []string
			for _, ev := range all[1:] {
				if s := fmt.Sprint(ev.Content); ev.Type == "text" && ev.Level == 0 {
					said = append(said, strings.TrimSuffix(s, " ici"))
				}
			}
			if !slices.Equal(said, paragraphs) {
				t.Errorf("streamed %q", said)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	latin := func(s string) string {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r))
		}
		return string(b)
	}
	const body = "<html><head>%s<title>Été à Nîmes</title></head><body><article><p>Où l'été est très chaud, et où le café est bon, même à midi.</p></article></body></html>"
	pages := map[string][2]string{
		"/header": {"text/html; charset=ISO-8859-1", latin(fmt.Sprintf(body, ""))},
		"/meta":   {"text/html", latin(fmt.Sprintf(body, `<meta charset="iso-8859-15">`))},
		"/none":   {"text/html", latin(fmt.Sprintf(body, ""))},
		"/utf8":   {"text/html", fmt.Sprintf(body, "")},
		"/bom":    {"text/html", "\ufeff" + fmt.Sprintf(body, "")},
	}
	b := newBench(t, outbound.Config{}, media.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", pages[r.URL.Path][0])
		io.WriteString(w, pages[r.URL.Path][1])
	})
	for path := range pages {
		_, a := b.ask(t, "extract", path)
		if a["title"] != "Été à Nîmes" || !strings.Contains(fmt.Sprint(a["text"]), "Où l'été est très chaud") {
			t.Errorf("%s: %v, %v", path, a["title"], a["text"])
		}
		all := b.stream(t, path)
		if last := all[len(all)-1]; !strings.HasPrefix(fmt.Sprint(last.Content), "Où l'été") {
			t.Errorf("%s: streamed %v", path, last.Content)
		}
	}
}

// TestStreamIsAsThePageArrives: each paragraph is sent on before the next one is there.
func TestStreamIsAsThePageArrives(t *testing.T) {
	go1 := make(chan struct{})
	b := newBench(t, outbound.Config{}, media.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for i, piece := range []string{
			"<!DOCTYPE html><html><head><title>Lent</title></head><body><article>", "<p>" + paragraphs[0] + "</p>",
			"<p>" + paragraphs[1] + "</p>", "<p>" + paragraphs[2] + "</p></article></body></html>",
		} {
			if i > 0 {
				select {
				case <-go1:
				case <-r.Context().Done():
					return
				}
			}
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	})
	resp := b.post(t, "stream", map[string]string{"url": b.origin.URL})
	r := bufio.NewReader(resp.Body)
	if ev, _ := next(t, r); ev.Type != "metadata" {
		t.Fatalf("%+v", ev)
	}
	for _, want := range paragraphs {
		go1 <- struct{}{}
		if ev, _ := next(t, r); ev.Type != "text" || ev.Content != want {
			t.Fatalf("%+v", ev)
		}
	}
	if _, done := next(t, r); !done {
		t.Error("more than the page")
	}
}
