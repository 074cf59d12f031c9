package realtime

import "testing"

func TestEcho(t *testing.T) {
	const said = "Il fait beau aujourd'hui à Paris, et il fera encore plus beau demain matin. Bonne journée à vous."
	for heard, want := range map[string]bool{
		"Il fait beau aujourd'hui à Paris":        true,
		"il fait beau aujourd'hui a Paris":        true, // misheard
		"fera encore plus beau demain matin":      true,
		"Il fera encore plus chaud demain matin.": true,
		"Et demain ?":                false,
		"Non, je parlais de demain.": false,
		"Il fait froid ici":          false,
		"Merci":                      false,
		"":                           false,
	} {
		if got := (french{}).Echo(heard, said); got != want {
			t.Errorf("%q: %v", heard, got)
		}
	}
	if (french{}).Echo("bonjour", "") {
		t.Error("an echo of nothing")
	}
}
