package audio_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"brenda/audio"
)

func FuzzWAV(f *testing.F) { fuzz(f) }
func FuzzMP3(f *testing.F) { fuzz(f) }

// fuzz plays any bytes: no panic, samples within −1…1, an error of a known kind, and no more memory than
// the input and the sound that came out explain. The corpus is in testdata/fuzz.
func fuzz(f *testing.F) {
	f.Helper()
	const limit = 30 * time.Second
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		samples, err := play(t, b, limit)
		runtime.ReadMemStats(&after)

		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, audio.ErrFormat) && !errors.Is(err, audio.ErrTooLong) {
			t.Errorf("error of an unknown kind: %v", err)
		}
		if most := int(limit.Seconds())*16000 + 1; samples > most {
			t.Errorf("%d samples, at most %d were allowed", samples, most)
		}
		// The fixed part is the resampler's filter; go-mp3 takes about 60 kB for each frame of 24 bytes or more.
		const fixed, each = 8 << 20, 4 << 10
		if got := after.TotalAlloc - before.TotalAlloc; got > fixed+each*uint64(len(b)+samples/100) {
			t.Errorf("%d bytes of memory for %d bytes of input and %d samples", got, len(b), samples)
		}
	})
}

// play reads a sound to its end and returns how many samples it had and why it ended.
func play(t *testing.T, b []byte, limit time.Duration) (int, error) {
	t.Helper()
	src, err := audio.Open(bytes.NewReader(b), int64(len(b)), 16000, audio.MaxDuration(limit))
	if err != nil {
		return 0, err
	}
	block := make([]float32, 1000)
	for total := 0; ; {
		n, err := src.Read(block)
		for _, v := range block[:n] {
			if !(v >= -1 && v <= 1) {
				t.Fatalf("a sample of %g", v)
			}
		}
		if total += n; err != nil {
			return total, err
		}
		if n == 0 {
			t.Fatal("neither samples nor an error")
		}
	}
}
