package rest

import (
	"net/http"

	"brenda/rest/ai"
	"brenda/rest/chaining"
	"brenda/rest/health"
	"brenda/rest/httpx"
	"brenda/rest/image"
	"brenda/rest/monitor"
	"brenda/rest/sessions"
	"brenda/rest/speech"
)

// Zone says who may use a route.
type Zone int

// The zones. When tokens are configured, Assistant and Guarded ask for one.
const (
	Assistant Zone = iota // any page, within cors.origins
	Guarded               // pages of this host; foreign ones only with a valid token
	Open                  // everybody: probes, documentation, the page; nothing private or dear
)

// Route is one row of the table.
type Route struct {
	Method  string
	Path    string // a pattern of httprouter: ":name" is one element, "*name" all the rest
	Zone    Zone
	Handler httpx.Handler
	Endless bool // has no end by itself, so that the timeout of requests is not for it
}

// Features are what the table serves. A feature that is nil has no routes. Package rest/NAME documents each.
type Features struct {
	AI       *ai.Service
	Speech   *speech.Service
	Chaining *chaining.Service
	Sessions *sessions.Service
	Health   *health.Service
	Monitor  *monitor.Service
	Image    *image.Service
	Docs     bool          // GET /openapi.json and /docs
	Realtime httpx.Handler // the WebSocket
	Page     httpx.Handler // the page of package web: GET / and /static/*file
}

// Routes returns the table.
func Routes(f Features) []Route {
	const get, head, post = http.MethodGet, http.MethodHead, http.MethodPost
	var table []Route
	add := func(rows ...Route) { table = append(table, rows...) }
	if s := f.AI; s != nil {
		add(
			Route{Method: get, Path: "/v1/ai/models", Zone: Assistant, Handler: s.Models},
			Route{Method: post, Path: "/v1/ai/load_model", Zone: Assistant, Handler: s.LoadModel},
			Route{Method: post, Path: "/v1/ai/generate", Zone: Assistant, Handler: s.Generate},
			Route{Method: get, Path: "/v1/ai/session", Zone: Assistant, Handler: s.Session},
			Route{Method: post, Path: "/v1/ai/stop", Zone: Assistant, Handler: s.Stop},
		)
	}
	if s := f.Speech; s != nil {
		add(
			Route{Method: get, Path: "/v1/ai/speech/models", Zone: Assistant, Handler: s.Models},
			Route{Method: post, Path: "/v1/ai/speech/text-to-speech", Zone: Assistant, Handler: s.TextToSpeech},
			Route{Method: post, Path: "/v1/ai/speech/speech-to-text", Zone: Assistant, Handler: s.SpeechToText},
		)
	}
	if s := f.Image; s != nil {
		add(
			Route{Method: get, Path: "/v1/ai/image/models", Zone: Assistant, Handler: s.Models},
			Route{Method: post, Path: "/v1/ai/image/generate", Zone: Assistant, Handler: s.Generate},
			Route{Method: post, Path: "/v1/ai/image/refine", Zone: Assistant, Handler: s.Refine},
		)
	}
	if s := f.Sessions; s != nil {
		add(
			Route{Method: get, Path: "/v1/ai/sessions", Zone: Guarded, Handler: s.List},
			Route{Method: get, Path: "/v1/ai/sessions/:id", Zone: Guarded, Handler: s.Show},
			Route{Method: http.MethodDelete, Path: "/v1/ai/sessions/:id", Zone: Guarded, Handler: s.Remove},
		)
	}
	if s := f.Chaining; s != nil {
		add(Route{Method: post, Path: "/v1/ai/chaining/chat", Zone: Assistant, Handler: s.Chat})
	}
	if f.Realtime != nil {
		add(Route{Method: get, Path: "/v1/realtime", Zone: Assistant, Handler: f.Realtime, Endless: true})
	}
	if s := f.Monitor; s != nil {
		const box = "/v1/monitor/containers/:id"
		add(
			Route{Method: get, Path: "/v1/monitor/system/stats", Zone: Guarded, Handler: s.System},
			Route{Method: get, Path: "/v1/monitor/system/history", Zone: Guarded, Handler: s.History},
			Route{Method: get, Path: "/v1/monitor/engines", Zone: Guarded, Handler: s.Engines},
			Route{Method: get, Path: "/v1/monitor/containers", Zone: Guarded, Handler: s.Containers},
			Route{Method: post, Path: box + "/start", Zone: Guarded, Handler: s.Start},
			Route{Method: post, Path: box + "/stop", Zone: Guarded, Handler: s.Stop},
			Route{Method: post, Path: box + "/restart", Zone: Guarded, Handler: s.Restart},
			Route{Method: get, Path: box + "/logs", Zone: Guarded, Handler: s.Logs, Endless: true},
			Route{Method: get, Path: box + "/stats", Zone: Guarded, Handler: s.Stats, Endless: true},
		)
	}
	if s := f.Health; s != nil {
		add(
			Route{Method: get, Path: "/live", Zone: Open, Handler: s.Live},
			Route{Method: head, Path: "/live", Zone: Open, Handler: s.Live},
			Route{Method: get, Path: "/ready", Zone: Open, Handler: s.Ready},
			Route{Method: head, Path: "/ready", Zone: Open, Handler: s.Ready},
			Route{Method: get, Path: "/metrics", Zone: Guarded, Handler: s.Metrics},
		)
	}
	if f.Docs {
		add(
			Route{Method: get, Path: "/openapi.json", Zone: Open, Handler: openAPI},
			Route{Method: get, Path: "/docs", Zone: Open, Handler: docsPage},
		)
	}
	if f.Page != nil {
		add(
			Route{Method: get, Path: "/", Zone: Open, Handler: f.Page},
			Route{Method: head, Path: "/", Zone: Open, Handler: f.Page},
			Route{Method: get, Path: "/static/*file", Zone: Open, Handler: f.Page},
			Route{Method: head, Path: "/static/*file", Zone: Open, Handler: f.Page},
		)
	}
	return table
}
