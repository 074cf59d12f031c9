package schedule

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/enginetest"
	"brenda/pipeline/fault"
)

// lasting is work that takes d unless its context ends.
func lasting(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// job runs work in the background and tells how it went.
type job struct {
	began, ended time.Duration // since the bubble began; began 0 means never
	err          error
	done         chan struct{}
}

func start(ctx context.Context, q *Queue, c Class, d time.Duration) *job {
	zero := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	j := &job{done: make(chan struct{})}
	go func() {
		defer close(j.done)
		j.err = q.Do(With(ctx, c), func(ctx context.Context) error {
			j.began = time.Since(zero)
			return lasting(d)(ctx)
		})
		j.ended = time.Since(zero)
	}()
	synctest.Wait()
	return j
}

const s = time.Second

func TestPriorityThenOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(s) // so that no start is at zero
		q := NewMachine(time.Hour).Queue(Config{})
		ctx := t.Context()
		first := start(ctx, q, Batch, s)
		b1, b2 := start(ctx, q, Batch, s), start(ctx, q, Batch, s)
		f1, f2 := start(ctx, q, Foreground, s), start(ctx, q, Foreground, s)
		if st := q.Stats(); st.Running != 1 || st.Waiting != 4 {
			t.Errorf("%+v", st)
		}
		for i, j := range []*job{first, f1, f2, b1, b2} {
			<-j.done
			if want := time.Duration(i+1) * s; j.began != want || j.err != nil {
				t.Errorf("job %d began at %v, %v; want %v", i, j.began, j.err, want)
			}
		}
		if st := q.Stats(); st.Running != 0 || st.Waiting != 0 || st.Finished != 5 || st.Service != s {
			t.Errorf("%+v", st)
		}
	})
}

func TestTurnDoesNotBlockItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMachine(0)
		llm, tts := m.Queue(Config{}), m.Queue(Config{})
		time.Sleep(s)
		a, b := start(t.Context(), llm, Foreground, s), start(t.Context(), tts, Foreground, s)
		<-a.done
		<-b.done
		if a.began != b.began {
			t.Errorf("began at %v and %v, want together", a.began, b.began)
		}
	})
}

func TestMachineHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(s)
		m := NewMachine(time.Hour)
		llm, tts := m.Queue(Config{Running: 4}), m.Queue(Config{Running: 4})
		ctx := t.Context()
		f := start(ctx, llm, Foreground, s)
		sp := start(ctx, tts, Speculative, s)
		b := start(ctx, tts, Batch, s)
		<-sp.done
		if !errors.Is(sp.err, fault.ErrPreempted) || sp.began != 0 {
			t.Errorf("speculation while a turn runs: %v, began %v", sp.err, sp.began)
		}
		<-f.done
		<-b.done
		if b.began != 2*s {
			t.Errorf("batch began at %v, want 2s: when the turn was over", b.began)
		}
		sp = start(ctx, llm, Speculative, 2*s) // from 3 s
		b = start(ctx, tts, Batch, s)
		time.Sleep(s)
		f = start(ctx, tts, Foreground, s)
		<-sp.done
		if !errors.Is(sp.err, fault.ErrPreempted) || sp.ended != 4*s || f.began != 4*s {
			t.Errorf("speculation ended %v at %v, turn began %v", sp.err, sp.ended, f.began)
		}
		<-b.done
		if b.began != 5*s {
			t.Errorf("batch began at %v, want 5s", b.began)
		}
		if n := llm.Stats().Preempted + tts.Stats().Preempted; n != 2 {
			t.Errorf("%d preempted, want 2", n)
		}
		<-f.done
	})
}

// A waiting turn holds batch back as much as a running one, and gives up without a trace.
func TestCancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(s)
		m := NewMachine(time.Hour)
		llm, tts := m.Queue(Config{}), m.Queue(Config{})
		first := start(t.Context(), llm, Batch, 10*s)
		ctx, cancel := context.WithCancelCause(t.Context())
		f := start(ctx, llm, Foreground, s)
		b := start(t.Context(), tts, Batch, s)
		time.Sleep(s)
		cancel(fault.ErrBargeIn)
		<-f.done
		<-b.done
		if !errors.Is(f.err, fault.ErrBargeIn) || f.began != 0 || f.ended != 2*s {
			t.Errorf("cancelled: %+v", f)
		}
		if b.began != 2*s {
			t.Errorf("batch began at %v, want 2s: when the turn gave up", b.began)
		}
		if st := llm.Stats(); st.Waiting != 0 || st.Running != 1 {
			t.Errorf("%+v", st)
		}
		dead := start(ctx, tts, Foreground, s)
		<-dead.done
		if !errors.Is(dead.err, fault.ErrBargeIn) || dead.began != 0 {
			t.Errorf("with a dead context: %+v", dead)
		}
		<-first.done
	})
}

func TestStarvingBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMachine(5 * s)
		llm, tts := m.Queue(Config{MaxWait: time.Hour}), m.Queue(Config{MaxWait: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		keep := func(q *Queue) {
			for ctx.Err() == nil {
				q.Do(ctx, lasting(s))
			}
		}
		for range 2 { // two callers: one always waits
			go keep(llm)
		}
		time.Sleep(s / 2)
		here, there, later := start(ctx, llm, Batch, s), start(ctx, tts, Batch, s), start(ctx, tts, Batch, s)
		<-there.done
		if there.began != 5*s+s/2 {
			t.Errorf("batch on free cores of a busy machine began at %v, want 5.5s", there.began)
		}
		<-here.done
		<-later.done
		// One turn a period: the two that are left get theirs from 10.5 s and from 15.5 s on.
		if min(here.began, later.began) < 10*s+s/2 || max(here.began, later.began) > 17*s {
			t.Errorf("the others began at %v and %v", here.began, later.began)
		}
		if d := here.began - later.began; d < 5*s && d > -5*s {
			t.Errorf("the others began at %v and %v: both in one period", here.began, later.began)
		}
	})
}

func overloaded(t *testing.T, err error) time.Duration {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != fault.Unavailable || f.Code != "overloaded" {
		t.Errorf("error = %v, want overloaded", err)
		return 0
	}
	return f.RetryAfter
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(s)
		q := NewMachine(0).Queue(Config{Waiting: 2, MaxWait: 14 * s})
		ctx := t.Context()
		<-start(ctx, q, Foreground, 8*s).done // teaches: 8 s
		jobs := []*job{start(ctx, q, Foreground, 8*s)}
		short, cancel := context.WithTimeout(ctx, 3*s)
		defer cancel()
		refused := start(short, q, Foreground, s)
		if wait := overloaded(t, refused.err); wait != 4*s || refused.ended != 9*s {
			t.Errorf("retry after %v, refused at %v; want 4s and at once", wait, refused.ended)
		}
		long, cancel2 := context.WithTimeout(ctx, 5*s)
		defer cancel2()
		jobs = append(jobs, start(long, q, Foreground, s)) // 4 s are likely, but it will be 8
		jobs = append(jobs, start(ctx, q, Foreground, s))
		full := start(ctx, q, Foreground, s)
		overloaded(t, full.err)
		if st := q.Stats(); st.Refused != 2 || st.Waiting != 2 {
			t.Errorf("%+v", st)
		}
		for _, j := range jobs {
			<-j.done
		}
		if !errors.Is(jobs[1].err, context.DeadlineExceeded) || jobs[1].ended != 14*s {
			t.Errorf("waited in vain: %+v", jobs[1])
		}
		if jobs[2].err != nil || jobs[2].began != 17*s {
			t.Errorf("the last: %+v", jobs[2])
		}
	})
}

// Without any knowledge of service times the bound on those who wait holds all the same.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewMachine(0).Queue(Config{Waiting: 1})
		jobs := []*job{start(t.Context(), q, Foreground, s), start(t.Context(), q, Foreground, s)}
		overloaded(t, start(t.Context(), q, Foreground, s).err)
		for _, j := range jobs {
			if <-j.done; j.err != nil {
				t.Error(j.err)
			}
		}
	})
}

// A grant and the end of the context in the same moment: whichever is seen first, no place is lost.
func TestGrantedAndCancelledAtOnce(t *testing.T) {
	for range 100 { // select chooses at random
		q := NewMachine(0).Queue(Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		tk := &ticket{q: q, granted: make(chan struct{}), cancel: cancel}
		if err := q.enter(ctx, tk); err != nil {
			t.Fatal(err)
		}
		cancel(fault.ErrBargeIn)
		if err := q.await(ctx, tk); err != nil && q.Stats().Running != 0 {
			t.Fatalf("%v, but its place is taken", err)
		}
	}
}

func TestMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(s)
		q := NewMachine(0).Queue(Config{MaxWait: 2 * s})
		a, b := start(t.Context(), q, Foreground, 10*s), start(t.Context(), q, Foreground, s)
		<-b.done
		overloaded(t, b.err)
		if b.ended != 3*s || q.Stats().Waiting != 0 || q.Stats().Refused != 1 {
			t.Errorf("ended at %v, %+v", b.ended, q.Stats())
		}
		<-a.done
	})
}

// Foreground work does not count speculation among what it must wait for, and a backlog of batch does not
// shut it out.
func TestForegroundAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(s)
		q := NewMachine(time.Hour).Queue(Config{Waiting: 1})
		<-start(t.Context(), q, Foreground, 8*s).done
		sp := start(t.Context(), q, Speculative, 8*s)
		ctx, cancel := context.WithTimeout(t.Context(), 3*s)
		defer cancel()
		f := start(ctx, q, Foreground, s)
		<-sp.done
		<-f.done
		if f.err != nil {
			t.Errorf("behind speculation: %v", f.err)
		}
		b1, b2 := start(t.Context(), q, Batch, s), start(t.Context(), q, Batch, s)
		f = start(t.Context(), q, Foreground, s)
		<-f.done
		<-b1.done
		<-b2.done
		if f.err != nil || b2.err != nil {
			t.Errorf("behind batch: %v, %v", f.err, b2.err)
		}
	})
}

// Work that fails or is cut teaches nothing about how long work takes; a panic frees the place.
func TestPanicAndFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewMachine(0).Queue(Config{})
		oops := errors.New("oops")
		if err := q.Do(t.Context(), func(context.Context) error { time.Sleep(s); return oops }); !errors.Is(err, oops) {
			t.Errorf("error = %v", err)
		}
		func() {
			defer func() { recover() }()
			q.Do(t.Context(), func(context.Context) error { panic("oops") })
		}()
		if st := q.Stats(); st.Running != 0 || st.Service != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestRandom throws work of all kinds at a machine and compares with the rules at every start and at every
// rest.
func TestRandom(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { random(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

// book is what the test knows by itself about who waits and who runs.
type book struct {
	sync.Mutex
	waiting, running map[*item]struct{}
	all              []*item
}

type item struct {
	q     *Queue
	class Class
	since time.Time
	left  time.Time // when it began or gave up
	began bool
	id    int
}

func (b *book) count(set map[*item]struct{}, keep func(*item) bool) (n int) {
	for i := range set {
		if keep(i) {
			n++
		}
	}
	return n
}

func (b *book) wanted(above Class) bool {
	urgent := func(i *item) bool { return i.class < above }
	return b.count(b.waiting, urgent)+b.count(b.running, urgent) > 0
}

const starve = 400 * time.Millisecond

func random(t *testing.T, r *rand.Rand) {
	t.Helper()
	m := NewMachine(starve)
	var queues []*Queue
	for range 1 + r.IntN(3) {
		queues = append(queues, m.Queue(Config{Running: 1 + r.IntN(3), Waiting: 100, MaxWait: time.Hour}))
	}
	b := &book{waiting: map[*item]struct{}{}, running: map[*item]struct{}{}}
	var wg sync.WaitGroup
	for id := range 60 {
		i := &item{q: queues[r.IntN(len(queues))], class: Class(r.IntN(int(classes))), id: id}
		work, after := time.Duration(r.Int64N(int64(300*time.Millisecond))), time.Duration(r.Int64N(int64(600*time.Millisecond)))
		ctx, cancel := context.WithCancel(t.Context())
		if r.IntN(4) == 0 {
			time.AfterFunc(after, cancel)
		}
		wg.Go(func() { defer cancel(); b.do(ctx, t, i, work) })
		time.Sleep(time.Duration(r.Int64N(int64(80 * time.Millisecond))))
		synctest.Wait()
		b.atRest(t, queues)
	}
	for range 100 {
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		b.atRest(t, queues)
	}
	wg.Wait()
	b.inOrder(t)
	for _, q := range queues {
		if st := q.Stats(); st.Running != 0 || st.Waiting != 0 || len(m.tickets) != 0 || m.alarm != nil {
			t.Errorf("left over: %+v, %d tickets, alarm %v", st, len(m.tickets), m.alarm)
		}
	}
}

func (b *book) do(ctx context.Context, t *testing.T, i *item, work time.Duration) {
	t.Helper()
	b.Lock()
	i.since = time.Now()
	b.waiting[i] = struct{}{}
	b.all = append(b.all, i)
	b.Unlock()
	err := i.q.Do(With(ctx, i.class), func(ctx context.Context) error {
		b.begins(ctx, t, i)
		err := lasting(work)(ctx)
		b.Lock()
		delete(b.running, i)
		b.Unlock()
		return err
	})
	b.Lock()
	delete(b.waiting, i)
	if !i.began {
		i.left = time.Now()
	}
	b.Unlock()
	preempted := errors.Is(err, fault.ErrPreempted)
	if err != nil && ctx.Err() == nil && !preempted || preempted && i.class != Speculative {
		t.Errorf("%v work ended with %v", i.class, err)
	}
}

// begins checks the rules for the start of i.
func (b *book) begins(ctx context.Context, t *testing.T, i *item) {
	t.Helper()
	b.Lock()
	defer b.Unlock()
	delete(b.waiting, i)
	b.running[i] = struct{}{}
	if n := b.count(b.running, func(o *item) bool { return o.q == i.q }); n > i.q.cfg.Running {
		t.Errorf("%d run where %d may", n, i.q.cfg.Running)
	}
	i.left = time.Now()
	i.began = true
	overdue := i.class == Batch && time.Since(i.since) >= starve
	if b.wanted(i.class) && !overdue && ctx.Err() == nil {
		t.Errorf("%v work began though more urgent work is there", i.class)
	}
}

// inOrder checks that within a class of a queue none that came later began while an earlier one still waited.
func (b *book) inOrder(t *testing.T) {
	t.Helper()
	for _, i := range b.all {
		for _, o := range b.all {
			same := o.q == i.q && o.class == i.class
			if same && i.began && o.since.Before(i.since) && o.left.After(i.left) {
				t.Errorf("%v work %d overtook %d", i.class, i.id, o.id)
			}
		}
	}
}

// atRest checks that nobody waits without a reason, and that speculation is over where a turn is there.
func (b *book) atRest(t *testing.T, queues []*Queue) {
	t.Helper()
	b.Lock()
	defer b.Unlock()
	for _, q := range queues {
		free := b.count(b.running, func(o *item) bool { return o.q == q }) < q.cfg.Running
		for c := range classes {
			n := b.count(b.waiting, func(o *item) bool { return o.q == q && o.class == c })
			if free && n > 0 && !b.wanted(c) {
				t.Errorf("%d of %v wait for nothing", n, c)
			}
		}
	}
	if b.wanted(Speculative) {
		if n := b.count(b.running, func(o *item) bool { return o.class == Speculative }); n > 0 {
			t.Errorf("%d speculations run beside a turn", n)
		}
	}
}

func TestClassOfContext(t *testing.T) {
	if From(t.Context()) != Foreground || From(With(t.Context(), Batch)) != Batch || From(With(t.Context(), 9)) != Foreground {
		t.Error("wrong class")
	}
	if fmt.Sprint(Foreground, Speculative, Batch) != "foreground speculative batch" {
		t.Error("wrong names")
	}
}

type engine struct{}

func (engine) Transcribe(_ context.Context, s pipeline.Speech) (pipeline.Transcript, error) {
	return pipeline.Transcript{Text: s.Prompt}, nil
}

func (engine) Synthesize(_ context.Context, l pipeline.Line, emit func([]float32) error) error {
	return emit(make([]float32, len(l.Text)))
}

// Generate is a scripted writer that keeps the port's promises.
func (engine) Generate(ctx context.Context, p pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Completion, error) {
	if p.Model != "" {
		return pipeline.Completion{}, fault.New(fault.NotFound, "model_not_found", "no such model")
	}
	if len(p.Messages[1].Content) > 500 {
		return pipeline.Completion{}, fault.New(fault.Invalid, "context_length_exceeded", "too long")
	}
	for range p.MaxTokens {
		if ctx.Err() != nil {
			return pipeline.Completion{}, context.Cause(ctx)
		}
		if err := emit(pipeline.Delta{Text: "un "}); err != nil {
			return pipeline.Completion{}, err
		}
	}
	return pipeline.Completion{FinishReason: "length", Usage: pipeline.Usage{
		PromptTokens: 1, CompletionTokens: p.MaxTokens, TotalTokens: 1 + p.MaxTokens,
	}}, nil
}

func TestWrappers(t *testing.T) {
	q := NewMachine(0).Queue(Config{Name: "all"})
	out, err := Recognizer(engine{}, q).Transcribe(t.Context(), pipeline.Speech{Prompt: "oui"})
	if err != nil || out.Text != "oui" {
		t.Errorf("%+v, %v", out, err)
	}
	var pcm []float32
	err = Synthesizer(engine{}, q).Synthesize(t.Context(), pipeline.Line{Text: "oui"}, func(p []float32) error { pcm = p; return nil })
	if err != nil || len(pcm) != 3 {
		t.Errorf("%v, %v", pcm, err)
	}
	if st := q.Stats(); st.Finished != 2 || st.Name != "all" || len(q.m.Queues()) != 1 {
		t.Errorf("%+v", st)
	}
	enginetest.Generator(t, Generator(engine{}, q), 100)
}
