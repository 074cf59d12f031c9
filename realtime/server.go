// Package realtime is the voice of Brenda: a WebSocket on which a person and the assistant talk to each other.
//
// Each connection is a call: one goroutine owns all of its state. A reader turns the client's frames into events and
// judges the microphone's sound on the way, a writer sends what the call has to say, and everything that takes time,
// recognition, answers, the history, is done beside it and comes back as a function that the call's goroutine carries
// out. When somebody has begun to speak, finished or interrupts is decided by package turntaking; the language of the
// events is package protocol's.
package realtime

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/pipeline/hearing"
	"brenda/pipeline/session"
	"brenda/realtime/protocol"
	"brenda/rest/httpx"
)

// Ear writes down what was said in a stretch of speech.
type Ear interface {
	// Recognize is hearing.Ear's: fault.Invalid with code "no_speech" when nothing was said.
	Recognize(ctx context.Context, u hearing.Utterance, o hearing.Options) (pipeline.Transcript, error)
}

// Engines are what a call works with.
type Engines struct {
	VAD   pipeline.VAD
	Turn  pipeline.TurnDetector // nil: only silence and words tell when a turn is over
	Ear   Ear
	LLM   pipeline.Generator
	Voice pipeline.Synthesizer
}

// Config is what all calls share.
type Config struct {
	Names         func(context.Context) protocol.Names // the models and voices that there are now
	Instructions  string                               // the system prompt that a session begins with
	Language      string                               // ISO 639-1: of speech in and out
	ContextTokens int                                  // the LLM's context window
	MaxTokens     int                                  // the longest answer, in tokens
	Sessions      int                                  // calls at the same time; beyond it a new one is refused
	Few           int                                  // calls that are let in however late sound is heard; 0: 4
	Pressure      func() float64                       // share of the time in which work waits for a processor; may be nil
	Watch         Observer                             // may be nil
	PerClient     int                                  // calls of one machine at the same time; 0: as many as there are
}

// Server answers GET /v1/realtime.
type Server struct {
	cfg     Config
	engines Engines
	hub     *session.Hub
	log     *slog.Logger

	tickets tickets
	secrets secrets
	meter   *meter
	count   counters

	mu     sync.Mutex
	calls  map[*call]struct{}
	ending bool
	warned time.Time // when the log was last told of overload
	wg     sync.WaitGroup
}

// New returns a server whose conversations are the hub's. Close ends it.
func New(cfg Config, engines Engines, hub *session.Hub, log *slog.Logger) *Server {
	if cfg.Few == 0 {
		cfg.Few = fewCalls
	}
	return &Server{cfg: cfg, engines: engines, hub: hub, log: log, calls: map[*call]struct{}{}, meter: newMeter()}
}

// Observer is told how long the stages of spoken turns took: each after the end of the speech. It must not block.
type Observer interface {
	CallStage(name string, after time.Duration)
}

// errFull is what a client is told when there is no room for it.
func errFull() error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "overloaded", RetryAfter: 5 * time.Second,
		Msg: "as many conversations as this server carries are going on; try again in a moment",
	}
}

// Handle answers a request by a WebSocket, and returns when the conversation on it is over. An error is returned only
// before the upgrade.
func (s *Server) Handle(w http.ResponseWriter, r *http.Request) error {
	info := httpx.InfoOf(r)
	if r.URL.Query().Has("call_id") {
		return fault.Field("call_id", "calls by WebRTC or telephone cannot be joined on this server")
	}
	if token := resumeToken(r); token != "" {
		return s.resume(w, r, token)
	}
	c := newCall(s, info.SessionID, info.Log)
	c.from = machineOf(r)
	if err := s.admit(c); err != nil {
		return err
	}
	wire, err := s.open(w, r, c)
	switch {
	case wire == nil:
		s.leave(c)
		return err
	case !c.resume.on:
		defer s.leave(c)
		c.run(context.WithoutCancel(r.Context()), wire)
		return nil
	}
	ctx := context.WithoutCancel(r.Context())
	l := newLeg(wire)
	c.leg, c.line = l, wire
	go func() {
		defer s.leave(c)
		c.live(ctx)
	}()
	c.carry(ctx, l)
	return nil
}

// open makes the connection of a new call. A nil wire means that there is none; the error, if there is one, has not been
// answered yet.
func (s *Server) open(w http.ResponseWriter, r *http.Request, c *call) (wire, error) {
	names := s.cfg.Names(r.Context())
	cfg, err := s.begin(r, names)
	if err != nil {
		return nil, err
	}
	offered := subprotocols(r)
	form := dialect(r, offered)
	asked := r.URL.Query().Has("resume")
	if asked && form == protocol.Beta {
		return nil, fault.Field("resume", "a session of the beta dialect cannot be resumed")
	}
	conn, err := accept(w, r)
	if err != nil {
		return nil, nil //nolint:nilerr // accept has answered
	}
	c.names, c.cfg = names, cfg
	if conn.Subprotocol() == binaryProtocol {
		c.resume = resumption{on: true, who: credentialOf(r), coder: newBinaryCoder()}
		return c.device(conn), nil
	}
	c.resume = resumption{on: asked, who: credentialOf(r)}
	return newJSONWire(conn, form), nil
}

// accept answers the handshake.
func accept(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	pings := rate.NewLimiter(pingsPerSecond, 10*pingsPerSecond)
	return websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{binaryProtocol, "realtime"},
		InsecureSkipVerify: true, // package rest has looked at the Origin
		OnPingReceived:     func(context.Context, []byte) bool { return pings.Allow() },
	})
}

// device returns the form of a connection with sound in binary frames.
func (c *call) device(conn *websocket.Conn) wire {
	return newBinaryWire(conn, c.resume.coder, func() protocol.Format { return *c.format.Load() })
}

// begin returns the configuration that the request asks for.
func (s *Server) begin(r *http.Request, names protocol.Names) (protocol.Session, error) {
	q := r.URL.Query()
	granted, err := s.granted(r)
	if err != nil {
		return protocol.Session{}, err
	}
	if granted.Type == "" && q.Get("intent") == "transcription" {
		granted.Type = protocol.Transcription
	}
	cfg, err := s.configure(granted, q.Get("model"), names)
	if err != nil {
		return cfg, fault.New(fault.NotFound, "model_not_found", "%s", err.Error())
	}
	return cfg, nil
}

// subprotocols lists what the client offers. Some of it is secret.
func subprotocols(r *http.Request) []string {
	var out []string
	for p := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		out = append(out, strings.TrimSpace(p))
	}
	return out
}

// dialect returns which form of the protocol the client speaks.
func dialect(r *http.Request, offered []string) protocol.Dialect {
	if slices.Contains(offered, "openai-beta.realtime-v1") ||
		strings.EqualFold(r.Header.Get("OpenAI-Beta"), "realtime=v1") {
		return protocol.Beta
	}
	return protocol.GA
}

// admit lets a call in while there is room.
func (s *Server) admit(c *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return fault.New(fault.Unavailable, "draining", "the server is shutting down")
	}
	if err := s.room(c); err != nil {
		s.count.refused.Add(1)
		return err
	}
	s.calls[c] = struct{}{}
	s.wg.Add(1)
	return nil
}

func (s *Server) leave(c *call) {
	s.mu.Lock()
	delete(s.calls, c)
	s.mu.Unlock()
	s.wg.Done()
}

// Calls returns how many conversations are going on.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// errClosing ends calls when the server ends.
var errClosing = errors.New("the server is shutting down")

// Close lets no more calls in, lets answers that are being spoken come to their end until ctx ends, ends all calls, and
// returns when they are over.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	s.ending = true
	calls := make([]*call, 0, len(s.calls))
	for c := range s.calls {
		calls = append(calls, c)
	}
	s.mu.Unlock()
	for _, c := range calls {
		c.drain()
	}
	over := make(chan struct{})
	go func() { s.wg.Wait(); close(over) }()
	select {
	case <-over:
		return
	case <-ctx.Done():
	}
	for _, c := range calls {
		c.hangUp(errClosing)
	}
	<-over
}
