package speechtext

import (
	"strings"
	"unicode"
)

// bindingWords never end a chunk: they lean on what follows.
//
//nolint:gochecknoglobals // read-only
var bindingWords = set(`
 le la les un une des du de d l au aux à en dans sur sous par pour avec sans chez vers entre ce cet
 cette ces mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs quel quelle quels quelles
 chaque je tu il elle on nous vous ils elles j n m t s c qu qui que quoi dont où ne se me te y et ou
 mais donc or ni car si comme plus moins très trop si aussi bien est sont a ont ai as es suis êtes
 sommes était étaient sera seront fut été être avoir peut peuvent doit faut va vont lorsque quand
 puisque parce afin après avant pendant depuis jusque jusqu m mme mlle mm dr pr me st ste n° page
 chapitre article tout tous toute toutes quelque quelques plusieurs même autre deux trois quatre
 cinq six sept huit neuf dix cent mille première premier dernier dernière grand grande petit petite
 nouveau nouvelle bon bonne beau belle pas`)

// openingWords start a phrase: a voice may take breath before them.
//
//nolint:gochecknoglobals // read-only
var openingWords = set(`
 et ou mais donc car ni qui que dont où lorsque quand puisque parce afin pour avec dans sans chez
 vers pendant depuis après avant selon malgré comme si sur sous par entre grâce tandis alors ainsi
 lequel laquelle qu`)

// joinRank ranks the place between two words.
func joinRank(before, next string) rank {
	prev := strings.TrimRight(before, "*_`\"»)")
	c, n := lastRune(prev), firstRune(strings.TrimLeft(next, "*_`\"«("))
	switch {
	case isDigit(c) || isDigit(n), !isLetter(c), !isLetter(n) && next != "":
		return glue
	}
	w := prev[len(prev)-lastLetterRun(prev):]
	follow := strings.TrimLeft(next, "*_`\"«(")
	follow = strings.ToLower(follow[:letterRun(follow)])
	switch {
	case bindingWords[strings.ToLower(w)] && !isHyphenated(prev, w):
		return glue
	case unicode.IsUpper(firstRune(w)) && unicode.IsUpper(n):
		return glue
	case openingWords[follow]:
		return phrase
	}
	return word
}

// isHyphenated tells a pronoun behind its verb, which does not lean forward: "avez-vous".
func isHyphenated(prev, w string) bool { return strings.HasSuffix(prev, "-"+w) }
