package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// The binary frames: type u8, stream u8, sequence u16, timestamp u32 in milliseconds, all little-endian, then the sound.
const (
	micFrame    = 1 // ours: the microphone
	speechFrame = 2 // the server's: an answer
	playedFrame = 3 // ours: so much of an answer has been played
	headerSize  = 8
)

// configuration is what a kiosk wants: sound at the rates of its devices, and the words that it hears.
const configuration = `{"type":"session.update","session":{"type":"realtime","audio":{` +
	`"input":{"format":{"type":"audio/pcm","rate":16000},"transcription":{"model":"whisper-1"},` +
	`"turn_detection":{"type":"semantic_vad"}},"output":{"format":{"type":"audio/pcm","rate":24000}}}}}`

// kiosk is a conversation, on one connection after the other.
type kiosk struct {
	url, token string
	answers    int    // to go
	end        func() // ends everything
	captions   io.Writer
	speaker    *speaker
	conn       atomic.Pointer[websocket.Conn]
	resume     url.Values // how to go on on the next connection; nil before the first
}

// event is what is read of the server's events.
type event struct {
	Type, Transcript string

	ID       string `json:"event_id"`
	Resume   struct{ Token string }
	Response struct{ Status string }
	Error    struct{ Message string }
}

// stay keeps the line: whenever it drops, it is taken up where it was.
func (k *kiosk) stay(ctx context.Context) error {
	for wait := time.Duration(0); ctx.Err() == nil; wait = min(2*wait+250*time.Millisecond, 5*time.Second) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		header := http.Header{"Authorization": {"Bearer " + k.token}}
		to := k.url + "?" + k.resume.Encode()
		conn, resp, err := websocket.Dial(ctx, to, &websocket.DialOptions{ //nolint:bodyclose // Dial does it
			Subprotocols: []string{"brenda.binary.v1"}, HTTPHeader: header,
		})
		switch {
		case err == nil:
			conn.SetReadLimit(1 << 20)
			wait = 0
			k.say("[on the line]")
			err = k.talk(ctx, conn)
			k.conn.Store(nil)
			_ = conn.CloseNow()
		case resp != nil && resp.StatusCode == http.StatusNotFound && k.resume != nil:
			k.resume = nil // the conversation has ended; a new one begins
		case resp != nil && resp.StatusCode < 500:
			return err // trying again would not help
		}
		if ctx.Err() == nil {
			k.say("[" + err.Error() + "]")
		}
	}
	return nil
}

// talk takes what the server says until the line drops.
func (k *kiosk) talk(ctx context.Context, conn *websocket.Conn) error {
	bye := context.AfterFunc(ctx, func() { _ = conn.Close(websocket.StatusNormalClosure, "") })
	defer bye()
	for {
		kind, frame, err := conn.Read(context.WithoutCancel(ctx)) // the goodbye is read too
		switch {
		case err != nil:
			return err
		case kind == websocket.MessageText:
			if err := k.take(ctx, conn, frame); err != nil {
				return err
			}
		case len(frame) >= headerSize && frame[0] == speechFrame:
			k.resume.Set("sound", strconv.Itoa(int(binary.LittleEndian.Uint16(frame[2:]))))
			at := time.Duration(binary.LittleEndian.Uint32(frame[4:])) * time.Millisecond
			k.speaker.add(piece{stream: frame[1], at: at, sound: frame[headerSize:]})
		}
	}
}

// take carries out an event.
func (k *kiosk) take(ctx context.Context, conn *websocket.Conn, frame []byte) error {
	var ev event
	if err := json.Unmarshal(frame, &ev); err != nil {
		return err
	}
	switch ev.Type {
	case "session.created":
		k.resume = url.Values{"resume": {ev.Resume.Token}}
		if err := conn.Write(ctx, websocket.MessageText, []byte(configuration)); err != nil {
			return err
		}
	case "session.updated":
		k.conn.Store(conn) // from now on the microphone is understood
	case "session.resumed":
		k.resume.Set("resume", ev.Resume.Token)
		k.conn.Store(conn)
	case "input_audio_buffer.speech_started":
		k.speaker.flush() // somebody speaks: be silent
	case "conversation.item.input_audio_transcription.completed":
		k.say("> " + ev.Transcript)
	case "response.output_audio_transcript.done":
		k.say("< " + ev.Transcript)
	case "response.done":
		if ev.Response.Status != "completed" {
			k.speaker.flush()
		}
		if k.answers--; k.answers == 0 {
			k.speaker.whenQuiet(k.end)
		}
	case "error":
		k.say("[error: " + ev.Error.Message + "]")
	}
	k.resume.Set("last", ev.ID)
	return nil
}

func (k *kiosk) say(caption string) { fmt.Fprintln(k.captions, caption) }

// listen sends the microphone's sound. While there is no line it is lost, as to somebody who has hung up.
func (k *kiosk) listen(ctx context.Context, mic io.Reader) error {
	sound := make([]byte, micBytes)
	for n := 0; ctx.Err() == nil; n++ {
		if _, err := io.ReadFull(mic, sound); err != nil && ctx.Err() == nil {
			return fmt.Errorf("microphone: %w", err)
		}
		k.send(ctx, micFrame, 0, n, time.Duration(n)*step, sound)
	}
	return nil
}

// played tells the server how much of an answer has been heard: so what it remembers is what the person heard.
func (k *kiosk) played(ctx context.Context, stream byte, at time.Duration) {
	k.send(ctx, playedFrame, stream, 0, at, nil)
}

func (k *kiosk) send(ctx context.Context, kind, stream byte, sequence int, at time.Duration, sound []byte) {
	frame := append([]byte{kind, stream}, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint16(frame[2:], uint16(sequence))          //nolint:gosec // wraps, as it is meant to
	binary.LittleEndian.PutUint32(frame[4:], uint32(at.Milliseconds())) //nolint:gosec // likewise
	if conn := k.conn.Load(); conn != nil {
		_ = conn.Write(ctx, websocket.MessageBinary, append(frame, sound...)) // talk notices when the line drops
	}
}
