package turnwords

import "strings"

// Complete judges whether a transcript so far is a finished French sentence: from 0 (surely goes on: "je
// voudrais un") to 1 (surely done: "merci beaucoup"). About 0.5 means that the words do not tell. It
// looks at the last words only; the caller weighs it against silence and the sound.
func Complete(text string) float64 {
	words := normalize(text)
	if len(words) == 0 {
		return 0
	}
	trimmed := strings.TrimRight(text, " \"»”")
	mark := ""
	for _, m := range [...]string{"...", "…", "?", "!", ".", ",", ":", ";", "-", "–"} {
		if strings.HasSuffix(trimmed, m) {
			mark = m
			break
		}
	}
	score := lastWords(words)
	switch mark {
	case "...", "…", ",", ":", ";", "-", "–":
		return min(score, 0.25)
	case "?", "!":
		return clamp(score + 0.3)
	case ".": // a recognizer sets it also where a person only paused
		return clamp(score + 0.1)
	}
	return score
}

// lastWords judges by what the transcript ends with.
func lastWords(words []string) float64 {
	last := words[len(words)-1]
	tail := func(n int) string { return strings.Join(words[max(0, len(words)-n):], " ") }
	for n := min(longestPhrase, len(words)); n > 0; n-- {
		switch {
		case closers[tail(n)]:
			return 0.95
		case openers[tail(n)]:
			return 0.05
		}
	}
	switch {
	case strings.HasSuffix(last, "'"), fillers[last]:
		return 0.05
	case leaners[last]:
		return 0.1
	case len(words) == 1 && !answers[last]:
		return 0.45
	case answers[last]:
		return 0.85
	case isQuestion(words):
		return questionScore(words)
	case len(words) == 2:
		return 0.55
	case pronouns[words[0]] || strings.HasSuffix(last, "-moi"):
		return 0.75
	}
	return 0.7
}

func isQuestion(words []string) bool {
	if questionWords[words[0]] || len(words) > 2 && words[0] == "est-ce" {
		return true
	}
	for _, w := range words {
		for _, tail := range [...]string{"-tu", "-vous", "-il", "-elle", "-on", "-ils", "-elles", "-ce"} {
			if strings.HasSuffix(w, tail) && w != "rendez-vous" {
				return true
			}
		}
	}
	return false
}

// questionScore rates a question by whether anything stands behind its question words.
func questionScore(words []string) float64 {
	switch len(words) {
	case 1:
		return 0.4
	case 2:
		return 0.55
	}
	return 0.8
}

func clamp(v float64) float64 { return min(max(v, 0), 1) }

func words(list string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		m[w] = true
	}
	return m
}

//nolint:gochecknoglobals,misspell // read-only French
var (
	// leaners need a word after them: articles, prepositions, conjunctions, clitics, auxiliaries.
	leaners = words(`
 le la les un une des du de au aux à en dans sur sous par pour avec sans chez vers entre contre
 depuis pendant selon malgré dès jusqu jusque et ou mais donc or ni car que qui dont si comme quand
 lorsque puisque parce afin ce cet cette ces mon ma mes ton ta tes son sa ses notre nos votre vos
 leur leurs quel quelle quels quelles chaque quelques plusieurs je tu il ils on ne se me te y très
 trop aussi est sont es suis sommes êtes était étaient sera serait ai as a ont avait avaient aurai
 aura aurait vais vas va vont veux veut voudrais voudrait peux peut pourrais pourrait dois doit
 devrais faut fais fait-il puis ensuite alors soit genre style mille cent monsieur madame docteur
 numéro rue avenue entre environ presque surtout`)

	fillers = words(`
 euh heu hum hmm ben bah enfin bref eh`)

	answers = words(`
 oui non ouais si merci bonjour bonsoir salut allô stop d'accord ok okay parfait super exactement
 voilà demain hier aujourd'hui maintenant ici là jamais toujours rien tout bien mal beaucoup vite
 moi toi lui elle nous vous eux ça cela ceci revoir bientôt matin soir midi minuit`)

	pronouns = words(`
 je j' tu il elle on nous vous ils elles c' ça`)

	questionWords = words(`
 qui que qu' quoi où quand comment pourquoi combien quel quelle quels quelles est-ce`)

	// closers end a turn whatever stood before.
	closers = phrases(`s'il te plaît
s'il vous plaît
svp
merci
merci beaucoup
merci bien
merci d'avance
au revoir
à bientôt
à demain
à plus
à tout à l'heure
bonne journée
bonne soirée
bonne nuit
c'est tout
ce sera tout
voilà tout
c'est bon
tu vois
vous voyez
c'est quoi
c'est quand
c'est où
c'est qui
n'est-ce pas
hein
ou pas
ou non
comment ça va
ça va
tu peux m'aider
pouvez-vous m'aider
quelle heure est-il
il est quelle heure
quel temps fait-il
qu'est-ce que c'est
qu'est-ce que tu en penses
qu'en penses-tu
comment tu t'appelles
comment t'appelles-tu
qui es-tu
qui êtes-vous
où es-tu
je ne sais pas
je sais pas
je ne crois pas
je pense que oui
je crois que oui
tant pis
peu importe`)

	// openers announce more, though their last word alone would not.
	openers = phrases(`est-ce que
qu'est-ce que
est-ce qu'
parce que
parce qu'
c'est-à-dire
par exemple
c'est
il y a
j'ai
je voudrais
j'aimerais
je veux
je vais
je dois
il faut
il faut que
tu peux
peux-tu
pouvez-vous
pourrais-tu
pourriez-vous
dis-moi
dites-moi
donne-moi
donnez-moi
raconte-moi
explique-moi
expliquez-moi
à cause
à côté
au lieu
grâce à
afin de
en train de
à partir
de façon
plus ou
je me demande
je me demandais
je pense que
je crois que
en fait
du coup
d'abord
un petit
une petite
un grand
une grande
combien de
quelle est
quel est
quels sont
quelles sont
qui est
où est
où sont
et puis
et toi tu
ou bien
ou alors`)
)
