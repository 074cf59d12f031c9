package httpx

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// KeepAlive is how long a stream may be silent before a comment is sent, so that no proxy takes it for dead.
const KeepAlive = 15 * time.Second

// Stream sends server-sent events. The headers go out with the first event, so that an error before it is an
// ordinary answer with a status. Its methods may be called from several goroutines.
type Stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController

	mu      sync.Mutex
	started bool
	err     error // the first failed write: the client is gone
	idle    *time.Timer
	closed  bool
}

// NewStream returns a stream that has sent nothing yet. [Stream.Close] must be called.
func NewStream(w http.ResponseWriter) *Stream {
	return &Stream{w: w, rc: http.NewResponseController(w)}
}

// Started tells whether the headers are out.
func (s *Stream) Started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// Send sends v as one event. An error means that the client is gone.
func (s *Stream) Send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write("data: ", b)
}

// Finish ends the stream with the line that says so.
func (s *Stream) Finish() error { return s.write("data: ", []byte("[DONE]")) }

// Fail tells the client of an error: within the stream when it has begun, and then ends it. Otherwise it
// returns err, for the ordinary answer.
func (s *Stream) Fail(r *http.Request, err error) error {
	if !s.Started() {
		return err
	}
	LogFault(r, err)
	ev := struct {
		Type  string  `json:"type"`
		Error Problem `json:"error"`
	}{"error", Describe(err)}
	if s.Send(ev) == nil {
		_ = s.Finish() // a client that went away needs no last line
	}
	return nil
}

// Close stops the keep-alive. Nothing is written after it returns.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.idle != nil {
		s.idle.Stop()
	}
}

var errStreamClosed = errors.New("stream is closed")

func (s *Stream) write(prefix string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errStreamClosed
	}
	if s.err != nil {
		return s.err
	}
	if !s.started {
		s.start()
	}
	s.idle.Reset(KeepAlive)
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
	s.err = s.put(prefix, b)
	return s.err
}

// put writes one event or comment and sends it off at once.
func (s *Stream) put(prefix string, b []byte) error {
	line := make([]byte, 0, len(prefix)+len(b)+2)
	line = append(append(append(line, prefix...), b...), '\n', '\n')
	if _, err := s.w.Write(line); err != nil {
		return err
	}
	return s.rc.Flush()
}

func (s *Stream) start() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	s.w.WriteHeader(http.StatusOK)
	s.started = true
	s.idle = time.AfterFunc(KeepAlive, s.alive)
}

// alive sends a comment into a silent stream.
func (s *Stream) alive() {
	_ = s.write(": ", []byte("keep-alive")) // a failure is kept for the next Send
}
