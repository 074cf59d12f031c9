package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"brenda/audio"
)

// benchTarget is the server that is measured.
type benchTarget struct {
	url       string
	header    http.Header
	maxTokens int // 0: the server's
}

// benchEvent is what is read of the server's events.
type benchEvent struct {
	Type       string `json:"type"`
	Transcript string `json:"transcript"`
	Delta      string `json:"delta"`
	ResponseID string `json:"response_id"`
	Response   struct {
		ID       string            `json:"id"`
		Status   string            `json:"status"`
		Metadata map[string]string `json:"metadata"`
	} `json:"response"`
	Error json.RawMessage `json:"error"`

	at time.Time // when it arrived
}

// benchCall is one conversation. Its microphone is on from the beginning, in real time.
type benchCall struct {
	conn   *websocket.Conn
	events chan benchEvent // closed when the connection is
	err    error           // why; read it after that
	speak  chan []float32  // what the microphone hears next; silence otherwise
	spoken chan time.Time  // for each of these, when its first sample was heard
	begin  time.Time       // when the microphone was switched on
	stop   context.CancelFunc
}

// dial opens a conversation in the GA form of the protocol, with the server's default voice and sound in both directions.
func (to benchTarget) dial(ctx context.Context) (*benchCall, error) {
	conn, resp, err := websocket.Dial(ctx, to.url, &websocket.DialOptions{
		Subprotocols: []string{"realtime"}, HTTPHeader: to.header,
	})
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(16 << 20)
	ctx, stop := context.WithCancel(ctx)
	c := &benchCall{
		conn: conn, events: make(chan benchEvent, 64), speak: make(chan []float32), spoken: make(chan time.Time, 1), stop: stop,
	}
	go c.read(ctx)
	if err = c.configure(ctx, to.maxTokens); err != nil {
		c.close()
		return nil, err
	}
	c.begin = time.Now()
	go c.listen(ctx)
	return c, nil
}

func (c *benchCall) configure(ctx context.Context, maxTokens int) error {
	type object = map[string]any
	pcm := object{"type": "audio/pcm", "rate": benchRate}
	session := object{
		"type": "realtime", "output_modalities": []string{"audio"},
		"audio": object{
			"input": object{
				"format": pcm, "transcription": object{"model": "whisper-1"},
				"turn_detection": object{"type": "semantic_vad"},
			},
			"output": object{"format": pcm},
		},
	}
	if maxTokens > 0 {
		session["max_output_tokens"] = maxTokens
	}
	if err := c.send(ctx, object{"type": "session.update", "session": session}); err != nil {
		return err
	}
	for {
		ev, err := c.next(ctx)
		if err != nil || ev.Type == "session.updated" {
			return err
		}
	}
}

func (c *benchCall) send(ctx context.Context, event any) error {
	b, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return c.conn.Write(ctx, websocket.MessageText, b)
}

// read hands on every event with the moment of its arrival.
func (c *benchCall) read(ctx context.Context) {
	defer close(c.events)
	for {
		_, b, err := c.conn.Read(ctx)
		ev := benchEvent{at: time.Now()}
		if err == nil {
			err = json.Unmarshal(b, &ev)
		}
		if err != nil {
			c.err = err
			return
		}
		select {
		case c.events <- ev:
		case <-ctx.Done():
			c.err = context.Cause(ctx)
			return
		}
	}
}

// next returns the next event. An event of type "error" is an error.
func (c *benchCall) next(ctx context.Context) (benchEvent, error) {
	select {
	case ev, open := <-c.events:
		switch {
		case !open:
			return ev, c.err
		case ev.Type == "error":
			return ev, fmt.Errorf("the server says: %s", ev.Error)
		}
		return ev, nil
	case <-ctx.Done():
		return benchEvent{}, context.Cause(ctx)
	}
}

// listen is the microphone: a frame of 20 ms when its last sample has been heard, never before.
func (c *benchCall) listen(ctx context.Context) {
	const frame, step = benchRate / 50, 20 * time.Millisecond
	silence := make([]float32, frame)
	var rest []float32
	tick := time.NewTimer(0)
	defer tick.Stop()
	for n := time.Duration(0); ; n++ {
		select {
		case pcm := <-c.speak:
			rest = pcm
			c.spoken <- c.begin.Add(n * step)
		default:
		}
		sound := silence
		if len(rest) > 0 {
			sound = append(append([]float32(nil), rest[:min(frame, len(rest))]...), silence...)[:frame]
			rest = rest[min(frame, len(rest)):]
		}
		tick.Reset(time.Until(c.begin.Add((n + 1) * step)))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if c.send(ctx, map[string]any{"type": "input_audio_buffer.append", "audio": audio.PCM16(sound)}) != nil {
			return // read tells why
		}
	}
}

// say has the microphone hear something, and returns when that began.
func (c *benchCall) say(ctx context.Context, pcm []float32) (time.Time, error) {
	select {
	case c.speak <- pcm:
		return <-c.spoken, nil
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

func (c *benchCall) close() {
	_ = c.conn.Close(websocket.StatusNormalClosure, "")
	c.stop()
}

// benchTurn is what was measured of one prompt: times in milliseconds after the true end of speech.
type benchTurn struct {
	File    string  `json:"file"`
	Seconds float64 `json:"seconds"` // of speech
	Pause   float64 `json:"pause"`   // seconds, the longest inside the speech
	Text    string  `json:"text"`    // what was said
	Heard   string  `json:"heard"`   // the transcript of the call; of all its turns, if it was taken for several
	Whole   string  `json:"whole,omitempty"`
	Error   string  `json:"error,omitempty"`
	Early   bool    `json:"early"` // the turn was taken to be over inside the prompt

	// By the clock of the client: when it was told.
	Decision   float64 `json:"decision"`
	Transcript float64 `json:"transcript"`
	FirstToken float64 `json:"first_token"`
	FirstAudio float64 `json:"first_audio"`

	// By the clock of the server: when it had it, which is before it is told to anybody while the turn is undecided.
	Server map[string]float64 `json:"server"`

	// The answer's sound, to one who plays it from its first byte on: how often he ran dry, and the longest time in ms.
	Dry        int     `json:"dry"`
	LongestDry float64 `json:"longest_dry"`

	Own float64 `json:"own"` // from when there was a first sound and leave to send it until it arrived
	CPU float64 `json:"cpu"` // seconds of processor; 0 if the server is not of this process
}

// turn speaks a prompt and measures until the answer is over.
func (to benchTarget) turn(ctx context.Context, clip benchClip) (benchTurn, error) {
	t := benchTurn{File: clip.File, Text: clip.Text, Seconds: clip.end.Seconds(), Pause: clip.pause.Seconds()}
	c, err := to.dial(ctx)
	if err != nil {
		return t, err
	}
	defer c.close()
	began, err := c.say(ctx, clip.pcm)
	if err != nil {
		return t, err
	}
	w := stopwatch{benchTurn: t, end: began.Add(clip.end), over: began.Add(clip.length())}
	for !w.done {
		ev, err := c.next(ctx)
		if err != nil {
			return w.benchTurn, err
		}
		if err := w.take(ev); err != nil {
			return w.benchTurn, err
		}
	}
	w.server(w.end.Sub(c.begin))
	return w.benchTurn, nil
}

// stopwatch notes when the stages of one turn were told of.
type stopwatch struct {
	benchTurn

	end, over time.Time // of the speech, and of the recording
	response  string    // that answers
	sound     playClock // of it
	metadata  map[string]string
	done      bool
}

func (w *stopwatch) since(at time.Time) float64 { return milliseconds(at.Sub(w.end)) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// take notes an event. What belongs to a turn that was taken too early is forgotten when the person speaks on.
func (w *stopwatch) take(ev benchEvent) error {
	first := func(to *float64) {
		if *to == 0 {
			*to = w.since(ev.at)
		}
	}
	switch ev.Type {
	case "input_audio_buffer.speech_started":
		w.Decision, w.Transcript, w.response = 0, 0, ""
	case "input_audio_buffer.speech_stopped":
		w.Decision = w.since(ev.at)
		w.Early = w.Early || ev.at.Before(w.end)
	case "conversation.item.input_audio_transcription.completed":
		w.Transcript, w.Heard = w.since(ev.at), strings.TrimSpace(w.Heard+" "+ev.Transcript)
		if ev.Transcript == "" {
			return errors.New("nothing was heard")
		}
	case "conversation.item.input_audio_transcription.failed":
		return fmt.Errorf("not transcribed: %s", ev.Error)
	case "response.created":
		w.response, w.FirstToken, w.FirstAudio, w.sound = ev.Response.ID, 0, 0, playClock{}
	case "response.output_audio_transcript.delta":
		first(&w.FirstToken)
	case "response.output_audio.delta":
		first(&w.FirstAudio)
		w.sound.take(ev.at, soundLength(ev.Delta))
	case "response.done":
		return w.ended(ev)
	}
	return nil
}

// ended takes the end of a response: the last one, unless the person interrupted it by speaking on.
func (w *stopwatch) ended(ev benchEvent) error {
	switch {
	case ev.Response.ID != w.response || ev.at.Before(w.over):
		return nil
	case ev.Response.Status == "cancelled":
		return errors.New("the answer was interrupted")
	case ev.Response.Status == "failed" || w.FirstAudio == 0:
		return fmt.Errorf("no spoken answer: %s", ev.Response.Status)
	}
	w.metadata, w.done = ev.Response.Metadata, true
	w.Dry, w.LongestDry = w.sound.times, milliseconds(w.sound.longest)
	return nil
}

// serverStages are the stages of a turn by the server's clock, in order.
func serverStages() []string {
	return []string{"decision", "transcript", "first_token", "first_chunk", "first_audio", "sent"}
}

// server takes over the server's own waterfall. Its times begin where the server takes the speech to have ended, spoken
// is where in the microphone's sound it really ended.
func (w *stopwatch) server(spoken time.Duration) {
	w.Server = map[string]float64{}
	number := func(name string) (float64, bool) {
		v, err := strconv.ParseFloat(w.metadata[name], 64)
		return v, err == nil
	}
	end, ok := number("speech_end")
	if !ok {
		return
	}
	off := end - milliseconds(spoken)
	w.Server["speech_end"] = off
	for _, name := range serverStages() {
		if v, ok := number(name); ok {
			w.Server[name] = v + off
		}
	}
	// From when the turn was over and the first sound was made to its arrival. Each clock is compared with itself only: a
	// sample of speech is on its way to the server for the length of a frame, which is nobody's cost.
	w.Own = w.FirstAudio - w.Decision - max(w.Server["first_audio"]-w.Server["decision"], 0)
}
