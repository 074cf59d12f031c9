package vision_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
	"brenda/pipeline/schedule"
	"brenda/rest/httpx"
	"brenda/rest/vision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reader says which languages it was asked to read, in the size of the picture.
type reader struct {
	langs, later []string // installed from the start; found by a refresh
	err          error
}

func (r *reader) Languages(_ context.Context, refresh bool) ([]string, error) {
	if refresh {
		return append(append([]string{}, r.langs...), r.later...), nil
	}
	return r.langs, nil
}

func (r *reader) Read(_ context.Context, img image.Image, langs []string) (picture.Page, error) {
	b := img.Bounds()
	text := fmt.Sprintf("%s %d×%d", strings.Join(langs, "+"), b.Dx(), b.Dy())
	word := picture.Word{Text: text, Confidence: 2.0 / 3, Box: image.Rect(1, 2, 5, 9)}
	return picture.Page{Text: text, Confidence: 0.5, Words: []picture.Word{word}}, r.err
}

// judge supports labels that are not in capitals, the longer the better.
type judge struct{ err error }

func (j judge) Judge(_ context.Context, _ image.Image, labels []string) ([]picture.Score, error) {
	out := make([]picture.Score, len(labels))
	sum := 0.0
	for i, l := range labels {
		out[i] = picture.Score{Label: l, Supported: strings.ToUpper(l) != l}
		if out[i].Supported {
			out[i].Score = float64(len(l))
			sum += out[i].Score
		}
	}
	for i := range out {
		out[i].Score /= sum
	}
	return out, j.err
}

func service(r *reader, j judge) *vision.Service {
	return vision.New(vision.Config{
		Readers: map[string]vision.Reader{"fake": r}, Reader: "fake", Judges: map[string]vision.Judge{"fake": j}, Judge: "fake",
		Language: "fr", Queue: schedule.NewMachine(0).Queue(schedule.Config{Name: "vision", Running: 2}),
	})
}

func ask(h httpx.Handler, body string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func square(t *testing.T, w, h int) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	img.SetNRGBA(0, 0, color.NRGBA{0, 0, 255, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// bomb is a PNG that claims 10,000 million pixels.
func bomb() string {
	head := append([]byte("IHDR"), 0, 1, 0x86, 0xA0, 0, 1, 0x86, 0xA0, 8, 6, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...)
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(head)))
}

func TestOCR(t *testing.T) {
	s := service(&reader{langs: []string{"chi_sim", "deu", "eng", "fra"}, later: []string{"ita"}}, judge{})
	for lang, want := range map[string]string{
		"": "fra", "fr": "fra", "fra": "fra", "fre": "fra", "FR": "fra", "fr-CA": "fra", "en": "eng", "de": "deu", "ger": "deu",
		"fra+eng": "fra+eng", "fr, en": "fra+eng", "fr+fra": "fra", "zh": "chi_sim", "it": "ita", "chi_sim": "chi_sim",
	} {
		status, body := ask(s.OCR, `{"image":"data:image/png;base64,`+square(t, 7, 3)+`","lang":"`+lang+`"}`)
		var got struct {
			Text, Lang, Engine string
			Confidence         float64
			Words              []struct {
				Text       string
				Confidence float64
				Box        [4]int
			}
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Errorf("%q: %d %s", lang, status, body)
			continue
		}
		if lang == "" {
			lang = "fr"
		}
		if got.Text != want+" 7×3" || got.Lang != lang || got.Confidence != 0.5 || got.Engine != "fake" || len(got.Words) != 1 ||
			got.Words[0].Box != [4]int{1, 2, 4, 7} || got.Words[0].Confidence != 0.6667 {
			t.Errorf("%q: %s", lang, body)
		}
	}
}

func TestAnalyze(t *testing.T) {
	s := service(&reader{}, judge{})
	status, body := ask(s.Analyze, `{"image":"`+square(t, 4, 2)+`","labels":["un","trois","NON"," un "]}`)
	want := `{"labels":[{"label":"trois","score":0.7142857142857143},{"label":"un","score":0.2857142857142857},` +
		`{"label":"NON","supported":false}],"image":{"width":4,"height":2,"format":"png","size":`
	if status != 200 || !strings.HasPrefix(body, want) || !strings.Contains(body, `"colors":[{"hex":"#ffffff","share":0.875}`) {
		t.Errorf("%d %s", status, body)
	}
	for _, labels := range []string{``, `,"labels":null`, `,"labels":[]`} {
		status, body := ask(s.Analyze, `{"image":"`+square(t, 4, 2)+`"`+labels+`}`)
		var got struct{ Labels []struct{ Score float64 } }
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || len(got.Labels) < 30 {
			t.Fatalf("%d %s", status, body)
		}
		sum, last := 0.0, 1.0
		for _, l := range got.Labels {
			if l.Score > last {
				t.Errorf("not falling: %s", body)
			}
			sum, last = sum+l.Score, l.Score
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("the scores sum to %v", sum)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := service(&reader{langs: []string{"eng", "fra"}}, judge{})
	img, text := square(t, 2, 2), base64.StdEncoding.EncodeToString([]byte("this is a text"))
	many := strings.Repeat(`"a",`, 100) + `"a"`
	for name, c := range map[string]struct {
		handler     httpx.Handler
		body        string
		status      int
		code, param string
	}{
		"ocr nothing":     {s.OCR, `{}`, 400, "invalid_request", "image"},
		"ocr null":        {s.OCR, `{"image":null}`, 400, "invalid_request", "image"},
		"ocr number":      {s.OCR, `{"image":5}`, 400, "invalid_request", "image"},
		"ocr not base64":  {s.OCR, `{"image":"*"}`, 400, "invalid_request", "image"},
		"ocr text":        {s.OCR, `{"image":"` + text + `"}`, 415, "unsupported_image", "image"},
		"ocr bomb":        {s.OCR, `{"image":"` + bomb() + `"}`, 413, "image_too_large", "image"},
		"ocr cut":         {s.OCR, `{"image":"` + img[:60] + `"}`, 415, "unsupported_image", "image"},
		"ocr lang":        {s.OCR, `{"image":"` + img + `","lang":"xx"}`, 400, "invalid_request", "lang"},
		"ocr option":      {s.OCR, `{"image":"` + img + `","lang":"--help"}`, 400, "invalid_request", "lang"},
		"ocr lang type":   {s.OCR, `{"image":"` + img + `","lang":5}`, 400, "invalid_request", "lang"},
		"ocr many":        {s.OCR, `{"image":"` + img + `","lang":"a+b+c+d+e+f"}`, 400, "invalid_request", "lang"},
		"ocr plus":        {s.OCR, `{"image":"` + img + `","lang":"+"}`, 400, "invalid_request", "lang"},
		"ocr engine":      {s.OCR, `{"image":"` + img + `","engine":"x"}`, 400, "invalid_request", "engine"},
		"analyze nothing": {s.Analyze, `{"labels":["a"]}`, 400, "invalid_request", "image"},
		"analyze text":    {s.Analyze, `{"image":"` + text + `"}`, 415, "unsupported_image", "image"},
		"analyze bomb":    {s.Analyze, `{"image":"` + bomb() + `"}`, 413, "image_too_large", "image"},
		"analyze list":    {s.Analyze, `{"image":"` + img + `","labels":"a"}`, 400, "invalid_request", "labels"},
		"analyze type":    {s.Analyze, `{"image":"` + img + `","labels":[1]}`, 400, "invalid_request", "labels"},
		"analyze null":    {s.Analyze, `{"image":"` + img + `","labels":[null]}`, 400, "invalid_request", "labels"},
		"analyze blank":   {s.Analyze, `{"image":"` + img + `","labels":["a"," "]}`, 400, "invalid_request", "labels"},
		"analyze many":    {s.Analyze, `{"image":"` + img + `","labels":[` + many + `]}`, 400, "invalid_request", "labels"},
		"analyze long":    {s.Analyze, `{"image":"` + img + `","labels":["` + strings.Repeat("é", 201) + `"]}`, 400, "invalid_request", "labels"},
		"fields first":    {s.Analyze, `{"image":"` + bomb() + `","labels":[""]}`, 400, "invalid_request", "labels"},
	} {
		status, body := ask(c.handler, c.body)
		var got struct{ Error httpx.Problem }
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != c.status || got.Error.Code != c.code || got.Error.Param != c.param {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if _, body := ask(s.OCR, `{"image":"`+img+`","lang":"xx"}`); !strings.Contains(body, "eng, fra") {
		t.Errorf("the languages are not listed: %s", body)
	}
}

// TestEnginesFail: what an engine says arrives, and no more than it may say.
func TestEnginesFail(t *testing.T) {
	gone := fault.New(fault.Unavailable, "engine_missing", "run: apt-get install it")
	s := service(&reader{langs: []string{"fra"}, err: gone}, judge{errors.New("/secret/path")})
	if status, body := ask(s.OCR, `{"image":"`+square(t, 2, 2)+`"}`); status != 503 || !strings.Contains(body, "apt-get") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := ask(s.Analyze, `{"image":"`+square(t, 2, 2)+`"}`); status != 500 || strings.Contains(body, "secret") {
		t.Errorf("%d %s", status, body)
	}
}

// TestSideBySide: requests at the same time do not mix.
func TestSideBySide(t *testing.T) {
	s := service(&reader{langs: []string{"eng", "fra"}}, judge{})
	var group sync.WaitGroup
	for i := range 12 {
		img := square(t, i+1, 2)
		group.Go(func() {
			if status, body := ask(s.OCR, `{"image":"`+img+`"}`); status != 200 || !strings.Contains(body, fmt.Sprintf(`"text":"fra %d×2"`, i+1)) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	group.Wait()
}
