package translate_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"brenda/pipeline/fault"
	"brenda/pipeline/translation"
	"brenda/rest/httpx"
	"brenda/rest/translate"
)

// fake translates into capitals, by way of "es".
type fake struct{ ways []translation.Way }

func (f fake) Ways(context.Context) []translation.Way { return f.ways }

func (f fake) Translate(_ context.Context, q translation.Request) (translation.Answer, error) {
	if q.To == "de" {
		return translation.Answer{}, fault.Field("to_lang", "possible are: fr-en")
	}
	a := translation.Answer{Text: strings.ToUpper(q.Text), From: q.From, To: q.To, Engine: "fake"}
	if q.To == "en" {
		a.Pivot = []string{"es"}
	}
	return a, nil
}

// ask calls a handler and returns the status and the body, with the members of objects in order.
func ask(t *testing.T, h httpx.Handler, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body)))
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

func TestTranslate(t *testing.T) {
	s := translate.New(fake{})
	for body, want := range map[string]string{
		`{"text":"un <b>é","from_lang":"fr","to_lang":"en"}`: `{"engine":"fake","from_lang":"fr","pivot":["es"],"text":"UN \u003cB\u003eÉ","to_lang":"en"}`,
		`{"text":"un","from_lang":"fr","to_lang":"es"}`:      `{"engine":"fake","from_lang":"fr","text":"UN","to_lang":"es"}`,
	} {
		if code, got := ask(t, s.Translate, body); code != http.StatusOK || got != want {
			t.Errorf("%s: %d %s", body, code, got)
		}
	}
	for body, param := range map[string]string{
		`{"text":" ","from_lang":"fr","to_lang":"en"}`:  "text",
		`{"text":"un","to_lang":"en"}`:                  "from_lang",
		`{"text":"un","from_lang":"fr"}`:                "to_lang",
		`{"text":["un"],"from_lang":"fr"}`:              "text",
		`{"text":"un","from_lang":1,"to_lang":"en"}`:    "from_lang",
		`{"text":"un","from_lang":"fr","to_lang":"de"}`: "to_lang",
	} {
		if code, got := ask(t, s.Translate, body); code != http.StatusBadRequest || !strings.Contains(got, `"param":"`+param+`"`) {
			t.Errorf("%s: %d %s", body, code, got)
		}
	}
}

func TestLanguages(t *testing.T) {
	if code, got := ask(t, translate.New(fake{}).Languages, ""); code != http.StatusOK || got != `{"languages":[],"pairs":[]}` {
		t.Errorf("without an engine: %d %s", code, got)
	}
	s := translate.New(fake{[]translation.Way{{From: "fr", To: "en"}, {From: "fr", To: "eo"}, {From: "en", To: "fr"}}})
	want := `{"languages":["fr","en","eo"],"pairs":[["fr","en"],["fr","eo"],["en","fr"]]}`
	if code, got := ask(t, s.Languages, ""); code != http.StatusOK || got != want {
		t.Errorf("%d %s", code, got)
	}
}
