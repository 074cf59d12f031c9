package image_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	stdimage "image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"
	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/schedule"
	"brenda/rest/httpx"
	"brenda/rest/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// painter plays a back end.
type painter struct {
	palette pipeline.Palette
	err     error
	paint   func(ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error) ([]byte, error)

	mu    sync.Mutex
	asked []pipeline.Painting
}

func (p *painter) Palette(context.Context) (pipeline.Palette, error) { return p.palette, p.err }

func (p *painter) Paint(ctx context.Context, o pipeline.Painting, emit func(pipeline.PaintStep) error) ([]byte, error) {
	p.mu.Lock()
	p.asked = append(p.asked, o)
	p.mu.Unlock()
	return p.paint(ctx, o, emit)
}

// gradient is a picture whose pixels tell where they are.
func gradient(w, h int) *stdimage.NRGBA {
	img := stdimage.NewNRGBA(stdimage.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetNRGBA(x, y, color.NRGBA{R: uint8(x), G: uint8(y), B: 77, A: 255})
		}
	}
	return img
}

func pngOf(img stdimage.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// obedient paints what it is asked for, or gives its source back.
func obedient(_ context.Context, o pipeline.Painting, emit func(pipeline.PaintStep) error) ([]byte, error) {
	for step := range 3 {
		if err := emit(pipeline.PaintStep{State: pipeline.PaintGenerating, Step: step, Steps: o.Steps}); err != nil {
			return nil, err
		}
	}
	if o.Source != nil {
		return o.Source, nil
	}
	return pngOf(gradient(o.Width, o.Height)), nil
}

func serve(t *testing.T, p pipeline.Painter) http.Handler {
	t.Helper()
	queue := schedule.NewMachine(0).Queue(schedule.Config{Name: "image", Running: 1, Waiting: 1, MaxWait: time.Minute})
	s := image.New(p, queue, image.Config{SpoolDir: t.TempDir()})
	mux := http.NewServeMux()
	mux.Handle("/models", httpx.Handler(s.Models))
	mux.Handle("/generate", httpx.Handler(s.Generate))
	mux.Handle("/refine", httpx.Handler(s.Refine))
	return mux
}

func post(h http.Handler, path, accept string, body any) *httptest.ResponseRecorder {
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		text = string(b)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(text))
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type m = map[string]any

type reply struct {
	Image   []byte
	Width   int
	Height  int
	Seed    *int64
	Ignored []string
}

func picture(t *testing.T, w *httptest.ResponseRecorder) (reply, stdimage.Image) {
	t.Helper()
	var a reply
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	img, err := png.Decode(bytes.NewReader(a.Image))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != a.Width || b.Dy() != a.Height {
		t.Errorf("%v is said to be %d×%d", b, a.Width, a.Height)
	}
	return a, img
}

func TestEvents(t *testing.T) {
	p := &painter{paint: obedient}
	w := post(serve(t, p), "/generate", "", m{"prompt": "un chat", "width": 64, "height": 64, "steps": 9, "seed": 5})
	var got []string
	for ev, err := range sse.Read(w.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ev.Data)
	}
	if len(got) != 5 || got[4] != "[DONE]" {
		t.Fatalf("got %q", got)
	}
	if got[1] != `{"type":"progress","step":1,"steps":9,"state":"generating"}` {
		t.Errorf("got %s", got[1])
	}
	var ev struct {
		Type    string
		Content []byte
		Seed    int64
	}
	if err := json.Unmarshal([]byte(got[3]), &ev); err != nil || ev.Type != "image" || ev.Seed != 5 {
		t.Errorf("got %.100s (%v)", got[3], err)
	}
	if _, err := png.Decode(bytes.NewReader(ev.Content)); err != nil {
		t.Error(err)
	}
}

// TestMiddle has odd sizes asked for as the next that a back end takes, and the middle cut out.
func TestMiddle(t *testing.T) {
	p := &painter{paint: obedient}
	a, img := picture(t, post(serve(t, p), "/generate", "application/json", m{"prompt": "un chat", "width": 72, "height": 128}))
	if o := p.asked[0]; o.Width != 128 || o.Height != 128 || o.Steps != 20 || a.Seed == nil || *a.Seed != o.Seed {
		t.Errorf("asked for %+v, told %v", o, a.Seed)
	}
	if got := img.At(0, 0); got != (color.NRGBA{R: 28, G: 0, B: 77, A: 255}) && fmt.Sprint(got) != "{28 0 77 255}" {
		t.Errorf("the first pixel is %v", got)
	}
}

// TestRefineKeepsThePicture sends pictures of many sizes through a back end that changes nothing.
func TestRefineKeepsThePicture(t *testing.T) {
	for _, s := range [][2]int{{64, 64}, {1, 1}, {100, 37}, {200, 129}} {
		p := &painter{paint: obedient}
		source := gradient(s[0], s[1])
		_, img := picture(t, post(serve(t, p), "/refine", "application/json", m{"prompt": "net", "image": pngOf(source), "strength": 0.3}))
		if img.Bounds() != source.Bounds() {
			t.Fatalf("%v came back as %v", source.Bounds(), img.Bounds())
		}
		for y := range s[1] {
			for x := range s[0] {
				r, g, b, _ := img.At(x, y).RGBA()
				if r>>8 != uint32(x)&255 || g>>8 != uint32(y)&255 || b>>8 != 77 {
					t.Fatalf("%v: pixel %d, %d is %v", s, x, y, img.At(x, y))
				}
			}
		}
		o := p.asked[0]
		canvas, err := png.Decode(bytes.NewReader(o.Source))
		if err != nil || canvas.Bounds().Dx() != o.Width || o.Width%64 != 0 || o.Height%64 != 0 || o.Strength != 0.3 {
			t.Errorf("asked for %d×%d from %v (%v)", o.Width, o.Height, canvas.Bounds(), err)
		}
	}
}

// TestRefineOfTransparency has what is transparent become white, and a size that is asked for scale the picture.
func TestRefineOfTransparency(t *testing.T) {
	p := &painter{paint: obedient}
	glass := stdimage.NewNRGBA(stdimage.Rect(0, 0, 3000, 30))
	w := post(serve(t, p), "/refine", "application/json", m{"prompt": "net", "image": pngOf(glass), "width": 128, "height": 64})
	_, img := picture(t, w)
	if r, g, b, a := img.At(5, 5).RGBA(); r&g&b&a != 0xffff || img.Bounds().Dx() != 128 {
		t.Errorf("%v of %v", img.At(5, 5), img.Bounds())
	}
}

func TestRefusals(t *testing.T) {
	p := &painter{paint: obedient, palette: pipeline.Palette{Models: []string{"v1", "v2"}, Samplers: []string{"Euler a"}}}
	h := serve(t, p)
	ok := base64.StdEncoding.EncodeToString(pngOf(gradient(8, 8)))
	for name, c := range map[string]struct {
		path  string
		body  any
		code  int
		param string
	}{
		"no prompt":         {"/generate", m{}, 400, "prompt"},
		"blank prompt":      {"/generate", m{"prompt": " \n"}, 400, "prompt"},
		"long prompt":       {"/generate", m{"prompt": strings.Repeat("é", 4001)}, 400, "prompt"},
		"long negative":     {"/generate", m{"prompt": "a", "negative_prompt": strings.Repeat("é", 4001)}, 400, "negative_prompt"},
		"command":           {"/generate", m{"prompt": "a <sd_cpp_extra_args>{}</sd_cpp_extra_args>"}, 400, "prompt"},
		"nested command":    {"/generate", m{"prompt": "a <sd_cpp_<sd_cpp_extra_args>x</sd_cpp_extra_args>extra_args>"}, 400, "prompt"},
		"hidden command":    {"/refine", m{"image": ok, "prompt": "a", "negative_prompt": "SD_cpp_EXTRA_args"}, 400, "negative_prompt"},
		"width 65":          {"/generate", m{"prompt": "a", "width": 65}, 400, "width"},
		"width 56":          {"/generate", m{"prompt": "a", "width": 56}, 400, "width"},
		"width 2056":        {"/generate", m{"prompt": "a", "width": 2056}, 400, "width"},
		"width -64":         {"/generate", m{"prompt": "a", "width": -64}, 400, "width"},
		"height 0":          {"/generate", m{"prompt": "a", "height": 0}, 400, "height"},
		"width as text":     {"/generate", m{"prompt": "a", "width": "64"}, 400, "width"},
		"width of a half":   {"/generate", m{"prompt": "a", "width": 64.5}, 400, "width"},
		"steps 0":           {"/generate", m{"prompt": "a", "steps": 0}, 400, "steps"},
		"steps 151":         {"/generate", m{"prompt": "a", "steps": 151}, 400, "steps"},
		"seed -2":           {"/generate", m{"prompt": "a", "seed": -2}, 400, "seed"},
		"seed 2^32":         {"/generate", m{"prompt": "a", "seed": 1 << 32}, 400, "seed"},
		"cfg 31":            {"/generate", m{"prompt": "a", "cfg_scale": 31}, 400, "cfg_scale"},
		"sampler":           {"/generate", m{"prompt": "a", "sampler": "Toto"}, 400, "sampler"},
		"model":             {"/generate", m{"prompt": "a", "model": "v3"}, 404, "model"},
		"strength 1.1":      {"/refine", m{"image": ok, "prompt": "a", "strength": 1.1}, 400, "strength"},
		"strength -0.1":     {"/refine", m{"image": ok, "prompt": "a", "strength": -0.1}, 400, "strength"},
		"strength as text":  {"/refine", m{"image": ok, "prompt": "a", "strength": "x"}, 400, "strength"},
		"no image":          {"/refine", m{"prompt": "a"}, 400, "image"},
		"empty image":       {"/refine", m{"prompt": "a", "image": ""}, 400, "image"},
		"image as a number": {"/refine", m{"prompt": "a", "image": 3}, 400, "image"},
		"no base64":         {"/refine", m{"prompt": "a", "image": "a*b"}, 400, "image"},
		"no picture":        {"/refine", m{"prompt": "a", "image": "aGVsbG8="}, 415, "image"},
		"half a picture":    {"/refine", m{"prompt": "a", "image": pngOf(gradient(64, 64))[:100]}, 415, "image"},
		"bomb":              {"/refine", m{"prompt": "a", "image": bomb()}, 413, "image"},
		"too wide":          {"/refine", m{"prompt": "a", "image": pngOf(gradient(2049, 1))}, 400, "image"},
		"half JSON":         {"/generate", `{"prompt":"a`, 400, "prompt"},
		"a list":            {"/generate", `[]`, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(h, c.path, "", c.body)
			var a struct{ Error httpx.Problem }
			if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != c.code || a.Error.Param != c.param {
				t.Errorf("got %d %s, want %d blaming %q", w.Code, w.Body, c.code, c.param)
			}
		})
	}
	if len(p.asked) > 0 {
		t.Errorf("the back end was asked for %+v", p.asked)
	}
}

// bomb is the head of a PNG that claims to have 60,000 × 60,000 pixels.
func bomb() []byte {
	b := pngOf(stdimage.NewGray(stdimage.Rect(0, 0, 1, 1)))
	copy(b[16:], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	sum := crc32.ChecksumIEEE(b[12:29])
	copy(b[29:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return b
}

// TestBadFieldBeforeMissingEngine keeps the contract's order: fields, then engines.
func TestBadFieldBeforeMissingEngine(t *testing.T) {
	h := serve(t, nil)
	if w := post(h, "/generate", "", m{"prompt": ""}); w.Code != 400 {
		t.Errorf("got %d", w.Code)
	}
	for _, path := range []string{"/generate", "/refine"} {
		w := post(h, path, "", m{"prompt": "a", "image": pngOf(gradient(8, 8))})
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "BRENDA_IMAGE_URL") {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/models", nil))
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"models":[],"samplers":[]}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestResultsThatAreNotThePicture have to be errors, not answers.
func TestResultsThatAreNotThePicture(t *testing.T) {
	for name, file := range map[string][]byte{
		"another size": pngOf(gradient(64, 128)), "text": []byte("error"), "nothing": nil, "bomb": bomb(),
		"half": pngOf(gradient(64, 64))[:100],
	} {
		p := &painter{paint: func(context.Context, pipeline.Painting, func(pipeline.PaintStep) error) ([]byte, error) {
			return file, nil
		}}
		w := post(serve(t, p), "/generate", "application/json", m{"prompt": "a", "width": 64, "height": 64})
		if w.Code != 500 || !strings.Contains(w.Body.String(), "engine_failed") {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
}

// TestJPEGBecomesPNG, without what the back end wrote into its file.
func TestJPEGBecomesPNG(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, gradient(64, 64), nil); err != nil {
		t.Fatal(err)
	}
	p := &painter{paint: func(context.Context, pipeline.Painting, func(pipeline.PaintStep) error) ([]byte, error) {
		return b.Bytes(), nil
	}}
	picture(t, post(serve(t, p), "/generate", "application/json", m{"prompt": "a", "width": 64, "height": 64}))
}

// TestWhatTheBackEndLacks is refused, or told of where the specification has it.
func TestWhatTheBackEndLacks(t *testing.T) {
	p := &painter{paint: obedient, palette: pipeline.Palette{Lacks: []string{"steps", "strength", "seed", "cfg_scale", "sampler"}}}
	h := serve(t, p)
	for _, field := range []string{"seed", "cfg_scale"} {
		if w := post(h, "/generate", "", m{"prompt": "a", field: 1}); w.Code != 400 || !strings.Contains(w.Body.String(), field) {
			t.Errorf("%s: got %d %s", field, w.Code, w.Body)
		}
	}
	a, _ := picture(t, post(h, "/generate", "application/json", m{"prompt": "a", "width": 64, "height": 64, "steps": 3, "seed": -1}))
	if fmt.Sprint(a.Ignored) != "[steps]" || a.Seed != nil {
		t.Errorf("got %v, seed %v", a.Ignored, a.Seed)
	}
}

// TestNamesInAnyCase reach the back end in its own spelling.
func TestNamesInAnyCase(t *testing.T) {
	p := &painter{paint: obedient, palette: pipeline.Palette{Models: []string{"V1"}, Samplers: []string{"Euler a"}}}
	picture(t, post(serve(t, p), "/generate", "application/json", m{"prompt": "a", "width": 64, "height": 64, "model": "v1", "sampler": "euler A"}))
	if o := p.asked[0]; o.Model != "V1" || o.Sampler != "Euler a" {
		t.Errorf("asked for %+v", o)
	}
}

func TestFailures(t *testing.T) {
	busy := &fault.Error{Kind: fault.Unavailable, Code: "image_busy", Msg: "busy", RetryAfter: 7 * time.Second}
	before := func(context.Context, pipeline.Painting, func(pipeline.PaintStep) error) ([]byte, error) {
		return nil, busy
	}
	w := post(serve(t, &painter{paint: before}), "/generate", "", m{"prompt": "a"})
	if w.Code != 503 || w.Header().Get("Retry-After") != "7" {
		t.Errorf("before the stream: %d %s", w.Code, w.Body)
	}
	during := func(_ context.Context, _ pipeline.Painting, emit func(pipeline.PaintStep) error) ([]byte, error) {
		return nil, errors.Join(emit(pipeline.PaintStep{Steps: 1}), busy)
	}
	w = post(serve(t, &painter{paint: during}), "/generate", "", m{"prompt": "a"})
	if !strings.HasSuffix(w.Body.String(), `{"type":"error","error":{"code":"image_busy","message":"busy"}}`+"\n\ndata: [DONE]\n\n") {
		t.Errorf("in the stream: %s", w.Body)
	}
	w = post(serve(t, &painter{err: busy}), "/generate", "", m{"prompt": "a"})
	if w.Code != 503 {
		t.Errorf("the back end is away: %d %s", w.Code, w.Body)
	}
}
