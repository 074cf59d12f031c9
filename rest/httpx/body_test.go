package httpx_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

type target struct {
	Text   string   `json:"text"`
	Steps  int      `json:"steps"`
	Speed  *float64 `json:"speed"`
	Stream bool     `json:"stream"`
	Labels []string `json:"labels"`
	Nested struct {
		Name string `json:"name"`
	} `json:"nested"`
}

func post(body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ body, code, param, says string }{
		"empty":              {"", "invalid_json", "", "empty"},
		"white space":        {" \n", "invalid_json", "", "empty"},
		"array":              {"[]", "invalid_json", "", "object"},
		"null":               {"null", "invalid_json", "", "object"},
		"string":             {`"x"`, "invalid_json", "", "object"},
		"open":               {`{"text":"a"`, "invalid_json", "text", "too early"},
		"open string":        {`{"text":"a`, "invalid_json", "text", "too early"},
		"no colon":           {`{"text" "a"}`, "invalid_json", "text", "colon"},
		"no comma":           {`{"text":"a" "x":1}`, "invalid_json", "text", "comma"},
		"comma last":         {`{"text":"a",}`, "invalid_json", "text", "name"},
		"bare name":          {`{text:1}`, "invalid_json", "", "name"},
		"bad name":           {`{"\q":1}`, "invalid_json", "", "name"},
		"bad literal":        {`{"stream":tru}`, "invalid_json", "stream", "not valid"},
		"missing value":      {`{"stream":}`, "invalid_json", "stream", "not valid"},
		"control character":  {"{\"text\":\"a\nb\"}", "invalid_json", "text", "not valid"},
		"mismatched":         {`{"labels":[}]}`, "invalid_json", "labels", "not valid"},
		"trailing":           {`{"text":"a"} x`, "invalid_json", "", "behind"},
		"second object":      {`{}{}`, "invalid_json", "", "behind"},
		"number for text":    {`{"text":1}`, "invalid_request", "text", "a string"},
		"text for number":    {`{"steps":"1"}`, "invalid_request", "steps", "an integer"},
		"fraction":           {`{"steps":1.5}`, "invalid_request", "steps", "an integer"},
		"too big a number":   {`{"steps":1e400}`, "invalid_request", "steps", "an integer"},
		"text for a pointer": {`{"speed":"fast"}`, "invalid_request", "speed", "a number"},
		"number for bool":    {`{"stream":1}`, "invalid_request", "stream", "true or false"},
		"object for list":    {`{"labels":{}}`, "invalid_request", "labels", "an array"},
		"nested":             {`{"nested":{"name":[]}}`, "invalid_request", "nested.name", "a string"},
		"list for object":    {`{"nested":[]}`, "invalid_request", "nested", "an object"},
		"too deep":           {`{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "invalid_json", "x", "not valid"},
		"UTF-16":             {"\xff\xfe{\x00}\x00", "invalid_json", "", "object"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := httpx.Read[target](post(c.body))
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid {
				t.Fatalf("got %v, want an invalid request", err)
			}
			p := httpx.Describe(err)
			if p.Code != c.code || p.Param != c.param || !strings.Contains(p.Message, c.says) {
				t.Errorf("got %+v, want code %q, param %q, message with %q", p, c.code, c.param, c.says)
			}
		})
	}
}

func TestReadTakes(t *testing.T) {
	for name, body := range map[string]string{
		"plain":            `{"text":"é","steps":3,"speed":1.5,"stream":true}`,
		"byte order mark":  "\xef\xbb\xbf" + `{"text":"é","steps":3,"speed":1.5,"stream":true}`,
		"white space":      " \t\r\n{ \"text\" : \"é\" , \"steps\" : 3 , \"speed\" :1.5, \"stream\":true } \n",
		"unknown fields":   `{"x":{"y":[1,"]}"]},"text":"é","steps":3,"speed":1.5,"stream":true,"z":null}`,
		"escapes":          `{"text":"\u00e9","steps":3,"speed":15e-1,"stream":true}`,
		"last value wins":  `{"text":"no","text":"é","steps":3,"speed":1.5,"stream":true}`,
		"escaped in names": `{"\u0074ext":"é","steps":3,"speed":1.5,"stream":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := post(body)
			r.Body = io.NopCloser(iotest.OneByteReader(r.Body))
			v, err := httpx.Read[target](r)
			if err != nil || v.Text != "é" || v.Steps != 3 || v.Speed == nil || *v.Speed != 1.5 || !v.Stream {
				t.Fatalf("got %+v, %v", v, err)
			}
		})
	}
	if v, err := httpx.Read[target](post(`{}`)); err != nil || v.Text != "" {
		t.Fatalf("empty object: %+v, %v", v, err)
	}
}

func TestReadLimitsText(t *testing.T) {
	_, err := httpx.Read[target](post(`{"text":"` + strings.Repeat("a", 17<<20) + `"}`))
	if fault.KindOf(err) != fault.TooLarge || httpx.Describe(err).Param != "text" {
		t.Fatalf("got %v, want too large", err)
	}
}

func readBlob(t *testing.T, value string) ([]byte, error) {
	t.Helper()
	v, blobs, err := httpx.ReadBlobs[target](post(`{"text":"t","audio":`+value+`,"steps":7}`), t.TempDir(), "audio")
	if err != nil {
		return nil, err
	}
	defer blobs.Close()
	if v.Text != "t" || v.Steps != 7 {
		t.Errorf("the other fields came out as %+v", v)
	}
	if blobs["audio"] == nil {
		return nil, nil
	}
	return io.ReadAll(blobs["audio"].Open())
}

func TestBlobForms(t *testing.T) {
	want := []byte{0xfb, 0xff, 0xfe, 0, 1, 2, 3, 0xff}
	std, url := base64.StdEncoding.EncodeToString(want), base64.URLEncoding.EncodeToString(want)
	for name, value := range map[string]string{
		"standard":         `"` + std + `"`,
		"URL-safe":         `"` + url + `"`,
		"no padding":       `"` + strings.TrimRight(std, "=") + `"`,
		"URL, no padding":  `"` + strings.TrimRight(url, "=") + `"`,
		"data URL":         `"data:audio/wav;base64,` + std + `"`,
		"data URL, upper":  `"DATA:audio/wav;codecs=1;BASE64,` + url + `"`,
		"data URL, bare":   `"data:;base64,` + std + `"`,
		"lines":            `"` + std[:4] + `\r\n` + std[4:] + `\n"`,
		"spaces":           `"  ` + std[:3] + ` \t` + std[3:] + ` "`,
		"escaped slash":    `"` + strings.ReplaceAll(std, "/", `\/`) + `"`,
		"escaped anything": `"\u002b` + strings.TrimPrefix(url, "-") + `"`,
		"escaped padding":  `"` + strings.ReplaceAll(std, "=", `\u003D`) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readBlob(t, value)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s gave %x, %v; want %x", value, got, err, want)
			}
		})
	}
	for name, value := range map[string]string{
		"null": `null`, "empty": `""`, "blank": `" \n "`, "empty data URL": `"data:audio/wav;base64,"`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := readBlob(t, value); err != nil || got != nil {
				t.Fatalf("got %x, %v; want nothing", got, err)
			}
		})
	}
	for name, value := range map[string]string{
		"word": `"not base64!"`, "one character": `"A"`, "five characters": `"AAAAA"`, "padding short": `"AA="`,
		"padding long": `"AAA=="`, "padding only": `"=="`, "padding within": `"AA==AAAA"`, "three signs": `"A==="`,
		"four and padding": `"AAAA="`, "data URL without base64": `"data:audio/wav,AAAA"`, "data URL cut": `"data:audio"`,
		"data URL endless": `"data:` + strings.Repeat("x", 2000) + `;base64,AAAA"`, "accent": `"AAAé"`,
		"escaped accent": `"AAA\u00e9"`, "number": `1`, "list": `["AAAA"]`, "object": `{}`, "true": `true`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readBlob(t, value)
			if p := httpx.Describe(err); fault.KindOf(err) != fault.Invalid || p.Param != "audio" {
				t.Fatalf("%s gave %v, want an invalid audio", value, err)
			}
		})
	}
	for _, value := range []string{`"AA\qA"`, `"AA\u00zz"`, "\"AA\nAA\"", `"AAAA\`, `nul`} {
		if _, err := readBlob(t, value); httpx.Describe(err).Code != "invalid_json" {
			t.Errorf("%s gave %v, want invalid JSON", value, err)
		}
	}
}

func TestBlobOnDisk(t *testing.T) {
	dir := t.TempDir()
	want := bytes.Repeat([]byte("brenda!"), 1<<19) // 3.5 MB
	body := `{"audio":"AAAA","audio":"` + base64.StdEncoding.EncodeToString(want) + `"}`
	_, blobs, err := httpx.ReadBlobs[target](post(body), dir, "audio")
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	b := blobs["audio"]
	for range 2 { // two readers do not disturb each other
		if got, err := io.ReadAll(b.Open()); err != nil || !bytes.Equal(got, want) || b.Size() != int64(len(want)) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the file has a name: %v", left)
	}
	_, _, err = httpx.ReadBlobs[target](post(body), filepath.Join(dir, "absent"), "audio")
	if fault.KindOf(err) != fault.Unavailable || strings.Contains(httpx.Describe(err).Message, dir) {
		t.Errorf("no room gave %v", err)
	}
}

// FuzzBody holds the scanner against encoding/json: what the library takes as an object must come out the same, what it
// refuses must be refused.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"audio":"QUJD"}`, `{"audio":"data:audio/wav;base64,QUI="}`, `{"audio":null,"b":[{"c":"\"}"}]}`,
		`{"audio":"Q\/+-_\u0041","x":"\ud83d\ude00"}`, "\xef\xbb\xbf{ }", `{"audio":1}`, `{"audio":"QQ","audio":"QUI"}`, `{"a":tru}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		got, blobs, err := httpx.ReadBlobs[map[string]any](r, "", "audio")
		defer blobs.Close()
		body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
		var want map[string]any
		if jsonErr := json.Unmarshal(body, &want); jsonErr != nil || want == nil {
			if err == nil {
				t.Fatalf("%q was taken; encoding/json says %v", body, jsonErr)
			}
			return
		}
		text, isText := want["audio"].(string)
		blob, _ := plain(text)
		switch fine := goodAudio(t, body); {
		case fine != (err == nil):
			t.Fatalf("%q: audio good: %v, error: %v", body, fine, err)
		case !fine:
			return
		case isText:
			compareBlob(t, blobs["audio"], blob)
		}
		for k, v := range want {
			if k == "audio" {
				continue
			}
			a, _ := json.Marshal(v)
			b, _ := json.Marshal(got[k])
			if !bytes.Equal(a, b) {
				t.Fatalf("%q: field %q is %s, want %s", body, k, b, a)
			}
		}
	})
}

// goodAudio tells whether every member named audio of a valid object is null or base64.
func goodAudio(t *testing.T, body []byte) bool {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	_, _ = dec.Token() // the brace
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if name != "audio" || v == nil {
			continue
		}
		text, isText := v.(string)
		if _, ok := plain(text); !isText || !ok {
			return false
		}
	}
	return true
}

func compareBlob(t *testing.T, got *httpx.Blob, want []byte) {
	t.Helper()
	var have []byte
	if got != nil {
		have, _ = io.ReadAll(got.Open())
	}
	if !bytes.Equal(have, want) {
		t.Fatalf("audio is %x, want %x", have, want)
	}
}

// plain decodes base64 with the library, after normalising what the streaming decoder takes besides.
func plain(s string) ([]byte, bool) {
	s = strings.NewReplacer(" ", "", "\t", "", "\n", "", "\r", "", "-", "+", "_", "/").Replace(s)
	if len(s) >= 5 && strings.EqualFold(s[:5], "data:") {
		head, rest, ok := strings.Cut(s, ",")
		if !ok || !strings.HasSuffix(strings.ToLower(head), ";base64") {
			return nil, false
		}
		s = rest
	}
	if strings.HasSuffix(s, "=") {
		b, err := base64.StdEncoding.DecodeString(s)
		return b, err == nil
	}
	b, err := base64.RawStdEncoding.DecodeString(s)
	return b, err == nil
}
