package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// errHungUp ends a client that has said goodbye.
var errHungUp = errors.New("hung up")

// How an answer ended, besides what failed.
const (
	wasHeard = "heard"
	wasEmpty = "without a word" // as the smallest model's are now and then
)

// faultEvent is what these clients read of the server's events.
type faultEvent struct {
	Type       string
	Stream     int
	ResponseID string `json:"response_id"`
	Response   struct {
		ID, Status string
		Details    struct {
			Error struct{ Code, Message string }
		} `json:"status_details"`
	}
	Error struct{ Code, Message string }
}

// ended tells how the answer ended that this event ends, whose sound had so many bytes.
func (ev faultEvent) ended(sound int) string {
	switch r := ev.Response; {
	case r.Status != "completed" && r.Status != "incomplete":
		return fmt.Sprintf("%s: %s, %s", r.Status, r.Details.Error.Code, r.Details.Error.Message)
	case sound == 0:
		return wasEmpty
	}
	return wasHeard
}

// say is a response.create with a question of its own, which leaves the conversation's past aside.
func say(question string, tokens int) string {
	quoted, _ := json.Marshal(question) // a string
	return fmt.Sprintf(`{"type":"response.create","response":{"max_output_tokens":%d,"input":[{"type":"message","role":"user",`+
		`"content":[{"type":"input_text","text":%s}]}]}}`, tokens, quoted)
}

// steady is a kiosk that has one answer after the other, and looks at every frame of their sound.
type steady struct {
	conn *websocket.Conn
	stop context.CancelFunc
	over chan struct{} // closed when its reader has ended

	mu    sync.Mutex
	ends  []string // how each answer ended
	wrong []string // with the sound
	sound int      // bytes, of all answers

	next     uint16 // the sequence of the next frame of sound
	stream   byte   // of the present answer; 0 for none
	sent     int    // bytes of its sound so far
	response string
	last     bool // ask no more
}

// newSteady connects, and begins to ask.
func newSteady(t *testing.T, p *program) *steady {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	conn, resp, err := websocket.Dial(ctx, strings.Replace(p.base, "http", "ws", 1)+"/v1/realtime",
		&websocket.DialOptions{Subprotocols: []string{"brenda.binary.v1"}})
	if err != nil {
		t.Fatal(err, resp)
	}
	conn.SetReadLimit(1 << 20)
	a := &steady{conn: conn, stop: stop, over: make(chan struct{})}
	t.Cleanup(func() { stop(); <-a.over })
	go func() {
		defer close(a.over)
		if err := a.read(ctx); !errors.Is(err, errHungUp) {
			a.note("the line: %v", err)
		}
	}()
	go a.listen(ctx)
	return a
}

// listen is a microphone in a silent room.
func (a *steady) listen(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		frame := make([]byte, 8+960)
		frame[0] = 1
		binary.LittleEndian.PutUint16(frame[2:], uint16(n))
		binary.LittleEndian.PutUint32(frame[4:], uint32(n*20))
		if a.conn.Write(ctx, websocket.MessageBinary, frame) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *steady) read(ctx context.Context) error {
	for {
		kind, frame, err := a.conn.Read(ctx)
		switch {
		case err != nil:
			return err
		case kind == websocket.MessageBinary:
			a.hear(frame)
			continue
		}
		var ev faultEvent
		if err := json.Unmarshal(frame, &ev); err != nil {
			return err
		}
		if err := a.take(ctx, ev); err != nil {
			return err
		}
	}
}

// hear looks at a frame of sound: it is the next one, and of the answer that is being given.
func (a *steady) hear(frame []byte) {
	seq, at := binary.LittleEndian.Uint16(frame[2:]), int(binary.LittleEndian.Uint32(frame[4:]))
	if frame[0] != 2 || frame[1] != a.stream || seq != a.next || at != a.sent*1000/48000 {
		a.note("frame %d of stream %d at %d ms; to come was %d of %d at %d ms", seq, frame[1], at, a.next, a.stream,
			a.sent*1000/48000)
	}
	a.next = seq + 1
	a.sent += len(frame) - 8
	a.mu.Lock()
	a.sound += len(frame) - 8
	a.mu.Unlock()
}

// take looks at an event: it is of the answer that is being given. After its end the next one is asked for.
func (a *steady) take(ctx context.Context, ev faultEvent) error {
	switch ev.Type {
	case "session.created", "response.done":
	case "response.created":
		a.response = ev.Response.ID
		return nil
	case "response.content_part.added":
		a.stream, a.sent = byte(ev.Stream), 0
		fallthrough
	default:
		if ev.Type == "error" {
			a.note("error: %s, %s", ev.Error.Code, ev.Error.Message)
		}
		if ev.ResponseID != "" && ev.ResponseID != a.response {
			a.note("%s of %s, but %s is being given", ev.Type, ev.ResponseID, a.response)
		}
		return nil
	}
	a.mu.Lock()
	if ev.Type == "response.done" {
		a.ends = append(a.ends, ev.ended(a.sent))
	}
	n, last := len(a.ends), a.last
	a.mu.Unlock()
	a.stream, a.sent, a.response = 0, 0, ""
	if last {
		_ = a.conn.Close(websocket.StatusNormalClosure, "")
		return errHungUp
	}
	questions := []string{
		"Raconte une histoire de pirates.", "Décris la ville de Paris.", "Raconte une journée à la mer.",
		"Explique comment on fait du pain.",
	}
	return a.conn.Write(ctx, websocket.MessageText, []byte(say(questions[n%len(questions)], 24)))
}

func (a *steady) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

// mark returns how many answers are over: the number of the one that is being given.
func (a *steady) mark() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ends)
}

// hears waits for an answer behind that of a mark that is heard.
func (a *steady) hears(t *testing.T, mark int) {
	t.Helper()
	heard := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.wrong) > 0 {
			t.Fatal(a.wrong)
		}
		return slices.Contains(a.ends[min(mark+1, len(a.ends)):], wasHeard)
	}
	for range 1800 { // a busy machine has time
		if heard() {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatal("no answer for the kiosk")
}

// unharmed tells of every answer since a mark that failed, and of all that was wrong with the sound.
func (a *steady) unharmed(t *testing.T, since int) { t.Helper(); a.unharmedBut(t, since, -1, -1) }

// unharmedBut excepts the answers from first to last.
func (a *steady) unharmedBut(t *testing.T, since, first, last int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, end := range a.ends[since:] {
		if n := since + i; end != wasHeard && end != wasEmpty && (n < first || n > last) {
			t.Errorf("answer %d of the kiosk, %d to %d may fail: %s", n, first, last, end)
		}
	}
	if len(a.wrong) > 0 {
		t.Error(a.wrong)
	}
}

// end lets the present answer come to its end, and hangs up.
func (a *steady) end(t *testing.T) {
	t.Helper()
	a.mu.Lock()
	a.last = true
	a.mu.Unlock()
	<-a.over
	heard := 0
	for _, end := range a.ends {
		if end == wasHeard {
			heard++
		}
	}
	t.Logf("the kiosk heard %d answers of %d, %d s of sound", heard, len(a.ends), a.sound/48000)
	if len(a.wrong) > 0 {
		t.Error(slices.Compact(a.wrong))
	}
}

// ask is a way to ask.
type ask int

const (
	inWriting ask = iota
	byVoice
)

// victim is a client in whose turns children are killed.
type victim struct {
	*caller
	pcm      []float32
	events   chan faultEvent // closed with the connection: somebody reads always, so that pings are answered
	speaking atomic.Bool     // the server has heard the person begin
}

func newVictim(t *testing.T, p *program) *victim {
	t.Helper()
	v := &victim{caller: dial(t, p, ""), events: make(chan faultEvent, 10_000)}
	v.until(t, "session.created")
	v.send(t, `{"type":"session.update","session":{"type":"realtime","max_output_tokens":16,"audio":{"input":{`+
		`"transcription":{"model":"whisper-1"},"turn_detection":{"type":"semantic_vad"}}}}}`)
	v.until(t, "session.updated")
	v.pcm, _ = recorded(t, "agent-loggedoff")
	go v.read(context.WithoutCancel(t.Context()))
	return v
}

func (v *victim) hangUp() { _ = v.conn.Close(websocket.StatusNormalClosure, "") }

// read hands on what the server says until the connection is closed.
func (v *victim) read(ctx context.Context) {
	defer close(v.events)
	for {
		_, frame, err := v.conn.Read(ctx)
		var ev faultEvent
		if err != nil || json.Unmarshal(frame, &ev) != nil {
			return
		}
		if ev.Type == "input_audio_buffer.speech_started" {
			v.speaking.Store(true)
		}
		v.events <- ev
	}
}

// begin asks, and tells how the answer ended.
func (v *victim) begin(t *testing.T, how ask) <-chan string {
	t.Helper()
	v.speaking.Store(false)
	ctx, hangUp := context.WithCancel(t.Context())
	over := make(chan string, 1)
	if how == byVoice {
		// What is said right behind an answer may be taken for its echo: the smallest model likes to repeat the question.
		go v.talk(ctx, append(make([]float32, 2*benchRate), v.pcm...))
	} else {
		v.send(t, say("Dis bonjour.", 16))
	}
	go func() {
		defer hangUp()
		over <- v.answer()
	}()
	return over
}

// answer waits for the end of an answer. One that is cancelled because the person goes on does not count.
func (v *victim) answer() string {
	late := time.After(3 * time.Minute)
	sound := 0
	for {
		select {
		case <-late:
			return "never"
		case ev, open := <-v.events:
			switch {
			case !open:
				return "the line is cut"
			case ev.Type == "response.output_audio.delta":
				sound++
			case ev.Type == "error":
				return "error: " + ev.Error.Code + ", " + ev.Error.Message
			case ev.Type == "response.done" && (ev.Response.Status != "cancelled" || !v.speaking.Load()):
				return ev.ended(sound)
			}
		}
	}
}

// works has one turn answered; a model that says nothing is asked again.
func (v *victim) works(t *testing.T, how ask) {
	t.Helper()
	for range 5 {
		switch ended := <-v.begin(t, how); ended {
		case wasHeard:
			return
		case wasEmpty:
		default:
			t.Fatalf("a turn after that ended: %s\n", ended)
		}
	}
	t.Fatal("no answer has a word")
}
