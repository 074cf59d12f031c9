package whispercpp

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenda/audio/audiotest"
	"brenda/pipeline"
	"brenda/pipeline/engine/silero"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
	"brenda/pipeline/hearing"
	"brenda/pipeline/speechtext"
)

func ear(tb testing.TB, e *Engine) *hearing.Ear {
	tb.Helper()
	vad, err := silero.Open(filepath.Join(enginetest.ModelsDir(tb), "silero-vad", "silero_vad.onnx"))
	if err != nil {
		tb.Fatalf("%v; run: brenda models pull", err)
	}
	return &hearing.Ear{VAD: vad, STT: e}
}

// sound is a hearing.Source.
type sound struct{ pcm []float32 }

func (s *sound) Read(dst []float32) (int, error) {
	n := copy(dst, s.pcm)
	s.pcm = s.pcm[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestWordErrorRate hears every third of the recorded French prompts of over 1.5 s and compares with
// their texts, both as spoken language: "1" is as right as "un".
//
// The bound is what faster-whisper 1.2.1 makes of the same files with the same weights (int8, beam 5,
// its default), measured once by hand with the same counting, plus one point.
func TestWordErrorRate(t *testing.T) {
	const fasterWhisper = 0.167
	h := ear(t, start(t, nil))
	var long []enginetest.Recording
	for _, r := range enginetest.Speech(t, "fr") {
		if r.Seconds > 1.5 {
			long = append(long, r)
		}
	}
	var all audiotest.Errors
	count := 0
	for i := 0; i < len(long); i += 3 {
		if long[i].Text == "" {
			continue // a few prompts have no text
		}
		clip := long[i].Clip(t)
		got, err := h.Transcribe(t.Context(), &sound{clip.PCM}, hearing.Options{Language: "fr"}, nil)
		if err != nil {
			t.Errorf("%s: %v", long[i].Name, err)
		}
		e := audiotest.Compare(speechtext.Verbalize(clip.Text, "fr"), speechtext.Verbalize(got.Text, "fr"))
		if e.Rate() > 0 {
			t.Logf("%s: %.2f\n  said  %s\n  heard %s", long[i].Name, e.Rate(), clip.Text, got.Text)
		}
		all = all.Add(e)
		count++
	}
	if count < 60 {
		t.Errorf("only %d recordings", count)
	}
	t.Logf("%d recordings, %d words, word error rate %.2f %%; faster-whisper %.2f %%", count, all.Words, 100*all.Rate(), 100*fasterWhisper)
	if all.Rate() > fasterWhisper+0.01 {
		t.Errorf("word error rate %.2f %%, more than a point above faster-whisper's %.2f %%", 100*all.Rate(), 100*fasterWhisper)
	}
}

// TestNoiseIsNoSpeech has the real engines listen to sounds without words.
func TestNoiseIsNoSpeech(t *testing.T) {
	h := ear(t, start(t, nil))
	clicks := audiotest.Silence(5 * pipeline.InputRate)
	for at := 1000; at+400 < len(clicks); at += 9000 {
		copy(clicks[at:], audiotest.White(0.8, 30+at%300, uint64(at)))
	}
	for name, pcm := range map[string][]float32{
		"silence": audiotest.Silence(3 * pipeline.InputRate),
		"pink":    audiotest.Pink(0.2, 5*pipeline.InputRate, 1),
		"white":   audiotest.White(0.1, 3*pipeline.InputRate, 2),
		"tone":    audiotest.Tone(440, 0.5, pipeline.InputRate, 3*pipeline.InputRate),
		"clicks":  clicks,
	} {
		got, err := h.Transcribe(t.Context(), &sound{pcm}, hearing.Options{}, nil)
		if f := fault.As(err); f == nil || f.Code != "no_speech" {
			t.Errorf("%s: %q, %v", name, got.Text, err)
		}
	}
}

// TestShortWordsSurvive: what the guards against inventions must let through.
func TestShortWordsSurvive(t *testing.T) {
	h := ear(t, start(t, nil))
	for name, want := range map[string]string{"fr/auth-thankyou.wav": "merci", "fr/vm-goodbye.wav": "au revoir"} {
		clip := enginetest.NamedSpeech(t, name)[0]
		got, err := h.Transcribe(t.Context(), &sound{clip.PCM}, hearing.Options{}, nil)
		if err != nil || strings.Join(audiotest.Words(got.Text), " ") != want {
			t.Errorf("%s: %q, %v", name, got.Text, err)
		}
	}
}

// TestLongSound joins recordings with pauses to a minute of speech.
func TestLongSound(t *testing.T) {
	h := ear(t, start(t, nil))
	names := []string{"fr/ss-noservice.wav", "fr/conf-onlyperson.wav", "fr/demo-nogo.wav", "fr/pbx-invalid.wav"}
	var pcm []float32
	var said []string
	for _, c := range enginetest.NamedSpeech(t, names...) {
		pcm = append(pcm, c.PCM...)
		pcm = append(pcm, audiotest.Silence(3*pipeline.InputRate)...)
		said = append(said, c.Text)
	}
	var streamed []pipeline.Segment
	got, err := h.Transcribe(t.Context(), &sound{slices.Clone(pcm)}, hearing.Options{}, func(s pipeline.Segment) error {
		streamed = append(streamed, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if wer := audiotest.WER(strings.Join(said, " "), got.Text); wer > 0.3 || len(streamed) < len(names) {
		t.Errorf("word error rate %.2f, %d segments: %q", wer, len(streamed), got.Text)
	}
	for i, s := range got.Segments {
		if s.End <= s.Start || s.End > got.Duration || i > 0 && s.Start < got.Segments[i-1].End {
			t.Errorf("segment %d: %+v", i, s)
		}
	}
}

// BenchmarkShortClip times one call on a 2.4 s clip.
func BenchmarkShortClip(b *testing.B) {
	e := start(b, nil)
	clip := enginetest.NamedSpeech(b, "fr/vm-nonumber.wav")[0]
	if err := e.Load(b.Context(), ""); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Transcribe(b.Context(), pipeline.Speech{PCM: clip.PCM}); err != nil {
			b.Fatal(err)
		}
	}
}
