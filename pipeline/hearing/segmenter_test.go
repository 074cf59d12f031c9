package hearing

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"brenda/audio/audiotest"
	"brenda/pipeline"
)

// push feeds runs of frames (probability, how many) and returns the events.
func push(s *Segmenter, runs ...any) []Event {
	var out []Event
	for i := 0; i < len(runs); i += 2 {
		for range runs[i+1].(int) {
			out = append(out, s.Push(0.1, float32(runs[i].(float64)))...)
		}
	}
	return out
}

func kinds(events []Event) []EventKind {
	var k []EventKind
	for _, e := range events {
		k = append(k, e.Kind)
	}
	return k
}

func TestOneUtterance(t *testing.T) {
	s := NewSegmenter(Rules{})
	if ev := push(s, 0.0, 50, 0.9, 2); len(ev) != 0 {
		t.Fatalf("events before 96 ms of speech: %+v", ev)
	}
	ev := push(s, 0.9, 1)
	// 300 ms are 10 frames; the speech began at frame 50
	if len(ev) != 1 || ev[0].Kind != Started || ev[0].Start != position(40) || !s.Speaking() {
		t.Fatalf("start: %+v", ev)
	}
	// 0.4 is neither: the utterance goes on
	if ev = push(s, 0.9, 20, 0.4, 10, 0.0, 24); len(ev) != 0 {
		t.Fatalf("events within 800 ms of silence: %+v", ev)
	}
	if s.Silence() != 24*frameTime {
		t.Errorf("silence %v", s.Silence())
	}
	ev = push(s, 0.0, 1)
	// the speech ended at frame 83; 200 ms are 7 frames
	if len(ev) != 1 || ev[0].Kind != Ended || ev[0].Start != position(40) || ev[0].End != position(90) ||
		ev[0].Voiced != 23*frameTime || ev[0].Confidence < 0.89 || ev[0].Cut {
		t.Fatalf("end: %+v", ev)
	}
	if ev = push(s, 0.0, 100); len(ev) != 0 || len(s.End()) != 0 || s.Speaking() {
		t.Errorf("after the end: %+v", ev)
	}
}

func TestClicksAndDoubtAreNothing(t *testing.T) {
	s := NewSegmenter(Rules{})
	if ev := push(s, 0.9, 2, 0.0, 5, 0.9, 1, 0.0, 1, 0.9, 2, 0.0, 40, 0.45, 100); len(ev) != 0 {
		t.Errorf("%+v", ev)
	}
}

func TestUtterancesShareNoSound(t *testing.T) {
	s := NewSegmenter(Rules{MinSilence: 200 * time.Millisecond, PreRoll: time.Second})
	ev := push(s, 0.9, 10, 0.0, 8, 0.9, 10, 0.0, 8)
	if !slices.Equal(kinds(ev), []EventKind{Started, Ended, Started, Ended}) || ev[0].Start != 0 || ev[2].Start < ev[1].End {
		t.Errorf("%+v", ev)
	}
}

func TestLongSpeechIsCutWhereItIsQuiet(t *testing.T) {
	s := NewSegmenter(Rules{})
	var ev []Event
	for i := range 800 { // 26 s
		level := 0.2
		if i == 400 || i == 401 || i == 402 {
			level = 0.01
		}
		ev = append(ev, s.Push(level, 0.9)...)
	}
	ev = append(ev, s.End()...)
	if !slices.Equal(kinds(ev), []EventKind{Started, Ended, Started, Ended}) {
		t.Fatalf("%+v", ev)
	}
	if !ev[1].Cut || ev[1].End != position(401) || ev[2].Start != ev[1].End || ev[3].End != position(800) {
		t.Errorf("%+v", ev)
	}
	if total := ev[1].Voiced + ev[3].Voiced; total != 800*frameTime {
		t.Errorf("%v of speech", total)
	}
}

// TestSegmenterKeepsItsPromises runs random streams: events alternate, utterances are in order, do not overlap, are not
// too long and lie within the stream.
func TestSegmenterKeepsItsPromises(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rules := Rules{
			MinSilence: time.Duration(rnd.IntN(900)) * time.Millisecond, PreRoll: time.Duration(rnd.IntN(900)) * time.Millisecond,
			PostRoll: time.Duration(rnd.IntN(900)) * time.Millisecond, Max: time.Duration(100+rnd.IntN(3000)) * time.Millisecond,
		}
		s := NewSegmenter(rules)
		limit := position(frames(s.rules.Max) + frames(s.rules.PreRoll) + frames(s.rules.MinSpeech))
		var ev []Event
		n := rnd.IntN(600)
		p := float32(0)
		for range n {
			if rnd.IntN(6) == 0 {
				p = rnd.Float32()
			}
			needed := s.needed()
			fresh := s.Push(rnd.Float64(), p)
			for _, e := range fresh {
				if e.Start < needed {
					t.Fatalf("seed %d: %+v asks for sound before %d", seed, e, needed)
				}
			}
			ev = append(ev, fresh...)
		}
		ev = append(ev, s.End()...)
		var last int64
		for i, e := range ev {
			if (i%2 == 0) != (e.Kind == Started) {
				t.Fatalf("seed %d: events do not alternate: %+v", seed, ev)
			}
			if e.Kind == Started {
				if e.Start < last {
					t.Fatalf("seed %d: overlap: %+v", seed, ev)
				}
				continue
			}
			if e.Start != ev[i-1].Start || e.End <= e.Start || e.End > position(n) || e.End-e.Start > limit {
				t.Fatalf("seed %d: %+v of %d frames", seed, e, n)
			}
			last = e.End
		}
		if len(ev)%2 != 0 {
			t.Fatalf("seed %d: no end: %+v", seed, ev)
		}
	}
}

// TestEndpointerGivesTheSoundInAnyPieces compares pieces of odd sizes with the whole stream.
func TestEndpointerGivesTheSoundInAnyPieces(t *testing.T) {
	pcm := slices.Concat(
		audiotest.Silence(3*pipeline.InputRate), voice(2.0), audiotest.Silence(2*pipeline.InputRate), voice(20), voice(0.5)[:7777])
	for _, size := range []int{1, 100, 512, 1000, 8192, len(pcm)} {
		e := NewEndpointer(levelVAD{}, Rules{})
		var ended []Event
		started := 0
		for rest := pcm; len(rest) > 0; {
			n := min(size, len(rest))
			ev, err := e.Push(t.Context(), rest[:n])
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range ev {
				if v.Kind == Started {
					started++
				} else {
					ended = append(ended, v)
				}
			}
			if len(e.tape) > 20*pipeline.InputRate+size {
				t.Fatalf("%d samples kept", len(e.tape))
			}
			rest = rest[n:]
		}
		if cur := e.Current(); len(cur) == 0 {
			t.Error("no sound of the utterance under way")
		}
		ev, err := e.Flush(t.Context())
		if err != nil || len(ev) != 1 {
			t.Fatalf("flush: %+v, %v", ev, err)
		}
		ended = append(ended, ev...)
		if len(ended) != 3 || started != 3 {
			t.Fatalf("pieces of %d: %d utterances, %d starts", size, len(ended), started)
		}
		padded := append(slices.Clone(pcm), make([]float32, pipeline.FrameSamples)...)
		for i, u := range ended {
			if !slices.Equal(u.PCM, padded[u.Start:u.End]) {
				t.Errorf("pieces of %d: utterance %d has other sound", size, i)
			}
		}
	}
}
