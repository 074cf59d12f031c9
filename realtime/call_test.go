package realtime

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"brenda/audio"
	"brenda/pipeline"
	"brenda/pipeline/hearing"
	"brenda/pipeline/schedule"
	"brenda/pipeline/session"
	"brenda/realtime/protocol"
)

// The tests here run in virtual time: a scripted person, scripted engines, and the whole of a call between them.

// memory is a store without a disk.
type memory struct {
	takes time.Duration // to keep a turn

	mu   sync.Mutex
	recs map[string]session.Record
}

func (m *memory) Open(_ context.Context, id string) (session.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.recs[id]
	r.ID, r.Turns = id, append([]session.Turn(nil), r.Turns...)
	return r, nil
}

func (m *memory) Append(_ context.Context, id string, t session.Turn) error {
	time.Sleep(m.takes)
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.recs[id]
	r.Turns = append(r.Turns, t)
	m.recs[id] = r
	return nil
}

func (m *memory) SetModel(context.Context, string, string) error { return nil }

func (m *memory) turns(id string) []session.Turn { //nolint:unparam // there may be others
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]session.Turn(nil), m.recs[id].Turns...)
}

// In the sound of these tests the loudness says which words are spoken.
const (
	testRate = 16000
	loudBase = 0.2
	loudStep = 0.01
)

func loudness(word int) float32 { return loudBase + loudStep*float32(word) }

// loudVAD takes what is loud for speech.
type loudVAD struct{}

func (loudVAD) Speech(_ context.Context, _ *pipeline.VADState, pcm []float32) ([]float32, error) {
	var out []float32
	for ; len(pcm) > 0; pcm = pcm[pipeline.FrameSamples:] {
		p := float32(0.02)
		if audio.RMS(pcm[:pipeline.FrameSamples]) > 0.1 {
			p = 0.97
		}
		out = append(out, p)
	}
	return out, nil
}

// loudEar reads the words off the loudness.
type loudEar struct {
	words []string
	takes time.Duration
	fail  error

	mu    sync.Mutex
	asked int
	how   hearing.Options // of the last one
}

func (e *loudEar) last() hearing.Options {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.how
}

func (e *loudEar) Recognize(ctx context.Context, u hearing.Utterance, o hearing.Options) (pipeline.Transcript, error) {
	e.mu.Lock()
	e.asked++
	e.how = o
	e.mu.Unlock()
	select {
	case <-time.After(e.takes):
	case <-ctx.Done():
		return pipeline.Transcript{}, context.Cause(ctx)
	}
	if e.fail != nil {
		return pipeline.Transcript{}, e.fail
	}
	var heard []string
	last, run := -1, 0
	for _, v := range u.PCM {
		k := -1
		if v > loudBase-loudStep/2 {
			k = int(math.Round(float64(v-loudBase) / loudStep))
		}
		if k != last {
			last, run = k, 0
		}
		run++
		if run == 400 && k >= 0 && k < len(e.words) && e.words[k] != "" && !slices.Contains(heard, e.words[k]) {
			heard = append(heard, e.words[k])
		}
	}
	if len(heard) == 0 {
		return pipeline.Transcript{}, hearing.ErrNoSpeech()
	}
	return pipeline.Transcript{Text: strings.Join(heard, " "), Language: "fr"}, nil
}

// slowWriter answers a word each 50 ms.
type slowWriter struct {
	answer func(pipeline.Prompt) (string, error)
	calls  func(pipeline.Prompt) []pipeline.ToolCall // behind the text; nil for none

	mu      sync.Mutex
	prompts []pipeline.Prompt
	classes []schedule.Class // of each
	ended   int              // by their contexts
	whole   int              // that came to their own end
}

func (w *slowWriter) Generate(ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
	w.mu.Lock()
	w.prompts, w.classes = append(w.prompts, p), append(w.classes, schedule.From(ctx))
	w.mu.Unlock()
	text, err := w.answer(p)
	if err != nil {
		return pipeline.Completion{}, err
	}
	for i, word := range strings.SplitAfter(text, " ") {
		if word == "" {
			continue
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			w.mu.Lock()
			w.ended++
			w.mu.Unlock()
			return pipeline.Completion{}, context.Cause(ctx)
		}
		if p.MaxTokens > 0 && i >= p.MaxTokens {
			w.ends()
			return pipeline.Completion{FinishReason: "length"}, nil
		}
		if err := emit(pipeline.Delta{Text: word}); err != nil {
			return pipeline.Completion{}, err
		}
	}
	w.ends()
	done := pipeline.Completion{FinishReason: "stop", Usage: pipeline.Usage{PromptTokens: 7, CompletionTokens: 3}}
	if w.calls == nil {
		return done, nil
	}
	for i, k := range w.calls(p) {
		done.FinishReason = "tool_calls"
		d := pipeline.CallDelta{Index: i, ID: k.ID, Name: k.Name}
		for piece := range strings.SplitAfterSeq(k.Arguments, ":") {
			d.Arguments = piece
			if err := emit(pipeline.Delta{Call: new(d)}); err != nil {
				return done, err
			}
			d = pipeline.CallDelta{Index: i}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return done, context.Cause(ctx)
			}
		}
	}
	return done, nil
}

func (w *slowWriter) last() pipeline.Prompt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.prompts[len(w.prompts)-1]
}

// ends notes that an answer has been written to its end.
func (w *slowWriter) ends() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole++
}

// through returns how many answers have been written to their end.
func (w *slowWriter) through() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.whole
}

// evenVoice says 15 letters a second.
type evenVoice struct {
	fail error
	told func(line string) // what it is given to say; nil for nobody
}

const letter = pipeline.OutputRate / 15

func (v evenVoice) Synthesize(ctx context.Context, l pipeline.Line, emit func([]float32) error) error {
	if v.told != nil {
		v.told(l.Text)
	}
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if v.fail != nil {
		return v.fail
	}
	pcm := make([]float32, letter*len(l.Text))
	for i := range pcm {
		pcm[i] = 0.3
	}
	return emit(pcm)
}

// pipe is a wire in memory.
type pipe struct {
	encoder protocol.Encoder
	dialect protocol.Dialect
	up      chan []byte
	gone    chan struct{}
	once    sync.Once
	stuck   bool
	mute    atomic.Bool // no ping is answered

	mu     sync.Mutex
	got    []event
	change chan struct{}
	why    error
}

// event is what the client got.
type event struct {
	kind string
	at   time.Time
	body map[string]any
}

func (e event) str(path ...string) string {
	s, _ := e.get(path...).(string)
	return s
}

func (e event) get(path ...string) any {
	var v any = e.body
	for _, p := range path {
		switch m := v.(type) {
		case map[string]any:
			v = m[p]
		case []any:
			if len(m) == 0 {
				return nil
			}
			if m, ok := m[0].(map[string]any); ok {
				v = m[p]
			}
		default:
			return nil
		}
	}
	return v
}

func newPipe(d protocol.Dialect) *pipe {
	return &pipe{
		encoder: protocol.Encoder{Dialect: d}, dialect: d, up: make(chan []byte), gone: make(chan struct{}),
		change: make(chan struct{}, 1),
	}
}

func (p *pipe) Read(context.Context) (protocol.ClientEvent, error) {
	select {
	case frame := <-p.up:
		return protocol.Decode(p.dialect, frame)
	case <-p.gone:
		return nil, io.EOF
	}
}

func (p *pipe) Encode(ev protocol.ServerEvent) ([]byte, error) { return p.encoder.Encode(ev) }

func (p *pipe) Write(_ context.Context, frame []byte) error {
	if p.stuck {
		select {
		case <-time.After(writeTimeout):
		case <-p.gone:
		}
		return errors.New("write: i/o timeout")
	}
	var body map[string]any
	if err := json.Unmarshal(frame, &body); err != nil {
		return err
	}
	p.mu.Lock()
	p.got = append(p.got, event{kind: body["type"].(string), at: time.Now(), body: body})
	p.mu.Unlock()
	select {
	case p.change <- struct{}{}:
	default:
	}
	return nil
}

func (p *pipe) Ping(context.Context) error {
	if !p.mute.Load() {
		return nil
	}
	select {
	case <-time.After(pongTimeout):
	case <-p.gone:
	}
	return context.DeadlineExceeded
}

func (p *pipe) Close(why error) {
	p.once.Do(func() { p.why = why; close(p.gone) })
}

func (p *pipe) events() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]event(nil), p.got...)
}

// person is a scripted client.
type person struct {
	t     *testing.T
	line  *pipe
	ear   *loudEar
	llm   *slowWriter
	store *memory
	srv   *Server
	hub   *session.Hub
	call  *call
	past  []event // what came on connections before this one
	read  int     // events that wait has passed
	over  chan struct{}
}

// script is how a scene differs from the usual one.
type script struct {
	words   []string // by loudness
	answer  string
	kind    string // of the session
	dialect protocol.Dialect
	turn    pipeline.TurnDetector
	voice   evenVoice
	stuck   bool
	llm     func(pipeline.Prompt) (string, error)
	calls   func(pipeline.Prompt) []pipeline.ToolCall
	earTime time.Duration
	update  string // a session.update to begin with
	resume  bool   // the call outlives its connection
}

const usualAnswer = "Il fait beau aujourd'hui à Paris, et il fera encore plus beau demain matin. Bonne journée à vous."

// scene plays act in virtual time, ends the call and checks what can never be.
func scene(t *testing.T, s script, act func(p *person)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := begin(t, s)
		act(p)
		p.hangUp()
		all := append(p.past, p.line.events()...)
		for _, err := range append(violations(all), disorder(all)...) {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(story(all))
		}
	})
}

func begin(t *testing.T, s script) *person {
	t.Helper()
	if s.answer == "" {
		s.answer = usualAnswer
	}
	if s.llm == nil {
		s.llm = func(pipeline.Prompt) (string, error) { return s.answer, nil }
	}
	if s.earTime == 0 {
		s.earTime = 200 * time.Millisecond
	}
	log := slog.New(slog.DiscardHandler)
	p := &person{
		t: t, line: newPipe(s.dialect), ear: &loudEar{words: s.words, takes: s.earTime},
		llm: &slowWriter{answer: s.llm, calls: s.calls}, store: &memory{recs: map[string]session.Record{}}, over: make(chan struct{}),
	}
	p.line.stuck = s.stuck
	p.hub = session.New(session.Config{MaxSessions: 4, Idle: time.Hour, ContextTokens: 2000, MaxTokens: 100},
		pipeline.Engines{}, p.store, watcher{}, log)
	names := protocol.Names{Model: "qwen", Transcriber: "base", Voice: "Elise", Voices: []string{"Elise", "Claire"}}
	p.srv = New(Config{
		Names: func(context.Context) protocol.Names { return names }, Instructions: "Tu es Brenda.", Language: "fr",
		ContextTokens: 2000, MaxTokens: 100, Sessions: 2,
	}, Engines{VAD: loudVAD{}, Turn: s.turn, Ear: p.ear, LLM: p.llm, Voice: s.voice}, p.hub, log)
	c := newCall(p.srv, "me", log)
	if s.kind == "" {
		s.kind = protocol.Realtime
	}
	c.names, c.cfg = names, protocol.NewSession(s.kind)
	c.cfg.Instructions = p.srv.cfg.Instructions
	if err := names.Resolve(&c.cfg); err != nil {
		t.Fatal(err)
	}
	c.resume.on, p.call = s.resume, c
	if err := p.srv.admit(c); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.over)
		defer p.srv.leave(c)
		c.run(t.Context(), p.line)
	}()
	if s.stuck {
		return p
	}
	p.wait("session.created")
	if s.update == "" {
		s.update = `{"type":"realtime","audio":{"input":{"transcription":{"model":"whisper-1"}}}}`
	}
	if s.dialect == protocol.GA && s.kind == protocol.Realtime {
		p.send(`{"type":"session.update","session":` + s.update + `}`)
		p.wait("session.updated")
		p.send(`{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}}}`)
		p.wait("session.updated")
	}
	return p
}

// watcher is told of turns, and does not care.
type watcher struct{}

func (watcher) TurnEnded(string, pipeline.Result) {}

func (p *person) hangUp() {
	p.line.Close(nil)
	<-p.over
	p.hub.Close(p.t.Context())
}

// send sends an event.
func (p *person) send(frame string) {
	p.t.Helper()
	select {
	case p.line.up <- []byte(frame):
	case <-p.line.gone:
	}
}

// wait returns the next event of a kind, and fails when it does not come.
func (p *person) wait(kind string) event {
	p.t.Helper()
	limit := time.After(time.Minute)
	for {
		got := p.line.events()
		for p.read < len(got) {
			p.read++
			if got[p.read-1].kind == kind {
				return got[p.read-1]
			}
		}
		select {
		case <-p.line.change:
		case <-limit:
			p.t.Fatalf("no %s came: %s", kind, story(got))
		}
	}
}

// sound plays a loudness into the microphone, 20 ms at a time.
func (p *person) sound(level float32, d time.Duration) {
	const step = 20 * time.Millisecond
	pcm := make([]float32, int(step.Seconds()*testRate))
	for i := range pcm {
		pcm[i] = level
	}
	frame := `{"type":"input_audio_buffer.append","audio":"` + base64.StdEncoding.EncodeToString(audio.PCM16(pcm)) + `"}`
	for range int(d / step) {
		time.Sleep(step)
		p.send(frame)
	}
}

func (p *person) says(word int, ms int) { p.sound(loudness(word), time.Duration(ms)*time.Millisecond) }
func (p *person) quiet(ms int)          { p.sound(0, time.Duration(ms)*time.Millisecond) }

// types asks by text.
func (p *person) types(text string) {
	p.send(fmt.Sprintf(`{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":%q}]}}`, text))
	p.send(`{"type":"response.create"}`)
}

// story is the kinds of events in order; repeated ones count.
func story(events []event) string {
	var out []string
	n := 0
	for i, e := range events {
		n++
		if i+1 < len(events) && events[i+1].kind == e.kind {
			continue
		}
		name := e.kind
		if e.kind == "response.done" {
			name += "(" + e.str("response", "status") + ")"
		}
		if e.kind == "error" {
			name += "(" + e.str("error", "code") + ")"
		}
		if n > 1 {
			name += "*"
		}
		out, n = append(out, name), 0
	}
	return strings.Join(out, " ")
}

// since is the story from the n-th event on.
func (p *person) since(n int) string { synctest.Wait(); return story(p.line.events()[n:]) }

// violations finds what must never be, whatever happens.
func violations(events []event) []error {
	var errs []error
	bad := func(i int, e event, what string) {
		errs = append(errs, fmt.Errorf("event %d, %s: %s", i, e.kind, what))
	}
	ids := map[string]bool{}
	state := map[string]string{} // of responses
	items := map[string]bool{}
	created := map[string]bool{}
	active := ""
	for i, e := range events {
		id := e.str("event_id")
		if id == "" || ids[id] {
			bad(i, e, "event_id missing or used before")
		}
		ids[id] = true
		r := e.str("response_id")
		if r == "" {
			r = e.str("response", "id")
		}
		switch {
		case r == "":
		case e.kind == "response.created":
			if state[r] != "" {
				bad(i, e, "created twice")
			}
			state[r] = "running"
			if e.get("response", "conversation_id") != nil {
				if active != "" {
					bad(i, e, "while another one is active")
				}
				active = r
			}
		case state[r] != "running":
			bad(i, e, "of a response that is "+state[r])
		case e.kind == "response.done":
			state[r] = "done"
			if active == r {
				active = ""
			}
		case e.kind == "response.output_item.added":
			if created[e.str("item", "id")] {
				bad(i, e, "item used before")
			}
			created[e.str("item", "id")] = true
		case strings.HasSuffix(e.kind, ".delta"):
			if !created[e.str("item_id")] {
				bad(i, e, "before its item")
			}
		}
		if e.kind == "conversation.item.added" {
			if items[e.str("item", "id")] {
				bad(i, e, "added twice")
			}
			items[e.str("item", "id")] = true
		}
	}
	return errs
}

// open lists the responses that never ended.
func open(events []event) []string {
	state := map[string]int{}
	for _, e := range events {
		switch e.kind {
		case "response.created":
			state[e.str("response", "id")]++
		case "response.done":
			state[e.str("response", "id")]--
		}
	}
	var out []string
	for id, n := range state {
		if n != 0 {
			out = append(out, id)
		}
	}
	return out
}
