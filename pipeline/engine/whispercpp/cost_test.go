package whispercpp

import (
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"brenda/pipeline/enginetest"
	"brenda/pipeline/hearing"
)

// cpuTime returns the processor time that all threads of a process have taken.
func cpuTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	const scheduled = 2 // CPUCLOCK_SCHED: the kernel's exact count, not its ticks
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &ts); err != nil {
		tb.Error(err)
		return math.MaxInt64
	}
	return time.Duration(ts.Nano())
}

// TestCostOfAShortClip compares the processor time of one utterance, from sound to checked transcript and
// over both processes, with that of libwhisper called directly. The two take turns, so that what else the
// machine does troubles both.
func TestCostOfAShortClip(t *testing.T) {
	t.Setenv("OMP_WAIT_POLICY", "passive") // as the child has it
	lib, base := installed(t)
	e := start(t, nil)
	if err := e.Load(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	path, err := findLibrary(lib)
	if err != nil {
		t.Fatal(err)
	}
	if err := loadLibrary(path); err != nil {
		t.Fatal(err)
	}
	quit := make(chan struct{})
	bare, err := openModel(base, 0, quit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(quit); <-bare.done })

	clip := enginetest.NamedSpeech(t, "fr/vm-nonumber.wav")[0]
	seconds := float64(len(clip.PCM)) / 16000
	h := &hearing.Ear{STT: e}
	u := hearing.Utterance{PCM: clip.PCM, Voiced: 2 * time.Second, Confidence: 0.95}
	self, child := unix.Getpid(), e.State().PID
	const rounds = 11 // the first is to warm up
	var ours, plain []time.Duration
	for range rounds {
		before := cpuTime(t, self) + cpuTime(t, child)
		if _, err := h.Recognize(t.Context(), u, hearing.Options{Language: "fr"}); err != nil {
			t.Fatal(err)
		}
		middle := cpuTime(t, self)
		ours = append(ours, middle+cpuTime(t, child)-before)
		if _, err := bare.transcribe(t.Context(), job{
			pcm: clip.PCM, language: "fr", threads: 2, audioCtx: audioCtx(seconds), maxTokens: maxTokens(seconds),
		}); err != nil {
			t.Fatal(err)
		}
		plain = append(plain, cpuTime(t, self)-middle)
	}
	a, b := median(ours[1:]), median(plain[1:])
	ratio := float64(a) / float64(b)
	t.Logf("a clip of %.1f s: %v of processor time, libwhisper alone %v, ratio %.3f", seconds, a, b, ratio)
	if ratio > 1.15 {
		t.Errorf("the engine takes %.3f times what libwhisper alone does", ratio)
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
