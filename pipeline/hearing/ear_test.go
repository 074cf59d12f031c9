package hearing

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/pipeline"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// levelVAD takes what is loud for speech, unless it is noise to the eye.
type levelVAD struct{}

func (levelVAD) Speech(ctx context.Context, _ *pipeline.VADState, pcm []float32) ([]float32, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(pcm)%pipeline.FrameSamples != 0 {
		return nil, errors.New("broken frame")
	}
	out := make([]float32, len(pcm)/pipeline.FrameSamples)
	for i := range out {
		if audio.RMS(pcm[i*pipeline.FrameSamples:(i+1)*pipeline.FrameSamples]) > 0.1 {
			out[i] = 0.95
		}
	}
	return out, nil
}

// voice is seconds of what levelVAD takes for speech.
func voice(seconds float64) []float32 {
	return audiotest.Tone(200, 0.5, pipeline.InputRate, int(seconds*pipeline.InputRate))
}

// script answers with the lines in turn; after the last, the last again.
type script struct {
	lines []pipeline.Transcript
	asked []pipeline.Speech
	err   error
	later error // of every call but the first
	takes time.Duration
}

func say(lines ...string) *script {
	s := &script{}
	for _, l := range lines {
		s.lines = append(s.lines, pipeline.Transcript{Text: l, Language: "fr", Model: "base", Tokens: 5})
	}
	return s
}

func (s *script) Transcribe(ctx context.Context, sp pipeline.Speech) (pipeline.Transcript, error) {
	if ctx.Err() != nil {
		return pipeline.Transcript{}, context.Cause(ctx)
	}
	s.asked = append(s.asked, sp)
	if s.takes > 0 {
		<-time.After(s.takes)
	}
	if s.later != nil && len(s.asked) > 1 {
		return pipeline.Transcript{}, s.later
	}
	t := s.lines[min(len(s.asked), len(s.lines))-1]
	return t, s.err
}

type stream struct {
	pcm []float32
	err error
}

func (s *stream) Read(dst []float32) (int, error) {
	if len(s.pcm) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		return 0, io.EOF
	}
	n := copy(dst[:min(len(dst), 1234)], s.pcm)
	s.pcm = s.pcm[n:]
	return n, nil
}

func TestFakeVADConforms(t *testing.T) {
	// The suite's noise is not loud, so that the fake passes too.
	enginetest.VAD(t, levelVAD{}, voice(2))
}

func TestTranscribeJoinsUtterances(t *testing.T) {
	stt := say("Bonjour.", "Quelle heure est-il ?")
	ear := &Ear{VAD: levelVAD{}, STT: stt}
	pcm := slices.Concat(audiotest.Silence(32000), voice(1), audiotest.Silence(32000), voice(1.5), audiotest.Silence(16000))
	var segs []pipeline.Segment
	started := 0
	got, err := ear.Transcribe(t.Context(), &stream{pcm: pcm}, Options{Language: "fr", Model: "base", Started: func() { started++ }},
		func(s pipeline.Segment) error { segs = append(segs, s); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != "Bonjour. Quelle heure est-il ?" || got.Duration != 7.5 || got.Language != "fr" || got.Model != "base" ||
		got.Tokens != 10 || started != 1 {
		t.Errorf("%+v, started %d times", got, started)
	}
	if len(segs) != 2 || !slices.Equal(segs, got.Segments) {
		t.Fatalf("segments %+v, emitted %+v", got.Segments, segs)
	}
	for i, want := range [][2]float64{{1.7, 3.2}, {4.7, 6.7}} {
		if math.Abs(segs[i].Start-want[0]) > 0.06 || math.Abs(segs[i].End-want[1]) > 0.06 {
			t.Errorf("segment %d: %+v, want %v", i, segs[i], want)
		}
	}
	if n := len(stt.asked[0].PCM); n > 26000 || stt.asked[0].Language != "fr" || stt.asked[0].Model != "base" {
		t.Errorf("the recognizer was given %d samples of %+v", n, stt.asked[0].Language)
	}
}

func TestHoursInConstantMemory(t *testing.T) {
	stt := say("Encore.")
	ear := &Ear{VAD: levelVAD{}, STT: stt}
	piece := slices.Concat(voice(16), audiotest.Silence(16000))
	n := 0
	got, err := ear.Transcribe(t.Context(), sourceFunc(func(dst []float32) (int, error) {
		if n += len(dst); n > 10*60*pipeline.InputRate {
			return 0, io.EOF
		}
		at := n % (len(piece) - len(dst))
		return copy(dst, piece[at:]), nil
	}), Options{}, nil)
	if err != nil || got.Duration < 599 {
		t.Fatalf("%v s, %v", got.Duration, err)
	}
	for _, s := range stt.asked {
		if len(s.PCM) > 15.5*pipeline.InputRate {
			t.Fatalf("an utterance of %d samples", len(s.PCM))
		}
	}
}

type sourceFunc func([]float32) (int, error)

func (f sourceFunc) Read(dst []float32) (int, error) { return f(dst) }

func TestNoSpeech(t *testing.T) {
	click := audiotest.Silence(64000)
	copy(click[20000:], voice(0.05))
	for name, pcm := range map[string][]float32{
		"nothing": nil, "silence": audiotest.Silence(40000), "noise": audiotest.Pink(0.05, 40000, 1), "click": click,
	} {
		stt := say("Sous-titres réalisés par la communauté d'Amara.org")
		got, err := (&Ear{VAD: levelVAD{}, STT: stt}).Transcribe(t.Context(), &stream{pcm: pcm}, Options{}, nil)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Code != "no_speech" || len(stt.asked) > 0 {
			t.Errorf("%s: %q, %v, asked %d times", name, got.Text, err, len(stt.asked))
		}
		if want := float64(len(pcm)) / pipeline.InputRate; got.Duration != want {
			t.Errorf("%s: %v s, not %v", name, got.Duration, want)
		}
	}
}

func TestEndings(t *testing.T) {
	pcm := slices.Concat(voice(1), audiotest.Silence(32000))
	ear := func(s *script) *Ear { return &Ear{VAD: levelVAD{}, STT: s} }
	boom := errors.New("boom")
	if _, err := ear(say("Bonjour.")).Transcribe(t.Context(), &stream{pcm: pcm}, Options{}, func(pipeline.Segment) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("an error of emit: %v", err)
	}
	if _, err := ear(say("Bonjour.")).Transcribe(t.Context(), &stream{pcm: pcm, err: boom}, Options{}, nil); !errors.Is(err, boom) {
		t.Errorf("an error of the source: %v", err)
	}
	s := say("x")
	s.err = fault.New(fault.Unavailable, "engine_failed", "no")
	if _, err := ear(s).Transcribe(t.Context(), &stream{pcm: pcm}, Options{}, nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an error of the recognizer: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrBargeIn)
	if _, err := ear(say("x")).Transcribe(ctx, &stream{pcm: pcm}, Options{}, nil); !errors.Is(err, fault.ErrBargeIn) {
		t.Errorf("an ended context: %v", err)
	}
}

func utterance(voiced float64, confidence float32) Utterance {
	return Utterance{
		PCM: voice(voiced + 0.5), Voiced: time.Duration(voiced * float64(time.Second)), Confidence: confidence,
	}
}

func TestGuards(t *testing.T) {
	tests := []struct {
		heard      string
		voiced     float64
		confidence float32
		want       string
	}{
		{"Merci.", 0.5, 0.95, "Merci."},
		{"Merci.", 0.1, 0.95, ""}, // nobody says it that fast
		{"Merci.", 0.5, 0.55, ""}, // hardly a voice
		{"Merci.", 5, 0.95, ""},   // five seconds of something else
		{"Oui.", 0.25, 0.9, "Oui."},
		{"Merci, au revoir.", 1, 0.9, "Merci, au revoir."},
		{"Merci. J'ai encore une question sur ma facture.", 3, 0.9, "Merci. J'ai encore une question sur ma facture."},
		{"Merci d'avoir regardé cette vidéo !", 0.3, 0.9, ""},
		{"Merci d'avoir regardé cette vidéo !", 1.6, 0.95, "Merci d'avoir regardé cette vidéo !"},
		{"Quelle heure est-il ? Merci d'avoir regardé cette vidéo !", 1.6, 0.95, "Quelle heure est-il ?"},
		{"Thank you for watching.", 0.3, 0.6, ""},
		{"Sous-titres réalisés par la communauté d'Amara.org", 3, 0.99, ""},
		{"Sous-titres réalisés para la communauté d'Amara.org", 3, 0.99, ""},
		{"Sous-titrage Société Radio-Canada", 2, 0.99, ""},
		{"SOUS-TITRAGE : SOCIÉTÉ RADIO-CANADA.", 2, 0.99, ""},
		{"❤️ par SousTitreur.com", 2, 0.99, ""},
		{"Sous-titres par Juanfrance", 2, 0.99, ""},
		{"Bonjour. Sous-titrage ST' 501", 2, 0.99, "Bonjour."},
		{"Comment faire des sous-titres par ordinateur ?", 2, 0.99, "Comment faire des sous-titres par ordinateur ?"},
		{"La transcription par Whisper est bonne.", 2, 0.99, "La transcription par Whisper est bonne."},
		{"...", 1, 0.9, ""},
		{" – ?! … ", 1, 0.9, ""},
		{"[Musique]", 1, 0.9, ""},
		{"*rires*", 1, 0.9, ""},
		{"♪ la la la ♪", 1, 0.9, ""},
		{"[Musique] Bonjour à tous.", 1, 0.9, "Bonjour à tous."},
		{"M. Dupont habite au 3,14 rue de l'Œuvre.", 2, 0.9, "M. Dupont habite au 3,14 rue de l'Œuvre."},
	}
	for _, tt := range tests {
		ear := &Ear{VAD: levelVAD{}, STT: say(tt.heard)}
		got, err := ear.Recognize(t.Context(), utterance(tt.voiced, tt.confidence), Options{})
		if got.Text != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%q (%.1f s, %.2f): got %q, %v", tt.heard, tt.voiced, tt.confidence, got.Text, err)
		}
		if err != nil && fault.As(err).Code != "no_speech" {
			t.Errorf("%q: %v", tt.heard, err)
		}
		if err == nil && (len(got.Segments) != 1 || got.Segments[0].Text != tt.want) {
			t.Errorf("%q: segments %+v", tt.heard, got.Segments)
		}
	}
	quiet := utterance(1, 0.9)
	for i := range quiet.PCM {
		quiet.PCM[i] *= 1e-4
	}
	if _, err := (&Ear{STT: say("Bonjour.")}).Recognize(t.Context(), quiet, Options{}); fault.As(err).Code != "no_speech" {
		t.Errorf("sound below hearing: %v", err)
	}
}

func TestLoopsAreHeardAgain(t *testing.T) {
	loop := strings.Repeat("Mot de passe. ", 12)
	tests := []struct{ first, second, want string }{
		{loop, "Mot de passe.", "Mot de passe."},
		{loop, loop, "Mot de passe."},
		{"Le t-t-t-t-t-t-t-t", "Le train.", "Le train."},
		{"Bonjour " + strings.Repeat("à vous et ", 9) + "à", "Bonjour " + strings.Repeat("à vous et ", 30) + "à", "Bonjour à vous et"},
		{strings.Repeat("a", 300), strings.Repeat("b", 300), ""},
		{"Non, non, non, non, non, non !", "Non, non, non, non, non, non !", "Non, non, non, non, non, non !"},
	}
	for _, tt := range tests {
		stt := say(tt.first, tt.second)
		got, err := (&Ear{STT: stt}).Recognize(t.Context(), utterance(1, 0.95), Options{Prompt: "Avant."})
		if got.Text != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%.40q then %.40q: %q, %v", tt.first, tt.second, got.Text, err)
		}
		if len(stt.asked) != 2 || stt.asked[0].Thorough || !stt.asked[1].Thorough || stt.asked[1].Prompt != "" {
			t.Errorf("%.40q: asked %d times", tt.first, len(stt.asked))
		}
	}
	// A transcript that was cut off is heard again even when it looks well.
	stt := say("Je voudrais", "Je voudrais un café.")
	stt.lines[0].Capped = true
	if got, err := (&Ear{STT: stt}).Recognize(t.Context(), utterance(2, 0.95), Options{}); err != nil || got.Text != "Je voudrais un café." || got.Tokens != 10 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{
		"Un deux un deux.", "Appuyez sur 1. Appuyez sur 2. Appuyez sur 3. Appuyez sur 4.", "1000000000",
		"Le numéro est le 01 01 01 02.", "C'est très, très, très bien.", "Ha ha ha !",
		"Nous nous sommes vus, vous vous souvenez ?",
	} {
		if loops(s) {
			t.Errorf("%q is no loop", s)
		}
	}
}

// TestUnsureTranscripts: what the recognizer hesitates over is heard again, and the surer result stays.
func TestUnsureTranscripts(t *testing.T) {
	type try struct {
		text       string
		confidence float64
	}
	const first, second = "Pour annuler, appuyer ce rétoile.", "Pour annuler, appuyez sur étoile."
	tests := []struct {
		name  string
		tries []try
		want  string
		asked int
	}{
		{"sure", []try{{first, 0.9}, {second, 0.95}}, first, 1},
		{"an engine that does not tell", []try{{first, 0}, {second, 0.95}}, first, 1},
		{"better", []try{{first, 0.6}, {second, 0.7}}, second, 2},
		{"worse", []try{{first, 0.6}, {second, 0.5}}, first, 2},
		{"everything twice", []try{{first, 0.6}, {first + " " + first, 0.7}}, first, 2},
		{"nothing", []try{{first, 0.6}, {"", 0.7}}, first, 2},
		{"a loop", []try{{first, 0.6}, {strings.Repeat("a b ", 10), 0.7}}, first, 2},
	}
	for _, tt := range tests {
		stt := &script{}
		for _, x := range tt.tries {
			stt.lines = append(stt.lines, pipeline.Transcript{Text: x.text, Tokens: 5, Confidence: x.confidence})
		}
		got, err := (&Ear{STT: stt}).Recognize(t.Context(), utterance(2, 0.95), Options{Prompt: "Avant."})
		if err != nil || got.Text != tt.want || len(stt.asked) != tt.asked || got.Tokens != 5*tt.asked {
			t.Errorf("%s: %q, %d tokens, asked %d times, %v", tt.name, got.Text, got.Tokens, len(stt.asked), err)
		}
		if last := stt.asked[len(stt.asked)-1]; last.Thorough != (tt.asked == 2) || last.Prompt != "Avant." {
			t.Errorf("%s: asked with %q, thorough %v", tt.name, last.Prompt, last.Thorough)
		}
	}
}

// TestFailingSecondTry: the first result of an unsure recognizer outlives an error of the second.
func TestFailingSecondTry(t *testing.T) {
	boom := fault.New(fault.Unavailable, "engine_restarted", "gone")
	stt := &script{lines: []pipeline.Transcript{{Text: "Bonjour.", Confidence: 0.5}}, later: boom}
	got, err := (&Ear{STT: stt}).Recognize(t.Context(), utterance(1, 0.95), Options{})
	if err != nil || got.Text != "Bonjour." || len(stt.asked) != 2 {
		t.Errorf("unsure: %q, %v, asked %d times", got.Text, err, len(stt.asked))
	}
	stt = &script{lines: []pipeline.Transcript{{Text: "Bonjour.", Capped: true}}, later: boom}
	if _, err := (&Ear{STT: stt}).Recognize(t.Context(), utterance(1, 0.95), Options{}); !errors.Is(err, boom) {
		t.Errorf("a loop: %v", err)
	}
}

// TestNoTimeForASecondTry: a caller in a hurry gets the first result.
func TestNoTimeForASecondTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, want := range map[time.Duration]int{3 * time.Second: 1, 5 * time.Second: 2} {
			stt := &script{lines: []pipeline.Transcript{{Text: "Bonjour.", Confidence: 0.5}}, takes: time.Second}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second+left)
			got, err := (&Ear{STT: stt}).Recognize(ctx, utterance(1, 0.95), Options{})
			cancel()
			if err != nil || got.Text != "Bonjour." || len(stt.asked) != want {
				t.Errorf("%v left: %q, asked %d times, %v", left, got.Text, len(stt.asked), err)
			}
		}
	})
}

// FuzzClean checks that cleaning never panics, adds nothing and is settled after one round.
func FuzzClean(f *testing.F) {
	f.Add("Bonjour. Sous-titres réalisés par la communauté d'Amara.org", 1.0)
	f.Add("[Musique] *rires* ♪ oui oui oui oui oui oui", 0.3)
	f.Fuzz(func(t *testing.T, text string, voiced float64) {
		u := Utterance{Voiced: time.Duration(math.Mod(math.Abs(voiced), 20) * float64(time.Second)), Confidence: 0.9}
		got := clean(text, u)
		if letters(got) > letters(text) || len(collapse(text)) > len(text)+len(text) {
			t.Fatalf("%q became %q", text, got)
		}
		loops(text)
	})
}

// TestQuick: who waits for an answer gets what was heard first, sure or not; a loop is still heard again.
func TestQuick(t *testing.T) {
	const loop = "Mot de passe. Mot de passe. Mot de passe. Mot de passe. Mot de passe. Mot de passe."
	for first, asked := range map[string]int{"Pour annuler, appuyer ce rétoile.": 1, loop: 2} {
		stt := &script{lines: []pipeline.Transcript{
			{Text: first, Tokens: 5, Confidence: 0.6}, {Text: "Mot de passe.", Tokens: 5, Confidence: 0.9},
		}}
		got, err := (&Ear{STT: stt}).Recognize(t.Context(), utterance(2, 0.95), Options{Quick: true})
		if err != nil || len(stt.asked) != asked {
			t.Errorf("%q became %q, asked %d times, %v", first, got.Text, len(stt.asked), err)
		}
	}
}
