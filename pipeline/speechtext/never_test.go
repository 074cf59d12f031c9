package speechtext

import (
	"strings"
	"testing"
)

// TestNeverCut moves each phrase along behind leads of every length and asserts that no border falls
// inside.
func TestNeverCut(t *testing.T) {
	tests := map[string]struct{ phrase, follow string }{
		"monsieur":       {"M. Dupont", " est là."},
		"messieurs":      {"MM. Dupont", " sont là."},
		"madame":         {"Mme Petit", " arrive."},
		"madame dotted":  {"Mme. Petit", " arrive."},
		"doctor":         {"Dr. House", " soigne."},
		"professor":      {"Pr. Martin", " parle."},
		"two initials":   {"J.-P. Martin", " court."},
		"one initial":    {"J. Martin", " court."},
		"page":           {"p. 12", " du livre."},
		"pages":          {"pp. 12-15", " du livre."},
		"article":        {"art. 5 du", " Code civil."},
		"law":            {"art. L. 121-1", " du Code."},
		"avenue":         {"10 av. Foch", " à Paris."},
		"avenue of":      {"10 av. de la", " République."},
		"decimal":        {"3,14", " environ."},
		"decimal point":  {"3.14", " environ."},
		"price":          {"1 234,50 €", " en tout."},
		"price nbsp":     {"1\u00a0234,50\u00a0€", " en tout."},
		"price narrow":   {"1\u202f234,50\u202f€", " en tout."},
		"hour":           {"14h30", " précises."},
		"hour spaced":    {"14 h 30", " précises."},
		"etc":            {"etc. et", " le reste."},
		"quoted":         {"« Vraiment ? » demanda-t-il", " alors."},
		"quoted narrow":  {"«\u202fVraiment\u202f?\u202f» demanda-t-il", " alors."},
		"url":            {"https://a.fr/b?c=1.2&d=e,f", " ou non."},
		"mail":           {"jean.dupont@exemple.fr", " demain."},
		"version":        {"v1.2.3", " sortie."},
		"number":         {"n° 5", " demain."},
		"saint":          {"St. Louis", " est loin."},
		"sainte":         {"Ste. Anne", " est loin."},
		"confer":         {"cf. p. 3", " ci-dessous."},
		"ellipsis":       {"bon...", " alors voilà."},
		"address":        {"192.168.0.1", " répond."},
		"file":           {"main.go", " compile."},
		"dna":            {"A.D.N. humain", " est long."},
		"usa":            {"U.S.A. sont", " grands."},
		"date":           {"12.03.2024", " exactement."},
		"full date":      {"12 mars 2024", " exactement."},
		"compound":       {"Jean-Claude", " dort."},
		"that is":        {"c.-à-d. demain", " matin."},
		"before Christ":  {"av. J.-C. et", " après."},
		"telephone":      {"tél. 01 23 45 67 89", " merci."},
		"example":        {"p. ex. ceci", " ou cela."},
		"about":          {"env. 20", " mètres."},
		"month":          {"12 sept. 2024", " au soir."},
		"unit":           {"12 km", " à pied."},
		"degree":         {"20 °C", " dehors."},
		"thousands":      {"12 345 678", " habitants."},
		"link":           {"[un lien, voilà. Oui](http://a.fr/x. y)", " ici."},
		"inline code":    {"`a. B, c`", " ici."},
		"formula":        {"\\( a. B, c \\)", " ici."},
		"please":         {"s.v.p. monsieur", " merci."},
		"figure":         {"fig. 3", " ci-dessous."},
		"thermostat":     {"th. 6", " environ."},
		"name of a king": {"Louis XIV", " régna."},
		"full name":      {"Victor Hugo", " écrivit."},
	}
	filler := strings.Repeat("alors donc voici ensuite plusieurs mots calmes ", 5)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for n := range len(filler) {
				if n > 0 && filler[n-1] != ' ' {
					continue
				}
				text := filler[:n] + tt.phrase + tt.follow + " Puis une autre phrase suit. Fin."
				checkWhole(t, text, n, n+len(tt.phrase))
			}
		})
	}
}

// checkWhole fails if a border falls between the bytes from and to of text.
func checkWhole(t *testing.T, text string, from, to int) {
	t.Helper()
	pos := 0
	for _, c := range split(text) {
		pos += len(c.Source)
		if pos > from && pos < to {
			t.Errorf("cut %q | %q", text[:pos], text[pos:])
		}
	}
}

func TestSentenceEnds(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string // the sources
	}{
		"two sentences":      {"Il fait beau aujourd'hui. Nous sortons donc ensemble.", []string{"Il fait beau aujourd'hui. ", "Nous sortons donc ensemble."}},
		"etc then capital":   {"Des pommes, des poires, etc. Nous rentrons ensuite à la maison.", []string{"Des pommes, ", "des poires, etc. Nous rentrons ensuite à la maison."}},
		"before Christ ends": {"Rome naquit en 753 av. J.-C. Les Romains étaient nombreux.", []string{"Rome naquit en 753 av. J.-C. ", "Les Romains étaient nombreux."}},
		"acronym ends":       {"Elle vit aux U.S.A. Son frère habite toujours en France.", []string{"Elle vit aux U.S.A. ", "Son frère habite toujours en France."}},
		"label ends":         {"Je choisis l'option B. Ensuite nous verrons bien.", []string{"Je choisis l'option B. ", "Ensuite nous verrons bien."}},
		"unit ends":          {"La table mesure 5 m. Elle est donc vraiment trop grande.", []string{"La table mesure 5 m. ", "Elle est donc vraiment trop grande."}},
		"speed ends":         {"Il roule à 50 km/h. Elle est donc vraiment plus rapide.", []string{"Il roule à 50 km/h. ", "Elle est donc vraiment plus rapide."}},
		"number ends":        {"Il y en avait 25. Nous étions donc tous très surpris.", []string{"Il y en avait 25. ", "Nous étions donc tous très surpris."}},
		"first short":        {"Oui. Je vais vous expliquer cela tout de suite.", []string{"Oui. ", "Je vais vous expliquer cela tout de suite."}},
		"short ones join":    {"Bien entendu, monsieur. Oui. Non. Peut-être bien.", []string{"Bien entendu, ", "monsieur. Oui. Non. Peut-être bien."}},
		"interrobang":        {"Quoi ?! Vous partez déjà sans dire au revoir ?", []string{"Quoi ?! ", "Vous partez déjà sans dire au revoir ?"}},
		"bold end":           {"**Attention, danger.** Ne touchez surtout pas à ce fil.", []string{"**Attention, danger.** ", "Ne touchez surtout pas à ce fil."}},
		"quote ends":         {"« Je pars demain. » Elle ferma doucement la porte.", []string{"« Je pars demain. » ", "Elle ferma doucement la porte."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range split(tt.text) {
				got = append(got, c.Source)
			}
			if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestHoldsBack asserts that a chunk comes as soon as, and not before, what follows is known.
func TestHoldsBack(t *testing.T) {
	tests := map[string]struct {
		text  string
		early bool // a chunk is there before Flush
	}{
		"sentence, nothing behind": {"Il fait très beau.", false},
		"sentence and space":       {"Il fait très beau. ", false},
		"sentence and word":        {"Il fait très beau. E", true},
		"clause":                   {"Il fait très beau, e", true},
		"open link":                {"Voyez donc [ce site, m", false},
		"open code":                {"Voyez donc `a, m", false},
		"open fence":               {"```go\nx := 1\ny", false},
		"heading":                  {"# Un titre assez long\n", true},
		"list entry":               {"- un premier point\n", true},
		"table row":                {"| a | b |", false},
		"whole table row":          {"| a | b |\n", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := New(Options{}).Push(tt.text); (len(got) > 0) != tt.early {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestLengths asserts the sizes that keep speech flowing: a short first chunk, then growth up to the cap.
func TestLengths(t *testing.T) {
	text := strings.Repeat("nous marchons tranquillement vers la grande forêt pour voir les oiseaux chanter dans les arbres ", 20)
	last := 0
	for i, c := range split(text) {
		n := heard(c.Source)
		switch {
		case i == 0 && n > 40:
			t.Errorf("first chunk has %d characters", n)
		case n > 152:
			t.Errorf("chunk %d has %d characters", i, n)
		case i > 0 && n > max(int(2.5*float64(last)), 72):
			t.Errorf("chunk %d grew from %d to %d", i, last, n)
		}
		last = n
	}
}
