package llmtranslate

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"brenda/pipeline"
	"brenda/pipeline/engine/llamaserver"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
)

// says is a model that always answers the same.
type says struct {
	text, finish string
	err          error
	asked        *pipeline.Prompt
}

func (s says) Generate(_ context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
	if s.asked != nil {
		*s.asked = p
	}
	if s.err != nil {
		return pipeline.Completion{}, s.err
	}
	for _, part := range strings.SplitAfter(s.text, " ") {
		if err := emit(pipeline.Delta{Text: part}); err != nil {
			return pipeline.Completion{}, err
		}
	}
	return pipeline.Completion{FinishReason: s.finish}, nil
}

var frEn = translation.Way{From: "fr", To: "en"}

func TestTranslate(t *testing.T) {
	word, gap := translation.Mark(translation.Word, 0), translation.Mark(translation.Gap, 4)
	var asked pipeline.Prompt
	e := New(says{text: "\"The cat ⟦1⟧\n sleeps⟦ 1004 ⟧.\"", finish: "stop", asked: &asked}, []string{"fr", "en", "de"})
	got, err := e.Translate(t.Context(), frEn, "Le chat "+word+" dort"+gap+".")
	if err != nil || got != "The cat "+word+" sleeps"+gap+"." {
		t.Errorf("%q, %v", got, err)
	}
	if m := asked.Messages; m[1].Content != "Le chat ⟦1⟧ dort⟦1004⟧." || !strings.Contains(m[0].Content, "from French to English") {
		t.Errorf("the model was asked %+v", m)
	}
	if ways, err := e.Ways(t.Context()); err != nil || len(ways) != 6 || ways[0].From != "fr" {
		t.Errorf("%v, %v", ways, err)
	}
	if got := read("« Oui »", "« Yes »"); got != "« Oui »" {
		t.Errorf("quotes of the original: %q", got)
	}
}

func TestFailures(t *testing.T) {
	e := New(says{text: "la la la", finish: "length"}, nil)
	if _, err := e.Translate(t.Context(), frEn, "Le chat."); fault.As(err).Code != "translation_failed" {
		t.Errorf("a model without an end: %v", err)
	}
	down := errors.New("down")
	if _, err := New(says{err: down}, nil).Translate(t.Context(), frEn, "Le chat."); !errors.Is(err, down) {
		t.Errorf("a model that fails: %v", err)
	}
}

// TestRealModel has the smallest model translate a sentence, with an address in it.
func TestRealModel(t *testing.T) {
	const small = "qwen2.5-coder-0.5b"
	files, _ := filepath.Glob(filepath.Join(enginetest.ModelsDir(t), small, "*.gguf"))
	if len(files) == 0 {
		t.Fatalf("no GGUF of %s; run: brenda models pull %s", small, small)
	}
	llm := llamaserver.New(llamaserver.Config{
		Package: filepath.Join(enginetest.ModelsDir(t), "llama-server"), Models: map[string]string{small: files[0]},
		Default: small, Context: 1024, Slots: 1,
	}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = llm.Close() })
	tr := translation.New(translation.Config{
		Sources: []translation.Source{{Name: "llm", Engine: New(llm, []string{"fr", "en"}), Piece: Piece}},
		Rules:   []translation.Rule{{From: "*", To: "*", Engine: "llm"}}, Parallel: 1,
	})
	got, err := tr.Translate(t.Context(), translation.Request{Text: "Le chat noir dort.\nhttps://exemple.fr/a_b", From: "fr", To: "en"})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%q", got.Text)
	if low := strings.ToLower(got.Text); !strings.Contains(low, "cat") || !strings.HasSuffix(got.Text, "\nhttps://exemple.fr/a_b") {
		t.Errorf("%q", got.Text)
	}
}
