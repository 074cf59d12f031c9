package rest

import (
	"net/http"

	"brenda/rest/ai"
	"brenda/rest/chaining"
	"brenda/rest/files"
	"brenda/rest/health"
	"brenda/rest/httpx"
	"brenda/rest/image"
	"brenda/rest/media"
	"brenda/rest/monitor"
	"brenda/rest/sessions"
	"brenda/rest/speech"
	"brenda/rest/translate"
	"brenda/rest/vision"
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
	Endless bool          // has no end by itself, so that the timeout of requests is not for it
	Intake  *httpx.Intake // the limits of its bodies; nil means those of all routes

	Key     func(token string) bool // what opens this route besides the tokens; nil for nothing
	Options func(http.Header)       // adds to the answer to OPTIONS, if it is the first row of its path; nil for nothing
}

// Features are what the table serves. A feature that is nil has no routes. Package rest/NAME documents each.
type Features struct {
	AI        *ai.Service
	Speech    *speech.Service
	Translate *translate.Service
	Chaining  *chaining.Service
	Sessions  *sessions.Service
	Health    *health.Service
	Media     *media.Service
	Monitor   *monitor.Service
	Files     *files.Service
	Image     *image.Service
	Vision    *vision.Service
	Docs      bool // GET /openapi.json and /docs
	Realtime  Realtime
	Page      httpx.Handler // the page of package web: GET / and /static/*file
}

// Realtime is the WebSocket, and what makes keys for it.
type Realtime interface {
	Handle(w http.ResponseWriter, r *http.Request) error
	ClientSecret(w http.ResponseWriter, r *http.Request) error
	BetaSession(w http.ResponseWriter, r *http.Request) error
	Opens(token string) bool // a key that Handle accepts, and no other route
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
	if s := f.Translate; s != nil {
		add(
			Route{Method: get, Path: "/v1/ai/translation/languages", Zone: Assistant, Handler: s.Languages},
			Route{Method: post, Path: "/v1/ai/translation/translate", Zone: Assistant, Handler: s.Translate},
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
	if s := f.Media; s != nil {
		add(
			Route{Method: post, Path: "/v1/ai/media/url/analyze", Zone: Assistant, Handler: s.Analyze},
			Route{Method: post, Path: "/v1/ai/media/url/extract", Zone: Assistant, Handler: s.Extract},
			Route{Method: post, Path: "/v1/ai/media/url/stream", Zone: Assistant, Handler: s.Stream, Endless: true},
		)
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
	if s := f.Vision; s != nil {
		add(
			Route{Method: post, Path: "/v1/ai/image/analyze", Zone: Assistant, Handler: s.Analyze},
			Route{Method: post, Path: "/v1/ai/image/ocr", Zone: Assistant, Handler: s.OCR},
		)
	}
	if s := f.Files; s != nil {
		add(fileRoutes(s)...)
	}
	return append(table, houseRoutes(f)...)
}

// houseRoutes is the part of the table that is no feature of its own: conversations over a WebSocket, probes,
// documentation, the page.
func houseRoutes(f Features) []Route {
	const get, head, post = http.MethodGet, http.MethodHead, http.MethodPost
	var table []Route
	add := func(rows ...Route) { table = append(table, rows...) }
	if s := f.Realtime; s != nil {
		add(
			Route{Method: get, Path: "/v1/realtime", Zone: Assistant, Handler: s.Handle, Endless: true, Key: s.Opens},
			Route{Method: post, Path: "/v1/realtime/client_secrets", Zone: Guarded, Handler: s.ClientSecret},
			Route{Method: post, Path: "/v1/realtime/sessions", Zone: Guarded, Handler: s.BetaSession},
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

// fileRoutes is the part of the table for files. What sends or takes a whole file has no end but its own.
func fileRoutes(s *files.Service) []Route {
	const get, head, post, put, remove = http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete
	const tus, download, stream = "/v1/files/tus/:id", "/v1/files/download/*path", "/v1/files/stream/*path"
	in, part := s.Ordinary(), s.Resumables()
	return []Route{
		{Method: post, Path: "/v1/files/directory/create", Zone: Guarded, Handler: s.CreateFolder},
		{Method: post, Path: "/v1/files/directory/move", Zone: Guarded, Handler: s.MoveFolder},
		{Method: remove, Path: "/v1/files/directory/delete", Zone: Guarded, Handler: s.DeleteFolder},
		{Method: post, Path: "/v1/files/directory/compress", Zone: Guarded, Handler: s.Compress},
		{Method: post, Path: "/v1/files/upload", Zone: Guarded, Handler: s.Upload, Endless: true, Intake: in},
		{Method: put, Path: "/v1/files/upload/*path", Zone: Guarded, Handler: s.Put, Endless: true, Intake: in},
		{Method: post, Path: "/v1/files/move", Zone: Guarded, Handler: s.Move},
		{Method: remove, Path: "/v1/files/delete", Zone: Guarded, Handler: s.Delete},
		{Method: get, Path: download, Zone: Guarded, Handler: s.Download, Endless: true},
		{Method: head, Path: download, Zone: Guarded, Handler: s.Download},
		{Method: get, Path: stream, Zone: Guarded, Handler: s.Stream, Endless: true},
		{Method: head, Path: stream, Zone: Guarded, Handler: s.Stream},
		{Method: post, Path: "/v1/files/decompress", Zone: Guarded, Handler: s.Decompress},
		{Method: get, Path: "/v1/files/list", Zone: Guarded, Handler: s.List},
		{Method: get, Path: "/v1/files/list/*path", Zone: Guarded, Handler: s.List},
		{
			Method: post, Path: "/v1/files/tus", Zone: Guarded, Handler: s.CreateResumable, Endless: true, Intake: part,
			Options: s.Resumability,
		},
		{Method: head, Path: tus, Zone: Guarded, Handler: s.Resumable, Options: s.Resumability},
		{Method: http.MethodPatch, Path: tus, Zone: Guarded, Handler: s.Resumable, Endless: true, Intake: part},
		{Method: post, Path: tus, Zone: Guarded, Handler: s.Resumable, Endless: true, Intake: part},
		{Method: remove, Path: tus, Zone: Guarded, Handler: s.Resumable},
	}
}
