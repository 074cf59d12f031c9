package rest_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"brenda/rest"
)

const models = "/v1/ai/models"

func TestIDs(t *testing.T) {
	srv := newFakes().start(t, open())
	v7 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, header := range []string{"X-Session-ID", "X-Request-ID"} {
		for _, good := range []string{"a", "A.b_c-9", strings.Repeat("x", 128)} {
			if a := do(t, srv, http.MethodGet, models, "", header, good); a.status != 200 || a.header.Get(header) != good {
				t.Errorf("%s %q: %d, %q", header, good, a.status, a.header.Get(header))
			}
		}
		for _, none := range [][]string{{}, {header, ""}} {
			if a := do(t, srv, http.MethodGet, models, "", none...); a.status != 200 || !v7.MatchString(a.header.Get(header)) {
				t.Errorf("%s %q: %d, %q", header, none, a.status, a.header.Get(header))
			}
		}
		for _, bad := range [][]string{
			{header, "a b"},
			{header, "é"},
			{header, "a/b"},
			{header, "a,b"},
			{header, strings.Repeat("x", 129)},
			{header, "a", header, "b"},
			{header, "a", header, "a"},
		} {
			a := do(t, srv, http.MethodGet, models, "", bad...)
			if p := a.problem(t); a.status != 400 || p.Param != header || !v7.MatchString(a.header.Get(header)) {
				t.Errorf("%q: %d %+v", bad, a.status, p)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	plain := newFakes().start(t, rest.Config{Hosts: []string{"Brenda.example", "box:8080"}})
	token := newFakes().start(t, rest.Config{Tokens: []string{"secret"}})
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:99": 200, "127.0.0.1": 200, "127.9.9.9:1": 200, "[::1]:8080": 200, "localhost.": 200,
		"brenda.example": 200, "brenda.example:443": 200, "box:8080": 200, "box:9": 421, "evil.example": 421,
		"localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "[::2]": 421,
	} {
		for _, path := range []string{models, "/live", "/metrics"} {
			if a := do(t, plain, http.MethodGet, path, "", "Host", host); a.status != want {
				t.Errorf("%s of host %s: %d, want %d", path, host, a.status, want)
			}
		}
		if a := do(t, token, http.MethodGet, models, "", "Host", host, "Authorization", "Bearer secret"); a.status != 200 {
			t.Errorf("with a token, host %s: %d", host, a.status)
		}
	}
}

func TestTokens(t *testing.T) {
	srv := newFakes().start(t, rest.Config{Tokens: []string{"first", " second "}})
	for auth, want := range map[string]int{
		"": 401, "Bearer first": 200, "bearer second": 200, "Bearer  first": 200, "Bearer third": 401, "Bearer": 401, "Bearer ": 401,
		"Basic first": 401, "first": 401, "Bearer first second": 401,
	} {
		for _, path := range []string{models, "/metrics", "/v1/ai/session"} {
			a := do(t, srv, http.MethodGet, path, "", "Authorization", auth)
			if a.status != want {
				t.Errorf("%s with %q: %d, want %d", path, auth, a.status, want)
			}
			if want == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%q: no WWW-Authenticate", auth)
			}
		}
	}
	for _, path := range []string{"/live", "/ready", "/openapi.json", "/docs"} {
		if a := do(t, srv, http.MethodGet, path, ""); a.status != 200 {
			t.Errorf("%s without a token: %d", path, a.status)
		}
	}
	if a := do(t, srv, http.MethodPost, chat, `{"text":`, "Content-Length", "8"); a.status != 401 {
		t.Errorf("the body was looked at before the token: %d", a.status)
	}
	if a := do(t, srv, http.MethodGet, chat, ""); a.status != 405 {
		t.Errorf("the token was looked at before the method: %d", a.status)
	}
}

func TestTokenOfWebSocket(t *testing.T) {
	srv := newFakes().start(t, rest.Config{Tokens: []string{"secret"}})
	a := do(t, srv, http.MethodGet, "/v1/realtime?session_id=me", "",
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Protocol", "brenda.v1, brenda.token.secret")
	if a.status != 200 || a.header.Get("X-Session-ID") != "me" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	for protocols, want := range map[string]int{
		"realtime, openai-insecure-api-key.secret": 200, "openai-insecure-api-key.other, realtime": 401,
	} {
		a := do(t, srv, http.MethodGet, "/v1/realtime", "",
			"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Protocol", protocols)
		if a.status != want {
			t.Errorf("%s: %d", protocols, a.status)
		}
	}
	for _, q := range []string{"?session_id=me&session_id=you", "?session_id=a%20b"} {
		a := do(t, srv, http.MethodGet, "/v1/realtime"+q, "",
			"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Protocol", "brenda.token.secret")
		if a.status != 400 {
			t.Errorf("%s: %d", q, a.status)
		}
	}
}

// TestOrigins is the matrix of who may read what from which page.
func TestOrigins(t *testing.T) {
	const page, evil = "https://page.example", "https://evil.example"
	withToken := []string{"Authorization", "Bearer secret"}
	for name, c := range map[string]struct {
		cfg       rest.Config
		path      string
		origin    string
		more      []string
		status    int
		reflected bool
	}{
		"assistant, any":              {open(), models, evil, nil, 200, true},
		"assistant, null":             {open(), models, "null", nil, 200, true},
		"assistant, none":             {open(), models, "", nil, 200, false},
		"assistant, listed":           {rest.Config{Origins: []string{page + "/"}}, models, page, nil, 200, true},
		"assistant, not listed":       {rest.Config{Origins: []string{page}}, models, evil, nil, 403, false},
		"assistant, other scheme":     {rest.Config{Origins: []string{page}}, models, "http://page.example", nil, 403, false},
		"assistant, closed":           {rest.Config{}, models, evil, nil, 403, false},
		"assistant, closed, null":     {rest.Config{}, models, "null", nil, 403, false},
		"assistant, closed, loopback": {rest.Config{}, models, "http://localhost:3000", nil, 200, true},
		"assistant, tokens, none":     {rest.Config{Origins: []string{"*"}, Tokens: []string{"secret"}}, models, evil, nil, 401, true},
		"assistant, tokens, valid":    {rest.Config{Origins: []string{"*"}, Tokens: []string{"secret"}}, models, evil, withToken, 200, true},
		"guarded, foreign":            {open(), "/metrics", evil, nil, 403, false},
		"guarded, null":               {open(), "/metrics", "null", nil, 403, false},
		"guarded, invalid":            {open(), "/metrics", "::", nil, 403, false},
		"guarded, loopback":           {open(), "/metrics", "http://127.0.0.1:1", nil, 200, true},
		"guarded, lookalike":          {open(), "/metrics", "http://localhost.evil.example", nil, 403, false},
		"guarded, none":               {open(), "/metrics", "", nil, 200, false},
		"guarded, token":              {rest.Config{Tokens: []string{"secret"}}, "/metrics", evil, withToken, 200, true},
		"guarded, wrong token":        {rest.Config{Tokens: []string{"other"}}, "/metrics", evil, withToken, 403, false},
		"guarded, same host":          {rest.Config{Tokens: []string{"secret"}}, "/metrics", "https://box.example", append([]string{"Host", "box.example:8080"}, withToken...), 200, true},
		"guarded, same host, no token": {
			rest.Config{Tokens: []string{"secret"}},
			"/metrics", "https://box.example",
			[]string{"Host", "box.example:8080"},
			401, true,
		},
		"open":            {open(), "/live", evil, nil, 200, false},
		"unknown route":   {open(), "/v1/ai/none", evil, nil, 404, true},
		"unknown, closed": {rest.Config{}, "/v1/ai/none", evil, nil, 404, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := newFakes().start(t, c.cfg)
			a := do(t, srv, http.MethodGet, c.path, "", append([]string{"Origin", c.origin}, c.more...)...)
			h := a.header
			if a.status != c.status || (h.Get("Access-Control-Allow-Origin") != "") != c.reflected {
				t.Fatalf("got %d, allowed %q: %s", a.status, h.Get("Access-Control-Allow-Origin"), a.body)
			}
			if c.reflected && (h.Get("Access-Control-Allow-Origin") != c.origin || h.Get("Access-Control-Allow-Credentials") != "true" ||
				h.Get("Access-Control-Expose-Headers") != "X-Session-ID, X-Request-ID, Retry-After") {
				t.Errorf("headers: %v", h)
			}
			if !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
				t.Errorf("Vary is %q", h.Values("Vary"))
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	const evil = "https://evil.example"
	tokens := rest.Config{Tokens: []string{"secret"}, Origins: []string{"*"}}
	for name, c := range map[string]struct {
		cfg     rest.Config
		path    string
		status  int
		methods string
	}{
		"assistant":         {open(), chat, 204, "POST, OPTIONS"},
		"assistant get":     {open(), models, 204, "GET, OPTIONS"},
		"assistant tokens":  {tokens, chat, 204, "POST, OPTIONS"},
		"assistant closed":  {rest.Config{}, chat, 403, ""},
		"guarded":           {open(), "/metrics", 403, ""},
		"guarded, tokens":   {tokens, "/metrics", 204, "GET, OPTIONS"},
		"open":              {open(), "/live", 204, ""},
		"unknown":           {open(), "/v1/ai/none", 404, ""},
		"unknown elsewhere": {open(), "/none", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := do(t, newFakes().start(t, c.cfg), http.MethodOptions, c.path, "", "Origin", evil,
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-session-id",
				"Access-Control-Request-Private-Network", "true")
			if a.status != c.status || a.header.Get("Access-Control-Allow-Methods") != c.methods {
				t.Fatalf("got %d %v", a.status, a.header)
			}
			if c.methods != "" && (a.header.Get("Access-Control-Allow-Headers") != "authorization,x-session-id" ||
				a.header.Get("Access-Control-Allow-Origin") != evil || a.header.Get("Access-Control-Allow-Private-Network") != "true") {
				t.Errorf("headers: %v", a.header)
			}
		})
	}
	if a := do(t, newFakes().start(t, open()), http.MethodOptions, chat, "", "Host", "evil.example"); a.status != 421 {
		t.Errorf("wrong host: %d", a.status)
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		f := newFakes()
		h := rest.New(rest.Config{Rate: 0.5, Burst: 3, Tokens: []string{"t1", "t2"}}, rest.Routes(f.features(t)), silentObserver{}, slog.New(slog.DiscardHandler))
		ask := func(remote, token, path string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr = remote
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			return rec
		}
		for i := range 3 {
			if got := ask("1.2.3.4:1", "t1", models).Code; got != 200 {
				t.Fatalf("request %d: %d", i, got)
			}
		}
		if rec := ask("9.9.9.9:1", "t1", models); rec.Code != 429 || rec.Header().Get("Retry-After") != "2" {
			t.Errorf("same token, other machine: %d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
		}
		if got := ask("1.2.3.4:1", "t2", models).Code; got != 200 {
			t.Errorf("other token: %d", got)
		}
		time.Sleep(2 * time.Second)
		if got := ask("1.2.3.4:1", "t1", models).Code; got != 200 {
			t.Errorf("after waiting: %d", got)
		}
		for i, want := range []int{401, 401, 401, 429} {
			if got := ask("[2001:db8::1]:5", "guess", models).Code; got != want {
				t.Errorf("guess %d: %d, want %d", i, got, want)
			}
		}
		if got := ask("[2001:db8::2]:5", "guess", models).Code; got != 429 {
			t.Errorf("a neighbour in the same network: %d", got)
		}
		if got := ask("[2001:db8::1]:5", "", "/live").Code; got != 200 {
			t.Errorf("a probe: %d", got)
		}
	})
}

func TestSizeBeforeIDs(t *testing.T) {
	srv := newFakes().start(t, rest.Config{MaxBody: 100})
	for _, body := range []io.Reader{strings.NewReader(strings.Repeat(" ", 101)), io.LimitReader(strings.NewReader(strings.Repeat(" ", 101)), 101)} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+chat, body)
		req.Header.Set("X-Session-ID", "not valid")
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if known := req.ContentLength > 0; known && res.StatusCode != http.StatusRequestEntityTooLarge || !known && res.StatusCode != http.StatusBadRequest {
			t.Errorf("length %d: %d", req.ContentLength, res.StatusCode)
		}
	}
}

// TestPanic: the client learns nothing, the log everything, the server goes on.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	bad := rest.Route{Method: http.MethodGet, Path: "/bad", Zone: rest.Open, Handler: func(http.ResponseWriter, *http.Request) error { panic("secret") }}
	half := rest.Route{Method: http.MethodGet, Path: "/half", Zone: rest.Open, Handler: func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half")
		panic("secret")
	}}
	h := rest.New(rest.Config{}, []rest.Route{bad, half}, silentObserver{}, slog.New(slog.NewJSONHandler(&log, nil)))
	r := httptest.NewRequest(http.MethodGet, "http://localhost/bad", nil)
	r.Header.Set("X-Request-ID", "rq-1")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret") {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
	if s := log.String(); !strings.Contains(s, "secret") || !strings.Contains(s, "gate_test.go") || strings.Count(s, `"rq-1"`) != 2 || !strings.Contains(s, `"status":500`) {
		t.Errorf("log: %s", s)
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // it is this very value
			t.Errorf("a half answer ended with %v", p)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/half", nil))
}

// TestTimeout: a request that takes too long ends with its status, and its engine is told.
func TestTimeout(t *testing.T) {
	slow := rest.Route{Method: http.MethodGet, Path: "/slow", Zone: rest.Open, Handler: func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return context.Cause(r.Context())
	}}
	srv := newFakes().start(t, rest.Config{Timeout: time.Millisecond}, slow)
	if a := do(t, srv, http.MethodGet, "/slow", ""); a.status != 503 || a.problem(t).Code != "timeout" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// TestEphemeralKey opens the WebSocket and nothing else, whether or not there are tokens.
func TestEphemeralKey(t *testing.T) {
	srv := newFakes().start(t, rest.Config{Tokens: []string{"secret"}})
	upgrade := []string{"Upgrade", "websocket", "Connection", "upgrade"}
	for _, c := range []struct {
		method, path string
		header       []string
		want         int
	}{
		{http.MethodGet, "/v1/realtime", []string{"Authorization", "Bearer ek_good"}, 200},
		{http.MethodGet, "/v1/realtime", append(upgrade, "Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.ek_good"), 200},
		{http.MethodGet, "/v1/realtime", []string{"Authorization", "Bearer secret"}, 200},
		{http.MethodGet, "/v1/realtime", []string{"Authorization", "Bearer ek_bad"}, 401},
		{http.MethodGet, "/v1/realtime", nil, 401},
		{http.MethodGet, models, []string{"Authorization", "Bearer ek_good"}, 401},
		{http.MethodGet, "/metrics", []string{"Authorization", "Bearer ek_good"}, 401},
		{http.MethodPost, "/v1/realtime/client_secrets", []string{"Authorization", "Bearer ek_good"}, 401},
		{http.MethodPost, "/v1/realtime/sessions", []string{"Authorization", "Bearer ek_good"}, 401},
		{http.MethodPost, "/v1/realtime/client_secrets", []string{"Authorization", "Bearer secret"}, 200},
	} {
		if a := do(t, srv, c.method, c.path, "", c.header...); a.status != c.want {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.path, c.header, a.status, c.want)
		}
	}
}
