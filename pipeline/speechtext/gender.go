package speechtext

import "strings"

// feminineNouns are frequent feminine nouns (and adjectives that stand before one) whose ending does not
// tell.
//
//nolint:gochecknoglobals,misspell // read-only French
var feminineNouns = set(`
 heure minute seconde tonne livre page voiture personne fois année semaine journée nuit soirée femme
 fille mère sœur dame chose place pièce pomme poire carotte tomate orange banane fraise cerise
 courgette aubergine gousse cuillère cuillerée tasse tranche pincée poignée feuille branche goutte
 bouteille boîte casserole poêle assiette étape ligne colonne phrase lettre virgule carte porte
 fenêtre chambre maison ville rue route île région école classe équipe victoire défaite balle étoile
 planète langue règle loi idée part moitié demi-heure douzaine dizaine quinzaine vingtaine trentaine
 centaine entreprise société banque facture commande table chaise lampe photo image vidéo radio moto
 télé série histoire vie mort mer montagne plage forêt fleur plante bête vache poule chèvre souris
 chienne jambe main tête dent oreille bouche grande petite belle bonne nouvelle autre seule première
 dernière deuxième jeune longue vieille grosse petite-fille marche tâche note clé clef adresse
 erreur couleur douleur fleur peur valeur longueur largeur hauteur profondeur voix croix noix fin
 faim main dent part mort nuit fonction méthode classe requête réponse question option variable
 boucle liste base table donnée copie partie copine tante nièce cousine grand-mère bière crêpe tarte
 soupe salade pizza galette brioche baguette vitamine protéine calorie dose goutte pilule gélule
 séance manche corde mille-feuille manière façon raison saison chanson maison prison leçon boisson
 livraison rançon œuvre cellule molécule particule marque robe jupe chemise veste chaussette
 chaussure montre bague chaîne machine télécommande piste gare ligne halte finale demi-finale
 cuisine usine racine semaine cabine médecine farine vitrine`)

// set splits words into a set.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// takesFeminine tells whether a number before this text counts a feminine noun.
func takesFeminine(after string) bool {
	if !strings.HasPrefix(after, " ") {
		return false
	}
	if rest, ok := strings.CutPrefix(after, " demi-"); ok {
		return isFeminine(wordAt(rest))
	}
	return isFeminine(wordAt(after))
}

// isFeminine guesses the gender of a noun: a list, then the endings that are feminine nearly always.
func isFeminine(noun string) bool {
	one := strings.TrimSuffix(noun, "s")
	if feminineNouns[noun] || feminineNouns[one] {
		return true
	}
	switch one {
	case "", "silence", "lycée", "musée", "trophée", "comité", "été", "côté", "traité", "arrêté", "pâté",
		"génie", "incendie",
		"mètre", "parapluie", "squelette", "bâtonnet", "député", "employé", "café", "thé", "blé", "degré",
		"carré", "invité",
		"marché", "congé", "procédé", "résumé", "scarabée", "apogée", "foie", "camion", "avion", "million",
		"milliard",
		"stade", "grade", "vermicelle", "poste", "libellé", "groupe":
		return false
	}
	for _, end := range [...]string{
		"tion", "sion", "xion", "aison", "té", "ée", "tte", "ance", "ence", "ie", "ture", "esse", "ade", "tude",
		"ille", "elle",
		"euse", "trice", "enne", "onne",
	} {
		if strings.HasSuffix(one, end) && len(one) > len(end)+1 {
			return true
		}
	}
	return false
}
