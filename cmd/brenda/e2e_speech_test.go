package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"brenda/audio/audiotest"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/speechtext"
)

// everyday is what a voice assistant says all day.
var everyday = []string{
	"Bonjour, comment allez-vous aujourd'hui ?",
	"Il fait beau ce matin, mais il va pleuvoir cet après-midi.",
	"Votre rendez-vous est prévu demain à quatorze heures trente.",
	"La lumière du salon est maintenant éteinte.",
	"Je n'ai pas compris votre question, pouvez-vous la répéter ?",
	"La capitale de la France est Paris.",
	"Le train pour Lyon part dans vingt minutes.",
	"Voici les nouvelles de la journée.",
	"Le magasin ferme à dix-neuf heures.",
	"Vous avez trois nouveaux messages.",
	"La température extérieure est de douze degrés.",
	"J'ai ajouté du lait et du pain à votre liste de courses.",
	"Victor Hugo a écrit Les Misérables.",
	"Le musée est ouvert tous les jours sauf le mardi.",
	"Je mets de la musique douce.",
	"Votre colis arrivera jeudi prochain.",
	"La réunion a été reportée à la semaine prochaine.",
	"Quelle heure est-il à Tokyo ?",
	"Le médecin vous attend dans son bureau.",
	"Il reste deux places libres dans le parking.",
	"La bibliothèque se trouve au deuxième étage.",
	"Prenez la première rue à gauche, puis continuez tout droit.",
	"Le dîner sera prêt dans une demi-heure.",
	"Je vous souhaite une excellente soirée.",
	"N'oubliez pas de fermer la porte en partant.",
	"Le chat dort sur le canapé.",
	"Cette recette demande deux œufs et un peu de sucre.",
	"Mon fils apprend à jouer du piano.",
	"Les enfants jouent dans le jardin.",
	"Merci beaucoup pour votre aide.",
}

// TestVoiceIsUnderstood has everyday sentences spoken, and written down again.
func TestVoiceIsUnderstood(t *testing.T) {
	p := server(t)
	var all audiotest.Errors
	for _, sentence := range everyday {
		resp := p.request(t, "/v1/ai/speech/text-to-speech", "audio/wav", map[string]any{"text": sentence})
		sound, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.StatusCode, err, string(sound))
		}
		back := p.post(t, "/v1/ai/speech/speech-to-text", "", map[string]any{"audio": base64.StdEncoding.EncodeToString(sound)})
		var heard struct{ Text string }
		if err := json.NewDecoder(back.Body).Decode(&heard); err != nil {
			t.Fatal(err)
		}
		// Numbers may be written in figures: both sides are compared as they are spoken.
		e := audiotest.Compare(speechtext.Verbalize(sentence, "fr"), speechtext.Verbalize(heard.Text, "fr"))
		if e.Rate() > 0 {
			t.Logf("%.2f  %s\n      %s", e.Rate(), sentence, heard.Text)
		}
		all = all.Add(e)
	}
	t.Logf("%d sentences, %d words: word error rate %.1f %%", len(everyday), all.Words, 100*all.Rate())
	if all.Rate() > 0.15 {
		t.Errorf("word error rate %.1f %%, more than 15 %%", 100*all.Rate())
	}
}

// command runs brenda as a user does, with a server of its own unless one is given.
func command(t *testing.T, input string, args ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "BRENDA_TEST_MAIN=1", "BRENDA_DATA="+t.TempDir(), "BRENDA_LISTEN=127.0.0.1:1",
		"BRENDA_MODELS_DIR="+enginetest.ModelsDir(t), "BRENDA_LLM_MODEL=qwen2.5-coder-0.5b")
	cmd.Stdin = strings.NewReader(input)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("brenda %v: %v\n%s%s", args, err, out, errOut.String())
	}
	return string(out)
}

// TestCommandsWorkAlone says, transcribes and chats without a server.
func TestCommandsWorkAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.wav", "a.mp3"} {
		file := filepath.Join(dir, name)
		command(t, "Bonjour, je suis votre assistante.", "say", "-o", file)
		if heard := command(t, "", "transcribe", file); !strings.Contains(strings.ToLower(heard), "assistant") {
			t.Errorf("%s: %q", name, heard)
		}
	}
	answers := filepath.Join(dir, "b.wav")
	if out := command(t, "Dis bonjour.\n", "chat", "-o", answers); len(strings.TrimSpace(out)) < 3 {
		t.Errorf("chat wrote %q", out)
	}
	if info, err := os.Stat(answers); err != nil || info.Size() < 10000 {
		t.Errorf("no sound of the answer: %v", err)
	}
}
