package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// memory is a Store without a disk.
type memory struct {
	mu   sync.Mutex
	recs map[string]Record
}

func (m *memory) Open(_ context.Context, id string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.recs[id]
	if !ok {
		r = Record{ID: id, Created: time.Now()}
	}
	r.Turns = append([]Turn(nil), r.Turns...)
	return r, nil
}

func (m *memory) Append(_ context.Context, id string, t Turn) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.recs[id]
	r.Turns = append(r.Turns, t)
	m.recs[id] = r
	return nil
}

func (m *memory) SetModel(_ context.Context, id, model string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.recs[id]
	r.Model = model
	m.recs[id] = r
	return nil
}

// writer writes a fixed answer, a word each 50 ms, and remembers the prompts.
type writer struct {
	mu      sync.Mutex
	prompts []pipeline.Prompt
	answer  string
	fits    int // messages that the context holds; 0 means any number
}

func (w *writer) Generate(ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
	w.mu.Lock()
	w.prompts = append(w.prompts, p)
	w.mu.Unlock()
	if w.fits > 0 && len(p.Messages) > w.fits {
		return pipeline.Completion{}, fault.New(fault.Invalid, "context_length_exceeded", "too long")
	}
	for _, word := range strings.SplitAfter(w.answer, " ") {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return pipeline.Completion{}, context.Cause(ctx)
		}
		if err := emit(pipeline.Delta{Text: word}); err != nil {
			return pipeline.Completion{}, err
		}
	}
	return pipeline.Completion{FinishReason: "stop"}, nil
}

type voice struct{}

func (voice) Synthesize(ctx context.Context, l pipeline.Line, emit func([]float32) error) error {
	select {
	case <-time.After(30 * time.Millisecond):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return emit(make([]float32, 24*len(l.Text)))
}

type ear string

func (e ear) Listen(context.Context, pipeline.Sound, pipeline.ListenOptions, func(pipeline.Segment) error) (pipeline.Heard, error) {
	if e == "" {
		return pipeline.Heard{}, fault.New(fault.Invalid, "no_speech", "nothing was said")
	}
	return pipeline.Heard{Transcript: pipeline.Transcript{Text: string(e)}}, nil
}

type quiet struct{}

func (quiet) Rate() int                   { return pipeline.InputRate }
func (quiet) Read([]float32) (int, error) { return 0, io.EOF }

type endings struct {
	mu sync.Mutex
	by map[string]int
}

func (e *endings) TurnEnded(_ string, r pipeline.Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.by[r.FinishReason]++
}

type rig struct {
	*Hub
	llm   *writer
	store *memory
	ends  *endings
}

func newRig(answer string) rig {
	r := rig{llm: &writer{answer: answer}, store: &memory{recs: map[string]Record{}}, ends: &endings{by: map[string]int{}}}
	r.Hub = New(Config{
		System: "Tu es Brenda.", Language: "fr", ContextTokens: 4096, MaxTokens: 256, Idle: time.Minute, EventBuffer: 4,
	}, pipeline.Engines{Ear: ear("Quelle heure est-il ?"), LLM: r.llm, Voice: voice{}}, r.store, r.ends,
		slog.New(slog.DiscardHandler))
	return r
}

func ask(t *testing.T, r rig, q Question) <-chan pipeline.Event {
	t.Helper()
	events, err := r.Session("s").Ask(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// collect reads a turn to its end and checks what holds for every turn.
func collect(t *testing.T, events <-chan pipeline.Event) (all []pipeline.Event, last pipeline.Result) {
	t.Helper()
	for ev := range events {
		if n := len(all); n > 0 && all[n-1].Kind == pipeline.DoneEvent {
			t.Errorf("an event after the terminal one: %+v", ev)
		}
		if n := len(all); n > 0 && all[0].Turn != ev.Turn {
			t.Errorf("event of turn %d among those of %d", ev.Turn, all[0].Turn)
		}
		if ev.Kind == pipeline.TranscriptEvent && len(all) > 0 {
			t.Error("the transcript is not first")
		}
		all = append(all, ev)
	}
	if len(all) == 0 || all[len(all)-1].Kind != pipeline.DoneEvent {
		t.Fatalf("no terminal event in %d", len(all))
	}
	return all, *all[len(all)-1].Result
}

const answer = "Bonjour, je suis Brenda. Il est quatorze heures trente à Paris. Que puis-je faire pour vous ?"

func TestTextRunsAheadOfSound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(answer)
		defer r.Close(t.Context())
		all, res := collect(t, ask(t, r, Question{Sound: quiet{}}))
		if res.Text != answer || res.FinishReason != "stop" || res.Err != nil || res.Transcript != "Quelle heure est-il ?" {
			t.Errorf("result %+v", res)
		}
		var text, source strings.Builder
		firstAudio, lastText := -1, -1
		for i, ev := range all {
			switch ev.Kind {
			case pipeline.TextEvent:
				text.WriteString(ev.Text)
				lastText = i
			case pipeline.AudioEvent:
				source.WriteString(ev.Source)
				if firstAudio < 0 {
					firstAudio = i
				}
			case pipeline.TranscriptEvent, pipeline.CallEvent, pipeline.DoneEvent:
			}
		}
		if text.String() != answer || source.String() != answer {
			t.Errorf("text %q, spoken %q", text.String(), source.String())
		}
		if firstAudio > lastText {
			t.Errorf("the first sound came after all of the text")
		}
	})
}

func TestNewTurnInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(answer)
		defer r.Close(t.Context())
		first := ask(t, r, Question{Text: "un"})
		time.Sleep(600 * time.Millisecond) // some of it has been spoken, and nobody reads
		second := ask(t, r, Question{Text: "deux"})
		_, two := collect(t, second)
		_, one := collect(t, first)
		if one.FinishReason != "cancelled" || one.Err != nil || two.FinishReason != "stop" {
			t.Errorf("first %+v, second %+v", one, two)
		}
		past := r.llm.prompts[1].Messages
		if len(past) != 2 || past[1].Content != "un\ndeux" {
			t.Fatalf("the second prompt is %+v", past)
		}
		turns := r.store.recs["s"].Turns
		if len(turns) != 2 || !turns[0].Cut || turns[1].Cut || len(turns[0].Assistant) >= len(answer) {
			t.Errorf("stored %+v", turns)
		}
	})
}

func TestStopEndsTurnsAndTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(answer)
		defer r.Close(t.Context())
		tracked, done, err := r.Session("s").Track(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		events := ask(t, r, Question{Text: "un"})
		other, err := r.Session("other").Ask(t.Context(), Question{Text: "autre", Mute: true})
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.Session("s").Stop(t.Context())
		if n != 2 || err != nil {
			t.Errorf("stopped %d, %v", n, err)
		}
		if !errors.Is(context.Cause(tracked), fault.ErrStopped) {
			t.Errorf("the tracked generation ended with %v", context.Cause(tracked))
		}
		if _, res := collect(t, events); res.FinishReason != "cancelled" {
			t.Errorf("turn ended %+v", res)
		}
		if _, res := collect(t, other); res.FinishReason != "stop" {
			t.Errorf("the other session noticed: %+v", res)
		}
	})
}

func TestConversationGoesOnAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(answer)
		collect(t, ask(t, r, Question{Text: "un"}))
		r.Close(t.Context())
		again := r
		again.Hub = New(r.cfg, r.engines, r.store, r.ends, r.log)
		defer again.Close(t.Context())
		all, _ := collect(t, ask(t, again, Question{Text: "deux"}))
		if all[0].Turn != 2 || len(r.llm.prompts[1].Messages) != 4 {
			t.Errorf("turn %d with %+v", all[0].Turn, r.llm.prompts[1].Messages)
		}
	})
}

func TestFailureIsNotHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(answer)
		r.engines.Ear = ear("")
		defer r.Close(t.Context())
		_, res := collect(t, ask(t, r, Question{Sound: quiet{}}))
		if f := fault.As(res.Err); f == nil || f.Code != "no_speech" || res.FinishReason != "" {
			t.Errorf("result %+v", res)
		}
		if n := len(r.store.recs["s"].Turns); n != 0 {
			t.Errorf("%d turns stored", n)
		}
	})
}

func TestIdleSessionLeavesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(answer)
		defer r.Close(t.Context())
		collect(t, ask(t, r, Question{Text: "un"}))
		time.Sleep(2 * time.Minute)
		if n := r.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions in memory", n)
		}
		info, err := r.Session("s").Info(t.Context())
		if err != nil || info.Turns != 1 {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

func TestCloseCutsWhatIsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(strings.Repeat("encore un mot ", 1000))
		events := ask(t, r, Question{Text: "un"}) // nobody reads it
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Close(ctx)
		if _, err := r.Session("s").Ask(t.Context(), Question{Text: "deux"}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a closed hub answers %v", err)
		}
		for range events { // what is left in the buffer
		}
	})
}

func TestPromptDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig("Oui.")
		r.llm.fits = 4
		defer r.Close(t.Context())
		for i := range 8 {
			_, res := collect(t, ask(t, r, Question{Text: fmt.Sprint("question ", i), Mute: true}))
			if res.Err != nil {
				t.Fatal(res.Err)
			}
		}
		last := r.llm.prompts[len(r.llm.prompts)-1].Messages
		if last[0].Role != "system" || last[1].Role != "user" || last[len(last)-1].Content != "question 7" {
			t.Errorf("the last prompt is %+v", last)
		}
	})
	turns := make([]Turn, 100)
	for i := range turns {
		turns[i] = Turn{User: strings.Repeat("mot ", 20), Assistant: strings.Repeat("mot ", 20)}
	}
	ms := compose("système", turns, "et maintenant ?", 1000)
	sum := 0
	for _, m := range ms {
		sum += tokens(m.Content)
	}
	if sum > 1000 || len(ms) < 10 || ms[1].Role != "user" || ms[len(ms)-1].Content != "et maintenant ?" {
		t.Errorf("%d messages of %d tokens", len(ms), sum)
	}
}

// TestRandomLife lets several clients ask, stop, read and leave at random, and checks that each turn ends exactly once.
func TestRandomLife(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			r := newRig(answer)
			var asked int
			var clients sync.WaitGroup
			for range 40 {
				s := r.Session(fmt.Sprint("s", rnd.IntN(3)))
				switch rnd.IntN(5) {
				case 0:
					if _, err := s.Stop(t.Context()); err != nil {
						t.Error(err)
					}
				default:
					ctx, leave := context.WithCancel(t.Context())
					events, err := s.Ask(ctx, Question{Text: "bonjour", Mute: rnd.IntN(2) == 0})
					if err != nil {
						t.Error(err)
					}
					asked++
					reads, stays := rnd.IntN(30), rnd.IntN(2) == 0
					clients.Go(func() {
						defer leave()
						for ev := range events {
							if reads--; reads < 0 && !stays && ev.Kind != pipeline.DoneEvent {
								return
							}
						}
					})
				}
				time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
			}
			clients.Wait()
			r.Close(t.Context())
			ended := 0
			for reason, n := range r.ends.by {
				if reason == "" {
					t.Errorf("%d turns failed", n)
				}
				ended += n
			}
			if ended != asked || r.Stats().Turns != 0 {
				t.Errorf("%d turns asked for, %d ended, %d run", asked, ended, r.Stats().Turns)
			}
		})
	}
}

// TestFailedTurnKeepsTheWords: what the person said stays in the conversation, and is not there twice when it is asked again.
func TestFailedTurnKeepsTheWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(answer)
		defer r.Close(t.Context())
		r.engines.LLM = broken{}
		if _, res := collect(t, ask(t, r, Question{Text: "un"})); res.Err == nil {
			t.Fatal("no error")
		}
		if turns := r.store.recs["s"].Turns; len(turns) != 1 || turns[0].User != "un" || turns[0].Assistant != "" {
			t.Errorf("stored %+v", turns)
		}
		r.engines.LLM = r.llm
		collect(t, ask(t, r, Question{Text: "un"}))
		collect(t, ask(t, r, Question{Text: "deux"}))
		if ms := r.llm.prompts[0].Messages; len(ms) != 2 || ms[1].Content != "un" {
			t.Errorf("asked again: %+v", ms)
		}
		if ms := r.llm.prompts[1].Messages; len(ms) != 4 || ms[1].Content != "un" || ms[3].Content != "deux" {
			t.Errorf("asked next: %+v", ms)
		}
	})
}

type broken struct{}

func (broken) Generate(context.Context, pipeline.Prompt, func(pipeline.Delta) error) (pipeline.Completion, error) {
	return pipeline.Completion{}, fault.New(fault.Upstream, "llm_failed", "broken")
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig("Oui.")
		defer r.Close(t.Context())
		one, two := r.Session("s"), r.Session("s")
		var heard []string
		stop := one.Follow(func(x Turn) { heard = append(heard, x.User) })
		for _, s := range []*Session{one, two} {
			if err := s.Append(t.Context(), Turn{User: strconv.FormatBool(s == one)}); err != nil {
				t.Fatal(err)
			}
		}
		collect(t, ask(t, r, Question{Text: "REST", Mute: true}))
		stop()
		collect(t, ask(t, r, Question{Text: "late", Mute: true}))
		if got := strings.Join(heard, " "); got != "false REST" {
			t.Errorf("heard of %q", got)
		}
		if len(r.follow) != 0 {
			t.Errorf("still followed: %v", r.follow)
		}
	})
}

// TestCallsInPrompt: a call is followed by its result, whatever is dropped around it.
func TestCallsInPrompt(t *testing.T) {
	turns := []Turn{
		{Number: 1, User: "Quel temps ?", Assistant: "Je regarde."},
		{Number: 2, Assistant: "Il fait beau.", Calls: []Call{{"meteo", `{"ville":"Paris"}`, "soleil"}, {"heure", "{}", "midi"}}},
		{Number: 3, User: "Merci", Assistant: "De rien."},
	}
	ms := compose("système", turns, "Et demain ?", 1000)
	var roles []string
	for _, m := range ms {
		roles = append(roles, m.Role)
	}
	const want = "system user assistant tool tool assistant user assistant user"
	if got := strings.Join(roles, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c := ms[2]; c.Content != "Je regarde." || len(c.ToolCalls) != 2 || c.ToolCalls[1].ID != ms[4].ToolCallID || ms[3].Content != "soleil" {
		t.Errorf("the calls are %+v", ms[2:5])
	}
	p := pipeline.Prompt{Messages: ms[:5]}
	if _, ok := Shorten(p); ok {
		t.Error("a result lost its call")
	}
	p.Messages = ms
	for ok := true; ok; p, ok = Shorten(p) {
		if first := p.Messages[1]; first.Role != "user" {
			t.Errorf("begins with %+v", first)
		}
	}
	if n := len(p.Messages); n != 2 {
		t.Errorf("%d messages are left", n)
	}
}
