package turnwords

import (
	"slices"
	"testing"
)

func TestComplete(t *testing.T) {
	const done, open, unsure = 1, -1, 0
	tests := map[string]struct {
		text string
		want int
	}{
		"empty":              {"", open},
		"article":            {"Je voudrais un", open},
		"preposition":        {"Je vais à Paris avec", open},
		"conjunction":        {"Il fait beau mais", open},
		"hesitation":         {"Je pense que euh", open},
		"dots":               {"Je me demandais...", open},
		"comma":              {"Alors, demain,", open},
		"elision":            {"Est-ce que tu as vu l'", open},
		"est-ce que":         {"Est-ce que", open},
		"auxiliary":          {"Hier, nous avons mangé et j'ai", open},
		"because":            {"Je ne viens pas parce que", open},
		"possessive":         {"C'est la voiture de ma", open},
		"opener":             {"Peux-tu", open},
		"for example":        {"On pourrait, par exemple", open}, //nolint:misspell // French
		"statement":          {"Je voudrais un café noir.", done},
		"no mark":            {"Raconte-moi une histoire de pirates", done},
		"question":           {"Quelle heure est-il ?", done},
		"inverted":           {"Pouvez-vous me donner la météo de demain", done},
		"politeness":         {"Un café s'il vous plaît", done},
		"thanks":             {"Merci beaucoup", done},
		"goodbye":            {"Au revoir", done},
		"yes":                {"Oui", done},
		"short question":     {"Pourquoi ?", done},
		"what is it":         {"C'est quoi ?", done},
		"how are you":        {"Comment ça va ?", done},
		"imperative":         {"Allume la lumière du salon.", done},
		"curly apostrophe":   {"S’il te plaît", done},
		"one unknown word":   {"Bordeaux", unsure},
		"dot behind article": {"Je cherche le.", open},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Complete(tt.text)
			ok := got >= 0 && got <= 1
			switch tt.want {
			case done:
				ok = ok && got >= 0.7
			case open:
				ok = ok && got <= 0.3
			default:
				ok = ok && got > 0.3 && got < 0.7
			}
			if !ok {
				t.Errorf("Complete(%q) = %.2f", tt.text, got)
			}
		})
	}
}

func TestIsBackchannel(t *testing.T) {
	tests := map[string]struct {
		text string
		want bool
	}{
		"yes":            {"Oui.", true},
		"agreed":         {"D'accord !", true},
		"curly":          {"d’accord", true},
		"hm":             {"Mmh…", true},
		"hm hm":          {"hm hm", true},
		"two":            {"Ah oui, ok.", true},
		"i see":          {"Je vois, je vois", true},
		"that is it":     {"C'est ça", true},
		"empty":          {"", false},
		"marks":          {"...", false},
		"question":       {"Oui mais pourquoi ?", false},
		"order":          {"Ok, raconte la suite", false},
		"starts so":      {"Oui je voudrais un café", false},
		"stop":           {"Stop", false},
		"too many words": {"oui oui oui oui oui oui oui oui", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsBackchannel(tt.text); got != tt.want {
				t.Errorf("IsBackchannel(%q) = %v", tt.text, got)
			}
		})
	}
}

func TestIsStop(t *testing.T) {
	tests := map[string]struct {
		text string
		want bool
	}{
		"stop":           {"Stop !", true},
		"shout":          {"STOP STOP STOP", true},
		"imperative":     {"Arrête.", true},
		"polite":         {"Brenda, arrête s'il te plaît", true},
		"formal":         {"Attendez une seconde, s'il vous plaît.", true},
		"no but":         {"Non mais attends", true},
		"silence":        {"Tais-toi", true},
		"no hyphen":      {"tais toi", true},
		"enough":         {"Ça suffit maintenant !", true},
		"it is good":     {"C'est bon, merci.", true},
		"hush":           {"Chut", true},
		"only polite":    {"Merci", false},
		"empty":          {"", false},
		"no":             {"Non", false},
		"music":          {"Arrête la musique", false},
		"bus":            {"Où est l'arrêt de bus ?", false},
		"wait for":       {"J'attends un colis", false},
		"a stop sign":    {"Que veut dire le panneau stop ?", false},
		"stop the alarm": {"Stop l'alarme de sept heures", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsStop(tt.text); got != tt.want {
				t.Errorf("IsStop(%q) = %v", tt.text, got)
			}
		})
	}
}

func TestLists(t *testing.T) {
	for _, p := range Backchannels() {
		if !IsBackchannel(p) {
			t.Errorf("%q is no backchannel", p)
		}
	}
	for _, p := range StopWords() {
		if !IsStop(p) {
			t.Errorf("%q does not stop", p)
		}
		if slices.Contains(Backchannels(), p) {
			t.Errorf("%q is both", p)
		}
	}
}
