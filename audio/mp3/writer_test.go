package mp3_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/mp3"
)

var rates = []int{16000, 22050, 24000, 32000, 44100, 48000}

func encode(t *testing.T, samples []float32, rate, block int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := mp3.NewWriter(&b, rate)
	if err != nil {
		t.Fatal(err)
	}
	for len(samples) > 0 {
		n := min(block, len(samples))
		if err := w.Write(samples[:n]); err != nil {
			t.Fatal(err)
		}
		samples = samples[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decodeWithFFmpeg returns the sound as ffmpeg hears it; any complaint of ffmpeg's fails the test.
func decodeWithFFmpeg(t *testing.T, b []byte, rate int) []float32 {
	t.Helper()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "x.mp3"), filepath.Join(dir, "x.raw")
	if err := os.WriteFile(src, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ffmpeg", "-v", "warning", "-xerror", "-i", src,
		"-f", "s16le", "-ac", "1", "-ar", strconv.Itoa(rate), dst).CombinedOutput()
	if err != nil || len(complaints(out)) > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	return audio.FloatsFromPCM16(nil, raw)
}

// complaints leaves out that a file without an index has an estimated duration.
func complaints(out []byte) []string {
	var all []string
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "Estimating duration from bitrate") {
			all = append(all, line)
		}
	}
	return all
}

func decodeHere(t *testing.T, b []byte, rate int) []float32 {
	t.Helper()
	src, err := audio.Open(bytes.NewReader(b), int64(len(b)), rate)
	if err != nil {
		t.Fatal(err)
	}
	pcm, err := audio.ReadAll(src)
	if err != nil {
		t.Fatal(err)
	}
	return pcm
}

func TestToneSurvives(t *testing.T) {
	for _, rate := range rates {
		t.Run(strconv.Itoa(rate), func(t *testing.T) {
			in := audiotest.Tone(1000, 0.5, rate, rate)
			b := encode(t, in, rate, 777)
			for name, pcm := range map[string][]float32{
				"ffmpeg": decodeWithFFmpeg(t, b, rate), "here": decodeHere(t, b, rate),
			} {
				if d := len(pcm) - len(in); d < 1057 || d > 1057+2*1152 {
					t.Errorf("%s: %d samples for %d", name, len(pcm), len(in))
				}
				part := pcm[2048 : 2048+8192]
				freq, amplitude := audiotest.Peak(part, rate)
				noise := audio.DB(audiotest.Noise(part, rate, 1000) / 0.354)
				t.Logf("%s: %.2f Hz, %+.3f dB, noise %.1f dB below", name, freq, audio.DB(amplitude/0.5), -noise)
				if math.Abs(freq-1000) > 0.5 || math.Abs(audio.DB(amplitude/0.5)) > 0.1 || noise > -40 {
					t.Errorf("%s: %.2f Hz at %.4f, noise %.1f dB", name, freq, amplitude, noise)
				}
			}
		})
	}
}

// The decoded sound is the encoded one, 1057 samples later, to its last sample.
func TestSoundIsWholeAndAligned(t *testing.T) {
	const rate, late = 24000, 1057
	in := audiotest.Mix(audiotest.Tone(300, 0.3, rate, rate), audiotest.Tone(1700, 0.2, rate, rate),
		audiotest.Pink(0.1, rate, 3))
	out := decodeWithFFmpeg(t, encode(t, in, rate, 100), rate)
	var signal, noise float64
	for i, v := range in {
		d := float64(v - out[i+late])
		signal += float64(v) * float64(v)
		noise += d * d
	}
	snr := 10 * math.Log10(signal/noise)
	t.Logf("signal to noise: %.1f dB", snr)
	if snr < 15 {
		t.Errorf("signal to noise is only %.1f dB", snr)
	}
	if rms := audio.RMS(out[len(in)+late-200 : len(in)+late]); rms < 0.1 {
		t.Errorf("the last samples are missing: level %.4f", rms)
	}
}

func TestStreamsFrameByFrame(t *testing.T) {
	var b bytes.Buffer
	w, err := mp3.NewWriter(&b, 24000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := w.Write(audiotest.Tone(500, 0.5, 24000, 576)); err != nil {
			t.Fatal(err)
		}
		if b.Len() != (i+1)*192 { // 64 kbit/s × 24 ms
			t.Fatalf("%d bytes after %d frames", b.Len(), i+1)
		}
	}
}

func TestLoudAndStrangeSoundEncodes(t *testing.T) {
	for _, rate := range rates {
		strange := []float32{2, -2, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0}
		in := append(audiotest.White(1, rate/2, 1), audiotest.Tone(50, 3, rate, rate/2)...)
		in = append(append(in, strange...), audiotest.Silence(rate/4)...)
		pcm := decodeWithFFmpeg(t, encode(t, in, rate, 5000), rate)
		if len(pcm) < len(in) {
			t.Errorf("%d Hz: %d of %d samples", rate, len(pcm), len(in))
		}
	}
}

func TestNothingIsAFileToo(t *testing.T) {
	if pcm := decodeHere(t, encode(t, nil, 24000, 1), 24000); audio.RMS(pcm) > 1e-3 {
		t.Error("sound out of nothing")
	}
}

func TestOtherRatesAreRefused(t *testing.T) {
	for _, rate := range []int{0, 8000, 11025, 96000} {
		if _, err := mp3.NewWriter(&bytes.Buffer{}, rate); err == nil {
			t.Errorf("%d Hz was accepted", rate)
		}
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestTargetsErrorStops(t *testing.T) {
	gone := errors.New("the listener left")
	w, err := mp3.NewWriter(broken{gone}, 24000)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Write(make([]float32, 5000)); !errors.Is(err, gone) {
			t.Fatalf("got %v", err)
		}
	}
	if err := w.Close(); !errors.Is(err, gone) {
		t.Fatalf("got %v", err)
	}
}

func BenchmarkWriter(b *testing.B) {
	w, err := mp3.NewWriter(&bytes.Buffer{}, 24000)
	if err != nil {
		b.Fatal(err)
	}
	in := audiotest.Pink(0.5, 24000, 1)
	for b.Loop() {
		if err := w.Write(in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "×realtime")
}

func BenchmarkReader(b *testing.B) {
	var file bytes.Buffer
	w, err := mp3.NewWriter(&file, 24000)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(w.Write(audiotest.Pink(0.5, 10*24000, 1)), w.Close()); err != nil {
		b.Fatal(err)
	}
	block := make([]float32, 4096)
	for b.Loop() {
		r, err := mp3.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
		for err == nil {
			_, err = r.Read(block)
		}
	}
	b.ReportMetric(10*float64(b.N)/b.Elapsed().Seconds(), "×realtime")
}
