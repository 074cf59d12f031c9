package realtime

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"brenda/realtime/protocol"
)

// frame makes a binary frame of a client.
func frame(kind, stream byte, seq uint16, at uint32, sound []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(sound))
	b[0], b[1] = kind, stream
	binary.LittleEndian.PutUint16(b[2:], seq)
	binary.LittleEndian.PutUint32(b[4:], at)
	return append(b, sound...)
}

// TestDevice talks as a kiosk does: no sound is in JSON, and what the kiosk plays is in its turn's times.
func TestDevice(t *testing.T) {
	h := newHouse(t, 2)
	conn := h.dial(t, "", nil, binaryProtocol, "brenda.token.t")
	if conn.Subprotocol() != binaryProtocol {
		t.Fatalf("the server chose %q", conn.Subprotocol())
	}
	first := until(t, conn, "session.created")
	if first.str("resume", "token") == "" {
		t.Errorf("got %v", first.body)
	}
	send := func(b []byte) {
		t.Helper()
		if err := conn.Write(t.Context(), websocket.MessageBinary, b); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range map[string][]byte{
		"short": {1, 0, 0}, "type": frame(2, 0, 0, 0, nil), "unknown": frame(77, 0, 0, 0, nil), "half": frame(1, 0, 0, 0, []byte{1}),
		"stream": frame(1, 3, 0, 0, nil), "nothing played": frame(3, 9, 0, 0, nil), "empty": {},
	} {
		send(b)
		if e := until(t, conn, "error"); e.str("error", "code") != "invalid_frame" {
			t.Errorf("%s: %v", name, e.body)
		}
	}
	write(t, conn, `{"type":"input_audio_buffer.append","event_id":"e7","audio":"AAAA"}`)
	if e := until(t, conn, "error"); e.str("error", "event_id") != "e7" {
		t.Errorf("got %v", e.body)
	}
	for i := range uint16(30) {
		send(frame(micFrame, 0, i, uint32(i)*20, make([]byte, 960)))
	}
	write(t, conn, `{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}}`)
	write(t, conn, `{"type":"response.create"}`)
	stream, next, sound := byte(0), uint16(0), 0
	for {
		kind, b, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if kind == websocket.MessageBinary {
			at := time.Duration(sound) * time.Second / 48000
			want := frame(speechFrame, stream, next, uint32(at.Milliseconds()), nil)
			if !slices.Equal(b[:headerSize], want) {
				t.Fatalf("the header is %v, want %v", b[:headerSize], want)
			}
			next, sound = next+1, sound+len(b)-headerSize
			send(frame(playedFrame, stream, 0, uint32(at.Milliseconds()), nil))
			continue
		}
		e := event{}
		if err := json.Unmarshal(b, &e.body); err != nil {
			t.Fatal(err)
		}
		switch e.str("type") {
		case "response.content_part.added":
			n, _ := e.get("stream").(float64)
			stream = byte(n)
		case "response.output_audio.delta", "error":
			t.Fatalf("got %s", b)
		case "response.done":
			if stream != 1 || sound == 0 || e.str("response", "metadata", "heard") == "" {
				t.Errorf("stream %d, %d bytes of sound, %v", stream, sound, e.get("response", "metadata"))
			}
			return
		}
	}
}

// TestWordOfTheDevice has a device that is far behind be interrupted: the history ends where the device was.
func TestWordOfTheDevice(t *testing.T) {
	heard := map[bool]string{}
	for _, tells := range []bool{false, true} {
		scene(t, script{words: []string{"Non, je parlais de demain."}}, func(p *person) {
			p.types("Quel temps fait-il ?")
			item := p.wait("response.output_audio.delta").str("item_id")
			for i := range 25 {
				p.quiet(100)
				if tells { // its sound stumbles: half as much is played as was sent
					at := time.Duration(i) * 50 * time.Millisecond
					p.call.post(func(context.Context) { p.call.played(&played{item: item, at: at}) })
				}
			}
			p.says(0, 1500)
			heard[tells] = p.wait("response.done").str("response", "output", "content", "transcript")
			p.quiet(3000)
		})
	}
	if len(heard[true]) == 0 || len(heard[true]) >= len(heard[false]) {
		t.Errorf("heard was %q by the device, %q by the clock", heard[true], heard[false])
	}
}

func TestArrivals(t *testing.T) {
	const ms = time.Millisecond
	var a arrivals
	for i, s := range []struct {
		seq  uint16
		at   uint32
		late bool
		gap  time.Duration
	}{
		{65534, 1000, false, 0},
		{65535, 1020, false, 0},
		{0, 1040, false, 0},        // sequences wrap
		{3, 1100, false, 40 * ms},  // two are lost
		{2, 1080, true, 0},         // one of them comes too late
		{3, 1100, true, 0},         // once more
		{5, 1500, false, 380 * ms}, // a longer gap
		{9, 9000, false, 0},        // a pause
		{11, 9010, false, 0},       // the clock says that nothing is missing
	} {
		late, gap := a.arrived(s.seq, s.at, 20*ms)
		if late != s.late || gap != s.gap {
			t.Errorf("frame %d: late %v, gap %v; want %+v", i, late, gap, s)
		}
	}
	if a.lost != 2+1+3+1 || a.late != 2 {
		t.Errorf("%d lost, %d late", a.lost, a.late)
	}
	b := arrivals{}
	for i := range uint16(100) { // G.711 frames of 12.5 ms: their timestamps are rounded down
		if _, gap := b.arrived(2*i, uint32(i)*25/2+uint32(i%2), 12500*time.Microsecond); gap > 13*ms {
			t.Fatalf("frame %d: a gap of %v", i, gap)
		}
	}
}

func TestSilenceOfFormats(t *testing.T) {
	for _, f := range []protocol.Format{{Type: protocol.PCM, Rate: 24000}, {Type: protocol.MuLaw, Rate: 8000}, {Type: protocol.ALaw, Rate: 8000}} {
		m := microphone{}
		b := silence(f, 100*time.Millisecond)
		if len(b) != f.BytesPerSecond()/10 {
			t.Errorf("%v: %d bytes", f, len(b))
		}
		for _, v := range m.decode(f, b) {
			if v > 0.001 || v < -0.001 {
				t.Fatalf("%v: silence sounds like %v", f, v)
			}
		}
	}
}

// FuzzBinaryFrame has a device send anything at all.
func FuzzBinaryFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(frame(micFrame, 0, 1, 2, []byte{1, 2}))
	f.Add(frame(playedFrame, 1, 1, 2, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, format := range []protocol.Format{{Type: protocol.PCM, Rate: 8000}, {Type: protocol.ALaw, Rate: 8000}} {
			w := &binaryWire{binaryCoder: newBinaryCoder(), format: func() protocol.Format { return format }}
			w.streams[1].item = "item_1"
			for range 2 {
				ev, err := w.take(b)
				if sound, ok := ev.(*protocol.InputAudioAppend); ok && len(sound.Audio) > len(b)+16000 {
					t.Fatalf("%d bytes became %d", len(b), len(sound.Audio))
				}
				if len(b) < headerSize && err == nil {
					t.Fatal("taken")
				}
			}
		}
	})
}
