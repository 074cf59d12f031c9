package rest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tmaxmax/go-sse"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest"
	"brenda/rest/chaining"
	"brenda/rest/health"
)

const (
	generate = "/v1/ai/generate"
	chat     = "/v1/ai/chaining/chat"
	tts      = "/v1/ai/speech/text-to-speech"
	stt      = "/v1/ai/speech/speech-to-text"
	load     = "/v1/ai/load_model"
)

func open() rest.Config { return rest.Config{Origins: []string{"*"}} }

// TestRefusals: every status that a bad request gets, with the field to blame.
func TestRefusals(t *testing.T) {
	srv := newFakes().start(t, open())
	text := base64.StdEncoding.EncodeToString([]byte("this is text and no sound at all, however long one listens"))
	for name, c := range map[string]struct {
		path, body  string
		status      int
		code, param string
	}{
		"chat nothing":          {chat, `{}`, 400, "no_input", ""},
		"chat blank":            {chat, `{"text":" \n","audio":""}`, 400, "no_input", ""},
		"chat null":             {chat, `{"text":null,"audio":null}`, 400, "no_input", ""},
		"chat no body":          {chat, ``, 400, "invalid_json", ""},
		"chat number":           {chat, `{"text":5}`, 400, "invalid_request", "text"},
		"chat audio number":     {chat, `{"audio":5}`, 400, "invalid_request", "audio"},
		"chat not base64":       {chat, `{"audio":"???"}`, 400, "invalid_request", "audio"},
		"chat no sound":         {chat, `{"audio":"` + text + `"}`, 415, "unsupported_audio", "audio"},
		"chat voice path":       {chat, `{"text":"a","voice":"../x"}`, 400, "invalid_request", "voice"},
		"chat voice":            {chat, `{"text":"a","voice":"Bob"}`, 404, "unknown_voice", "voice"},
		"chat model":            {chat, `{"text":"a","model":"gpt"}`, 404, "unknown_model", "model"},
		"chat language":         {chat, `{"text":"a","language":"xx"}`, 400, "invalid_request", "language"},
		"chat stream":           {chat, `{"text":"a","stream":"no"}`, 400, "invalid_request", "stream"},
		"chat field first":      {chat, `{"text":"a","voice":"Bob","language":"xx"}`, 400, "invalid_request", "language"},
		"generate nothing":      {generate, `{}`, 400, "invalid_request", "messages"},
		"generate empty":        {generate, `{"messages":[]}`, 400, "invalid_request", "messages"},
		"generate role":         {generate, `{"messages":[{"role":"robot","content":"x"}]}`, 400, "invalid_request", "messages[0].role"},
		"generate no role":      {generate, `{"messages":[{"content":"x"}]}`, 400, "invalid_request", "messages[0].role"},
		"generate no content":   {generate, `{"messages":[{"role":"user","content":"x"},{"role":"user"}]}`, 400, "invalid_request", "messages[1].content"},
		"generate content list": {generate, `{"messages":[{"role":"user","content":[]}]}`, 400, "invalid_request", "messages.content"},
		"generate temperature":  {generate, `{"messages":[{"role":"user","content":"x"}],"temperature":3}`, 400, "invalid_request", "temperature"},
		"generate max_tokens":   {generate, `{"messages":[{"role":"user","content":"x"}],"max_tokens":0}`, 400, "invalid_request", "max_tokens"},
		"generate model":        {generate, `{"model":"gpt","messages":[{"role":"user","content":"x"}]}`, 404, "unknown_model", "model"},
		"generate field first":  {generate, `{"model":"gpt","messages":[]}`, 400, "invalid_request", "messages"},
		"load nothing":          {load, `{}`, 400, "invalid_request", "model_name"},
		"load number":           {load, `{"model_name":1}`, 400, "invalid_request", "model_name"},
		"load unknown":          {load, `{"model_name":"gpt"}`, 404, "unknown_model_name", "model_name"},
		"tts nothing":           {tts, `{}`, 400, "invalid_request", "text"},
		"tts blank":             {tts, `{"text":"  "}`, 400, "invalid_request", "text"},
		"tts slash":             {tts, `{"text":"a","voice_path":"/etc/passwd"}`, 400, "invalid_request", "voice_path"},
		"tts backslash":         {tts, `{"text":"a","voice_path":"a\\b"}`, 400, "invalid_request", "voice_path"},
		"tts voice":             {tts, `{"text":"a","voice_path":"Bob"}`, 404, "unknown_voice_path", "voice_path"},
		"tts language":          {tts, `{"text":"a","language":"xx"}`, 400, "invalid_request", "language"},
		"tts speed":             {tts, `{"text":"a","speed":9}`, 400, "invalid_request", "speed"},
		"stt nothing":           {stt, `{}`, 400, "invalid_request", "audio"},
		"stt empty":             {stt, `{"audio":""}`, 400, "invalid_request", "audio"},
		"stt not base64":        {stt, `{"audio":"é"}`, 400, "invalid_request", "audio"},
		"stt no sound":          {stt, `{"audio":"` + text + `"}`, 415, "unsupported_audio", "audio"},
		"stt size":              {stt, `{"audio":"` + tone() + `","model_size":"huge"}`, 404, "unknown_model_size", "model_size"},
		"stt size number":       {stt, `{"audio":"` + tone() + `","model_size":3}`, 400, "invalid_request", "model_size"},
		"stt language":          {stt, `{"audio":"` + tone() + `","language":"xx"}`, 400, "invalid_request", "language"},
		"trailing":              {tts, `{"text":"a"}{}`, 400, "invalid_json", ""},
		"no route":              {"/v1/ai/nothing", `{}`, 404, "no_route", ""},
		"trailing slash":        {tts + "/", `{"text":"a"}`, 404, "no_route", ""},
		"other case":            {"/V1/ai/generate", `{}`, 404, "no_route", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := do(t, srv, http.MethodPost, c.path, c.body)
			p := a.problem(t)
			if a.status != c.status || p.Code != c.code || p.Param != c.param {
				t.Errorf("got %d %+v, want %d %s %s", a.status, p, c.status, c.code, c.param)
			}
			if ct := a.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
				t.Errorf("Content-Type is %q", ct)
			}
		})
	}
	a := do(t, srv, http.MethodPost, tts, `{"text":"a","language":"xx"}`)
	if !strings.Contains(a.problem(t).Message, "fr, en") {
		t.Errorf("the known languages are not listed: %s", a.body)
	}
	if a := do(t, srv, http.MethodDelete, generate, ""); a.status != 405 || a.header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("405: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

// TestEngineFaults: what an engine's failure looks like before the first event, on every route that streams or not.
func TestEngineFaults(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"missing":    {&fault.Error{Kind: fault.Unavailable, Code: "engine_missing", Msg: "run: brenda models pull"}, 503},
		"failed":     {errors.New("/opt/engine exploded"), 500},
		"no speech":  {fault.New(fault.Invalid, "no_speech", "nothing was said"), 400},
		"too slow":   {context.DeadlineExceeded, 503},
		"no context": {fault.New(fault.Invalid, "context_length_exceeded", "too long"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakes()
			f.generate = func(context.Context, pipeline.Prompt, func(pipeline.Delta) error) (pipeline.Completion, error) {
				return pipeline.Completion{}, c.err
			}
			f.ask = func(ctx context.Context, _ string, _ chaining.Question) (<-chan pipeline.Event, error) {
				return script(ctx, failed(c.err)), nil
			}
			f.speak = func(context.Context, pipeline.Line, func(pipeline.Event) error) error { return c.err }
			f.listen = func(context.Context, pipeline.Sound, pipeline.ListenOptions) (pipeline.Heard, error) {
				return pipeline.Heard{}, c.err
			}
			f.load = c.err
			srv := f.start(t, open())
			for _, q := range [][]string{
				{generate, `{"messages":[{"role":"user","content":"x"}]}`},
				{generate, `{"messages":[{"role":"user","content":"x"}],"stream":true}`},
				{chat, `{"text":"a"}`},
				{chat, `{"text":"a","stream":false}`},
				{chat, `{"audio":"` + tone() + `"}`},
				{tts, `{"text":"a"}`},
				{tts, `{"text":"a"}`, "Accept", "audio/wav"},
				{stt, `{"audio":"` + tone() + `"}`},
				{load, `{"model_name":"big-llm"}`},
			} {
				a := do(t, srv, http.MethodPost, q[0], q[1], q[2:]...)
				a.problem(t)
				if a.status != c.status || strings.Contains(a.body, "/opt") || (c.status == 503) != (a.header.Get("Retry-After") != "") {
					t.Errorf("%s %s: got %d %s %v", q[0], q[1][:12], a.status, a.body, a.header)
				}
			}
		})
	}
}

// events parses a stream, whose last line must be [DONE].
func events(t *testing.T, a answer) []map[string]any {
	t.Helper()
	if a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d %s: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	var all []map[string]any
	done := false
	for ev, err := range sse.Read(strings.NewReader(a.body), &sse.ReadConfig{MaxEventSize: 1 << 24}) {
		if err != nil || done {
			t.Fatalf("%v; after the end: %v", err, done)
		}
		if done = ev.Data == "[DONE]"; done {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(ev.Data), &m); err != nil {
			t.Fatalf("%q: %v", ev.Data, err)
		}
		all = append(all, m)
	}
	if !done {
		t.Fatalf("no [DONE] in %q", a.body)
	}
	return all
}

func kinds(all []map[string]any) string {
	var ks []string
	for _, m := range all {
		ks = append(ks, m["type"].(string))
	}
	return strings.Join(ks, " ")
}

func TestChat(t *testing.T) {
	srv := newFakes().start(t, open())
	all := events(t, do(t, srv, http.MethodPost, chat, `{"audio":"`+tone()+`","text":"et toi ?","voice":"Elise"}`))
	if got := kinds(all); got != "transcript text audio text audio done" {
		t.Fatalf("events: %s", got)
	}
	sound, err := base64.StdEncoding.DecodeString(all[2]["content"].(string))
	if err != nil || string(sound[:4]) != "RIFF" || all[2]["text"] != "oui" || all[2]["source"] != "Oui." {
		t.Errorf("audio event: %v", all[2])
	}
	if done := all[5]; done["finish_reason"] != "stop" || done["timings"].(map[string]any)["total"] != 1000.0 {
		t.Errorf("done event: %v", done)
	}
	a := do(t, srv, http.MethodPost, chat, `{"text":"salut","stream":false}`)
	var whole struct {
		Text, Audio, Transcript string
		Timings, Usage          map[string]any
		FinishReason            string `json:"finish_reason"`
	}
	if err := json.Unmarshal([]byte(a.body), &whole); err != nil || whole.Text != "Oui. Non." || whole.FinishReason != "stop" {
		t.Errorf("got %d %s (%v)", a.status, a.body, err)
	}
	if b, err := base64.StdEncoding.DecodeString(whole.Audio); err != nil || len(b) != 44+2*480 {
		t.Errorf("audio has %d bytes (%v)", len(b), err)
	}
}

func TestChatThatFailsOnTheWay(t *testing.T) {
	f := newFakes()
	f.ask = func(ctx context.Context, _ string, _ chaining.Question) (<-chan pipeline.Event, error) {
		return script(ctx, pipeline.Event{Kind: pipeline.TextEvent, Text: "Ou"}, failed(errors.New("/opt/x died"))), nil
	}
	all := events(t, do(t, f.start(t, open()), http.MethodPost, chat, `{"text":"a"}`))
	if got := kinds(all); got != "text error" || strings.Contains(all[1]["error"].(map[string]any)["message"].(string), "opt") {
		t.Errorf("events: %v", all)
	}
}

func TestChatThatWasSuperseded(t *testing.T) {
	f := newFakes()
	f.ask = func(ctx context.Context, _ string, _ chaining.Question) (<-chan pipeline.Event, error) {
		return script(ctx, pipeline.Event{Kind: pipeline.DoneEvent, Result: &pipeline.Result{FinishReason: "cancelled"}}), nil
	}
	all := events(t, do(t, f.start(t, open()), http.MethodPost, chat, `{"text":"a"}`))
	if kinds(all) != "done" || all[0]["finish_reason"] != "cancelled" {
		t.Errorf("events: %v", all)
	}
}

func TestGenerate(t *testing.T) {
	f := newFakes()
	srv := f.start(t, open())
	const body = `{"messages":[{"role":"user","content":"x"}]`
	all := events(t, do(t, srv, http.MethodPost, generate, body+`,"stream":true}`))
	if kinds(all) != "text text done" || all[0]["content"] != "Bon" || all[2]["finish_reason"] != "stop" {
		t.Errorf("events: %v", all)
	}
	do(t, srv, http.MethodPost, load, `{"model_name":"big-llm"}`, "X-Session-ID", "s1")
	a := do(t, srv, http.MethodPost, generate, body+`}`, "X-Session-ID", "s1")
	const want = `{"model":"big-llm","message":{"role":"assistant","content":"Bonjour"},` +
		`"usage":{"prompt_tokens":0,"cached_tokens":0,"completion_tokens":2,"total_tokens":0},"finish_reason":"stop"}` + "\n"
	if a.body != want {
		t.Errorf("got %s", a.body)
	}
}

func TestStopEndsAGeneration(t *testing.T) {
	f := newFakes()
	started := make(chan struct{})
	f.generate = func(ctx context.Context, _ pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
		_ = emit(pipeline.Delta{Text: "Il"})
		close(started)
		<-ctx.Done()
		return pipeline.Completion{}, ctx.Err()
	}
	srv := f.start(t, open())
	got := make(chan answer, 1)
	go func() {
		got <- do(t, srv, http.MethodPost, generate, `{"messages":[{"role":"user","content":"x"}],"stream":true}`, "X-Session-ID", "s")
	}()
	<-started
	if a := do(t, srv, http.MethodPost, "/v1/ai/stop", ""); a.body != `{"stopped":0}`+"\n" {
		t.Errorf("without a session: %s", a.body)
	}
	if a := do(t, srv, http.MethodPost, "/v1/ai/stop", "", "X-Session-ID", "s"); a.body != `{"stopped":1}`+"\n" {
		t.Errorf("got %s", a.body)
	}
	all := events(t, <-got)
	if kinds(all) != "text done" || all[1]["finish_reason"] != "cancelled" {
		t.Errorf("events: %v", all)
	}
}

// TestClientGoesAway: the engine's context ends when the client does.
func TestClientGoesAway(t *testing.T) {
	ended := make(chan struct{}, 4)
	f := newFakes()
	f.generate = func(ctx context.Context, _ pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
		_ = emit(pipeline.Delta{Text: "Il"})
		<-ctx.Done()
		ended <- struct{}{}
		return pipeline.Completion{}, ctx.Err()
	}
	f.speak = func(ctx context.Context, _ pipeline.Line, emit func(pipeline.Event) error) error {
		_ = emit(pipeline.Event{Kind: pipeline.AudioEvent, PCM: make([]float32, 24)})
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}
	f.ask = func(ctx context.Context, _ string, _ chaining.Question) (<-chan pipeline.Event, error) {
		out := make(chan pipeline.Event)
		go func() {
			defer close(out)
			out <- pipeline.Event{Kind: pipeline.TextEvent, Text: "Il"}
			<-ctx.Done()
			ended <- struct{}{}
			out <- pipeline.Event{Kind: pipeline.DoneEvent, Result: &pipeline.Result{FinishReason: "cancelled"}}
		}()
		return out, nil
	}
	srv := f.start(t, open())
	for _, q := range [][3]string{
		{generate, `{"messages":[{"role":"user","content":"x"}],"stream":true}`},
		{chat, `{"text":"a"}`},
		{tts, `{"text":"a"}`},
		{tts, `{"text":"a"}`, "audio/mpeg"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+q[0], strings.NewReader(q[1]))
		req.Header.Set("Accept", q[2])
		if q[2] != "audio/mpeg" { // 24 samples are no frame of MP3 yet
			res, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = res.Body.Read(make([]byte, 10))
			defer res.Body.Close()
		} else {
			go func() {
				if res, err := srv.Client().Do(req); err == nil {
					_ = res.Body.Close()
				}
			}()
		}
		cancel()
		if q[2] != "audio/mpeg" {
			<-ended
		}
	}
}

func TestSpeech(t *testing.T) {
	srv := newFakes().start(t, open())
	a := do(t, srv, http.MethodGet, "/v1/ai/speech/models", "")
	if a.body != `{"models":["small-llm","big-llm"],"sizes":["base"],"voices":["Elise"]}`+"\n" {
		t.Errorf("models: %s", a.body)
	}
	if all := events(t, do(t, srv, http.MethodPost, tts, `{"text":"Un. Deux.","voice_path":"Elise"}`)); kinds(all) != "audio audio" {
		t.Errorf("events: %v", all)
	}
	a = do(t, srv, http.MethodPost, tts, `{"text":"Un. Deux."}`, "Accept", "audio/wav")
	if a.header.Get("Content-Type") != "audio/wav" || len(a.body) != 44+2*4800 || a.body[:4] != "RIFF" {
		t.Errorf("WAV: %v, %d bytes", a.header, len(a.body))
	}
	a = do(t, srv, http.MethodPost, tts, `{"text":"Un. Deux."}`, "Accept", "audio/mpeg")
	if a.header.Get("Content-Type") != "audio/mpeg" || len(a.body) < 1000 || a.body[0] != 0xff {
		t.Errorf("MP3: %v, %d bytes", a.header, len(a.body))
	}
	for _, size := range []string{``, `,"model_size":"base"`, `,"model_size":"small"`, `,"language":"auto"`} {
		a = do(t, srv, http.MethodPost, stt, `{"audio":"`+tone()+`"`+size+`}`)
		const want = `{"text":"bonjour","language":"fr","duration":1,"segments":[{"start":0,"end":1,"text":"bonjour"}],"model":"base"}` + "\n"
		if a.body != want {
			t.Errorf("speech to text%s: %s", size, a.body)
		}
	}
}

func TestSessionRoute(t *testing.T) {
	srv := newFakes().start(t, open())
	a := do(t, srv, http.MethodPost, load, `{"model_name":"big-llm"}`, "X-Session-ID", "me")
	if !strings.HasPrefix(a.body, `{"model":"big-llm","status":"loaded","load_ms":`) {
		t.Errorf("load: %s", a.body)
	}
	a = do(t, srv, http.MethodGet, "/v1/ai/session", "", "X-Session-ID", "me")
	const want = `{"session_id":"me","current_model":"big-llm","has_model_loaded":false,"created_at":"1970-01-01T00:00:00Z","turns":2}` + "\n"
	if a.body != want {
		t.Errorf("session: %s", a.body)
	}
	if a := do(t, srv, http.MethodGet, "/v1/ai/models", ""); a.body != `{"models":["small-llm","big-llm"]}`+"\n" {
		t.Errorf("models: %s", a.body)
	}
}

func TestHealth(t *testing.T) {
	f := newFakes()
	srv := f.start(t, open())
	if a := do(t, srv, http.MethodGet, "/live", ""); a.status != 200 || a.body != `{"status":"live"}`+"\n" {
		t.Errorf("live: %d %s", a.status, a.body)
	}
	f.components = append(f.components, health.Component{Name: "stt", State: health.Degraded, Required: true, Detail: "base stands in for small"})
	if a := do(t, srv, http.MethodGet, "/ready", ""); a.status != 200 || !strings.Contains(a.body, `"degraded":["stt: base stands in for small"]`) {
		t.Errorf("degraded: %d %s", a.status, a.body)
	}
	f.components[0].State = health.Loading
	if a := do(t, srv, http.MethodGet, "/ready", ""); a.status != 503 || a.problem(t).Code != "not_ready" || !strings.Contains(a.body, `"loading"`) {
		t.Errorf("loading: %d %s", a.status, a.body)
	}
	f.metrics.TurnEnded("s", pipeline.Result{FinishReason: "stop", Timings: pipeline.Timings{STT: 1e9, FirstToken: 2e9, FirstChunk: 2e9, FirstAudio: 3e9}})
	a := do(t, srv, http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`brenda_stage_seconds_sum{stage="llm_first_token"} 1`, `brenda_stage_seconds_sum{stage="first_audio"} 3`,
		`brenda_stage_seconds_count{stage="vad"} 0`, `brenda_turns_total{finish_reason="stop"} 1`,
		`brenda_engine_waiting{engine="llm"} 2`, `brenda_http_request_seconds_count{method="GET",route="/ready",status="503"} 1`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
