package realtime

import (
	"bytes"
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"brenda/realtime/protocol"
)

// wire is how events travel. The call knows only this; another form of the same conversation is another wire.
type wire interface {
	frames
	// Ping returns when the client has answered.
	Ping(ctx context.Context) error
	// Close says goodbye, with the reason.
	Close(why error)
}

// frames are what a wire carries.
type frames interface {
	// Read returns the client's next event. An error that is a *protocol.Error is about that event alone; any other
	// ends the connection.
	Read(ctx context.Context) (protocol.ClientEvent, error)
	// Encode returns the bytes of an event, nil when this wire has no such event. One goroutine uses it.
	Encode(ev protocol.ServerEvent) ([]byte, error)
	// Write sends what Encode returned.
	Write(ctx context.Context, frame []byte) error
}

// The limits of a connection.
const (
	maxFrame     = 16 << 20         // bytes of one frame of the client; more ends the connection with 1009
	writeTimeout = 10 * time.Second // of one frame; a client that takes longer is gone
	pingEvery    = 20 * time.Second
	pongTimeout  = 20 * time.Second

	eventsPerSecond = 500 // in the long run; a microphone sends fifty
	pingsPerSecond  = 10  // that are answered
)

// Why a connection ends, apart from its client's leaving.
var (
	errUTF8 = errors.New("the text is not UTF-8")
	errSlow = errors.New("the client does not read what it is sent")
)

// socket is the WebSocket under a wire.
type socket struct {
	conn *websocket.Conn
	pace *rate.Limiter
	buf  []byte // of the frame that was read last
}

func newSocket(conn *websocket.Conn) *socket {
	conn.SetReadLimit(maxFrame)
	return &socket{conn: conn, pace: rate.NewLimiter(eventsPerSecond, 4*eventsPerSecond)}
}

// read returns the next frame; it is good until the one after that. A client that sends faster than any microphone is
// read as slowly as one.
func (s *socket) read(ctx context.Context) (websocket.MessageType, []byte, error) {
	if err := s.pace.Wait(ctx); err != nil {
		return 0, nil, err
	}
	kind, r, err := s.conn.Reader(ctx)
	if err != nil {
		return 0, nil, err
	}
	if cap(s.buf) > 64<<10 {
		s.buf = nil // what was big is seldom followed by more of that
	}
	b := bytes.NewBuffer(s.buf[:0])
	_, err = b.ReadFrom(r)
	s.buf = b.Bytes()
	return kind, s.buf, err
}

// write has a deadline of its own: the end of a call, or of a turn, must not tear a frame apart.
func (s *socket) write(ctx context.Context, kind websocket.MessageType, frame []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, kind, frame)
}

// Ping implements wire.
func (s *socket) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pongTimeout)
	defer cancel()
	return s.conn.Ping(ctx)
}

// Close implements wire.
func (s *socket) Close(why error) {
	switch {
	case errors.Is(why, errUTF8):
		_ = s.conn.Close(websocket.StatusInvalidFramePayloadData, why.Error())
	case errors.Is(why, errClosing):
		_ = s.conn.Close(websocket.StatusServiceRestart, why.Error())
	case errors.Is(why, errSlow):
		_ = s.conn.CloseNow() // it would not read the goodbye either
	default:
		_ = s.conn.Close(websocket.StatusNormalClosure, "")
	}
}

// jsonWire is OpenAI's form: one JSON object in each text frame.
type jsonWire struct {
	*socket

	dialect protocol.Dialect
	encoder protocol.Encoder
}

func newJSONWire(conn *websocket.Conn, d protocol.Dialect) *jsonWire {
	return &jsonWire{socket: newSocket(conn), dialect: d, encoder: protocol.Encoder{Dialect: d}}
}

func (w *jsonWire) Read(ctx context.Context) (protocol.ClientEvent, error) {
	kind, frame, err := w.read(ctx)
	switch {
	case err != nil:
		return nil, err
	case kind != websocket.MessageText:
		return nil, protocol.Invalid(protocol.CodeInvalidEvent, "",
			"Binary frames are for the subprotocol %s; here sound is base64 in input_audio_buffer.append.", binaryProtocol)
	case !utf8.Valid(frame):
		return nil, errUTF8
	}
	return protocol.Decode(w.dialect, frame)
}

func (w *jsonWire) Encode(ev protocol.ServerEvent) ([]byte, error) { return w.encoder.Encode(ev) }

func (w *jsonWire) Write(ctx context.Context, frame []byte) error {
	return w.write(ctx, websocket.MessageText, frame)
}
