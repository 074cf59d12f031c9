package realtime

import (
	"context"
	"encoding/binary"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"brenda/realtime/protocol"
)

// binaryProtocol is the subprotocol whose sound travels in binary frames; docs/realtime.md draws them.
const binaryProtocol = "brenda.binary.v1"

// What begins a binary frame: type, stream, sequence, timestamp; all numbers are little-endian, as the samples are.
const (
	headerSize = 8

	micFrame    = 1 // client: the microphone's sound
	speechFrame = 2 // server: an answer's sound
	playedFrame = 3 // client: how much of an answer has been played
)

// maxFill is the longest gap in a microphone's sound that is filled with silence; a longer one was a pause.
const maxFill = time.Second

func putHeader(b []byte, kind, stream byte, seq uint16, at time.Duration) {
	b[0], b[1] = kind, stream
	binary.LittleEndian.PutUint16(b[2:], seq)
	binary.LittleEndian.PutUint32(b[4:], uint32(at.Milliseconds())) //nolint:gosec // wraps after 49 days
}

// played is a device's word on how much of an answer has been heard.
type played struct {
	protocol.Header

	item string
	at   time.Duration
}

// binaryCoder writes events for a device. It goes on from one connection of a call to the next.
type binaryCoder struct {
	encoder protocol.Encoder
	rates   map[string]int // bytes per second of the sound of responses
	seq     uint16
	stream  byte // of the newest answer

	mu      sync.Mutex
	streams [256]stream
}

// stream is the sound of one answer.
type stream struct {
	item string
	rate int // bytes per second
	sent int // bytes
}

func newBinaryCoder() *binaryCoder { return &binaryCoder{rates: map[string]int{}} }

// Encode returns a binary frame for sound, and JSON for everything else. JSON begins with a brace, which is no type of
// frame.
func (b *binaryCoder) Encode(ev protocol.ServerEvent) ([]byte, error) {
	switch ev := ev.(type) {
	case protocol.ResponseCreated:
		b.rates[ev.Response.ID] = ev.Response.Sound.Format.BytesPerSecond()
	case protocol.ResponseDone:
		delete(b.rates, ev.Response.ID)
	case protocol.ContentPartAdded:
		if ev.Part.Type == protocol.AudioOut {
			return b.begin(ev)
		}
	case protocol.OutputAudioDelta:
		return b.sound(ev), nil
	}
	return b.encoder.Encode(ev)
}

// begin gives the sound of an answer a number, and tells it.
func (b *binaryCoder) begin(ev protocol.ContentPartAdded) ([]byte, error) {
	b.stream++
	if b.stream == 0 {
		b.stream = 1
	}
	b.mu.Lock()
	b.streams[b.stream] = stream{item: ev.ItemID, rate: b.rates[ev.ResponseID]}
	b.mu.Unlock()
	return b.encoder.Encode(protocol.StreamBegun{ContentPartAdded: ev, Stream: int(b.stream)})
}

func (b *binaryCoder) sound(ev protocol.OutputAudioDelta) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.stream
	for range b.streams { // it is nearly always the newest
		if b.streams[n].item == ev.ItemID {
			break
		}
		n--
	}
	s := &b.streams[n]
	frame := make([]byte, headerSize+len(ev.Delta))
	at := time.Duration(s.sent) * time.Second / time.Duration(max(s.rate, 1))
	putHeader(frame, speechFrame, n, b.seq, at)
	copy(frame[headerSize:], ev.Delta)
	s.sent += len(ev.Delta)
	b.seq++
	return frame
}

// item returns whose sound a stream is, "" for a number that was not given yet.
func (b *binaryCoder) item(n byte) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streams[n].item
}

// binaryWire is the form for devices: sound in binary frames, everything else as JSON.
type binaryWire struct {
	*socket
	*binaryCoder

	format func() protocol.Format // of the microphone
	mic    arrivals
}

func newBinaryWire(conn *websocket.Conn, coder *binaryCoder, format func() protocol.Format) *binaryWire {
	return &binaryWire{socket: newSocket(conn), binaryCoder: coder, format: format}
}

func (w *binaryWire) Read(ctx context.Context) (protocol.ClientEvent, error) {
	for {
		kind, frame, err := w.read(ctx)
		switch {
		case err != nil:
			return nil, err
		case kind == websocket.MessageBinary:
			if ev, err := w.take(frame); ev != nil || err != nil {
				return ev, err
			}
		case !utf8.Valid(frame):
			return nil, errUTF8
		default:
			ev, err := protocol.Decode(protocol.GA, frame)
			if sound, ok := ev.(*protocol.InputAudioAppend); ok {
				return nil, protocol.Invalid(protocol.CodeInvalidEvent, "type",
					"Sound travels in binary frames on this subprotocol.").For(sound.ID())
			}
			return ev, err
		}
	}
}

func badFrame(format string, args ...any) error {
	return protocol.Invalid("invalid_frame", "", "Binary frame: "+format, args...)
}

// take reads a binary frame. Sound that comes too late is no event: it would be heard at the wrong place.
func (w *binaryWire) take(frame []byte) (protocol.ClientEvent, error) {
	if len(frame) < headerSize {
		return nil, badFrame("%d bytes are less than its header of %d.", len(frame), headerSize)
	}
	n, seq := frame[1], binary.LittleEndian.Uint16(frame[2:])
	at, sound := binary.LittleEndian.Uint32(frame[4:]), frame[headerSize:]
	switch frame[0] {
	case micFrame:
		f := w.format()
		switch {
		case n != 0:
			return nil, badFrame("the stream of the microphone is 0, not %d.", n)
		case f.Type == protocol.PCM && len(sound)%2 != 0:
			return nil, badFrame("%d bytes are no whole samples of 16 bits.", len(sound))
		}
		late, gap := w.mic.arrived(seq, at, time.Duration(len(sound))*time.Second/time.Duration(f.BytesPerSecond()))
		if late {
			return nil, nil //nolint:nilnil // no event
		}
		if gap > 0 {
			sound = append(silence(f, gap), sound...)
		}
		return &protocol.InputAudioAppend{Audio: sound}, nil
	case playedFrame:
		item := w.item(n)
		if item == "" {
			return nil, badFrame("no sound of the stream %d was sent.", n)
		}
		return &played{item: item, at: time.Duration(at) * time.Millisecond}, nil
	}
	return nil, badFrame("the type %d is none of 1 (microphone) and 3 (played).", frame[0])
}

// silence returns d of it.
func silence(f protocol.Format, d time.Duration) []byte {
	n := int(d*time.Duration(f.BytesPerSecond())/time.Second) &^ 1
	b := make([]byte, n)
	quiet := byte(0)
	switch f.Type {
	case protocol.MuLaw:
		quiet = 0xff
	case protocol.ALaw:
		quiet = 0xd5
	}
	for i := range b {
		b[i] = quiet
	}
	return b
}

// arrivals watches the order of a device's sound.
type arrivals struct {
	begun      bool
	next       uint16        // the sequence that is expected
	end        uint32        // the timestamp that is expected
	rest       time.Duration // of the last frame, less than a millisecond: timestamps have no room for it
	lost, late int
}

// arrived notes a frame. late tells that frames behind it came before it; gap is how much sound is missing in front of it.
func (a *arrivals) arrived(seq uint16, at uint32, length time.Duration) (late bool, gap time.Duration) {
	ahead := int16(seq - a.next) //nolint:gosec // serial number arithmetic
	if a.begun && ahead < 0 {
		a.late++
		return true, 0
	}
	if a.begun && ahead > 0 {
		a.lost += int(ahead)
		missing := time.Duration(int32(at-a.end)) * time.Millisecond //nolint:gosec // likewise
		if missing > 0 && missing <= maxFill {
			gap = missing
		}
	}
	length += a.rest
	a.begun, a.next, a.end = true, seq+1, at+uint32(length.Milliseconds()) //nolint:gosec // wraps, as it is meant to
	a.rest = length % time.Millisecond
	return false, gap
}

// account returns what was wrong with the order of the frames.
func (w *binaryWire) account() (lost, late int) { return w.mic.lost, w.mic.late }

// Write sends what Encode returned.
func (w *binaryWire) Write(ctx context.Context, frame []byte) error {
	kind := websocket.MessageBinary
	if len(frame) > 0 && frame[0] == '{' {
		kind = websocket.MessageText
	}
	return w.write(ctx, kind, frame)
}
