package hearing

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// clean returns the part of a transcript that was said: without noises in brackets, sentences that
// Whisper is known to invent, and text that is only punctuation. It keeps the rest as it is written.
func clean(text string, u Utterance) string {
	text = annotation.ReplaceAllString(text, " ")
	var keep []string
	doubtful := 0
	for _, s := range sentences(text) {
		words := strings.Join(plainWords(s), " ")
		if words == "" || neverSaid(words) {
			continue
		}
		if rarelySaid(words) {
			doubtful++
		}
		keep = append(keep, strings.TrimSpace(s))
	}
	if len(keep) > doubtful {
		keep = slices.DeleteFunc(keep, func(s string) bool { return farewell(strings.Join(plainWords(s), " ")) })
		return strings.Join(keep, " ")
	}
	joined := strings.Join(keep, " ")
	words := strings.Join(plainWords(joined), " ")
	if neverSaid(words) || !proven(len(words), u) { // a phantom may be written as two sentences
		return ""
	}
	return joined
}

// annotation matches what Whisper writes for sounds: [Musique], *rires*, (Applaudissements), ♪ la la ♪.
var annotation = regexp.MustCompile(`\[[^\]]*\]|\*[^*]*\*|\([^)]*\)|♪[^♪]*♪?|[♪♫❤️]`)

// sentences splits after . ! ? … and at line ends, keeping all characters; "Amara.org" stays whole.
func sentences(text string) []string {
	var out []string
	runes, from := []rune(text), 0
	for i, r := range runes {
		last := i+1 == len(runes)
		if r == '\n' || strings.ContainsRune(".!?…", r) && (last || unicode.IsSpace(runes[i+1])) || last {
			out = append(out, string(runes[from:i+1]))
			from = i + 1
		}
	}
	return out
}

// proven reports whether an utterance has the speech that a text of so many letters takes: enough of it,
// not far too much, and surely a voice.
func proven(letters int, u Utterance) bool {
	const (
		sure    = 0.75
		fastest = 25.0 // letters a second
		slowest = 4.0
		slack   = 1.0 // seconds
	)
	said := u.Voiced.Seconds()
	return u.Confidence >= sure && said >= min(0.2, float64(letters)/fastest) &&
		said >= float64(letters)/fastest-0.3 && said <= float64(letters)/slowest+slack
}

// neverSaid reports whether a sentence, as plainWords writes it, is one of the subtitles' credits that
// Whisper learned to put over silence. Nobody says them to an assistant.
func neverSaid(sentence string) bool {
	holds := func(p string) bool { return strings.Contains(" "+sentence+" ", " "+p+" ") }
	if slices.ContainsFunc([]string{
		"amara org", "sous titreur com", "soustitreur com", "titrage societe radio canada", "castingwords",
		"untertitel der amara", "subtitulos por la comunidad", "sottotitoli creati dalla comunita",
		"legendas pela comunidade",
	}, holds) {
		return true
	}
	const longest = 10 // words of a credit; a longer sentence says something
	begins := func(p string) bool { return strings.HasPrefix(sentence+" ", p+" ") }
	return strings.Count(sentence, " ") < longest && slices.ContainsFunc([]string{
		"sous titres realises par", "sous titres realises para", "sous titres par", "sous titres faits par",
		"sous titres francais par", "sous titres et traduction", "sous titrage par", "sous titrage st",
		"sous titrage mfp", "sous titrage fr", "traduction et sous titrage", "retranscription par", "realise par la communaute",
		"subtitles by", "subtitled by", "captions by", "transcribed by", "transcription by", "translated by",
		"untertitel im auftrag des", "untertitelung des zdf", "subtitulos realizados por", "sottotitoli e revisione",
		"ondertiteld door", "ondertiteling door", "napisy stworzone przez",
	}, begins)
}

// farewell reports whether a sentence is how a video ends. After other words, it is made up.
func farewell(sentence string) bool {
	return slices.Contains([]string{
		"merci d avoir regarde cette video", "merci d avoir regarde la video", "merci d avoir regarde",
		"n oubliez pas de vous abonner", "abonnez vous a la chaine", "thank you for watching", "thanks for watching",
		"please subscribe", "like and subscribe", "don t forget to subscribe",
	}, sentence)
}

// rarelySaid reports whether a sentence is one that is invented often and said sometimes: alone, it
// counts when there was speech to match.
func rarelySaid(sentence string) bool {
	return farewell(sentence) || slices.Contains([]string{
		"merci", "merci beaucoup", "merci a tous", "merci a vous", "merci de votre attention",
		"merci d avoir ecoute", "a bientot", "a la prochaine", "a tout de suite", "au revoir", "abonnez vous",
		"bonne journee", "c est parti",
		"ok", "oui", "non", "ah", "oh", "hum", "mmh", "hein",
		"musique", "musique douce", "applaudissements", "rires", "silence", "generique",
		"you", "thank you", "thanks", "thank you very much", "bye", "bye bye", "okay", "so", "the end", "i m sorry",
		"music", "applause", "laughter", "gracias", "danke", "grazie", "obrigado", "vielen dank", "muchas gracias",
	}, sentence)
}
