package audio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
)

// run makes a file with an outside program and returns its content. The last argument becomes a path with
// that name.
func run(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), args[len(args)-1])
	args[len(args)-1] = path
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tones makes half a second of a 1 kHz sine of amplitude 0.5 on every channel, in several files with one run of ffmpeg:
// each has a name and the options of its encoder.
func tones(t *testing.T, rate, channels int, files map[string]string) map[string][]byte {
	t.Helper()
	sines := strings.TrimSuffix(strings.Repeat("0.5*sin(2*PI*1000*t)|", channels), "|")
	src := fmt.Sprintf("aevalsrc=%s:s=%d:d=0.5", sines, rate)
	args := []string{"-v", "error", "-f", "lavfi", "-i", src}
	dir := t.TempDir()
	for name, options := range files {
		args = append(append(args, strings.Fields(options)...), filepath.Join(dir, name))
	}
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, out)
	}
	all := map[string][]byte{}
	for name := range files {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

// tone makes one such file.
func tone(t *testing.T, rate, channels int, name, options string) []byte {
	t.Helper()
	return tones(t, rate, channels, map[string]string{name: options})[name]
}

// outRate is what the tests below convert to, in Hz.
const outRate = 16000

func openBytes(b []byte, options ...audio.Option) ([]float32, error) {
	src, err := audio.Open(bytes.NewReader(b), int64(len(b)), outRate, options...)
	if err != nil {
		return nil, err
	}
	return audio.ReadAll(src)
}

// checkMP3 checks the tone against what ffmpeg decodes: encoders change the level, and lose more or less.
func checkMP3(t *testing.T, b []byte, seconds float64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.mp3")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	pcm, err := openBytes(run(t, "ffmpeg", "-v", "error", "-i", path, "-c:a", "pcm_f32le", "x.wav"))
	if err != nil {
		t.Fatal(err)
	}
	_, amplitude := audiotest.Peak(middle(pcm), 16000)
	checkLevel(t, b, amplitude, seconds, 0.12, -50)
}

// checkTone fails unless b holds half a second of a 1 kHz sine of amplitude 0.5 with at most noise dB (full
// scale) beside it.
func checkTone(t *testing.T, b []byte, noise float64) {
	t.Helper()
	checkLevel(t, b, 0.5, 0.5, 1e-4, noise)
}

func checkLevel(t *testing.T, b []byte, level, seconds, slack, noise float64) {
	t.Helper()
	pcm, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(len(pcm)) / outRate; math.Abs(got-seconds) > slack {
		t.Errorf("%.4f s of sound, want %.4f", got, seconds)
	}
	if len(pcm) < 4096 {
		t.Fatalf("only %d samples", len(pcm))
	}
	part := middle(pcm)
	freq, amplitude := audiotest.Peak(part, outRate)
	if math.Abs(freq-1000) > 0.5 || math.Abs(audio.DB(amplitude/level)) > 0.1 {
		t.Errorf("the tone became %.2f Hz at amplitude %.4f", freq, amplitude)
	}
	if got := audio.DB(audiotest.Noise(part, outRate, 1000)); got > noise {
		t.Errorf("noise at %.1f dB, at most %.1f expected", got, noise)
	}
}

func TestWAVOfEveryCodec(t *testing.T) {
	noise := map[string]float64{
		"pcm_u8": -48, "pcm_s16le": -90, "pcm_s24le": -95, "pcm_s32le": -95,
		"pcm_f32le": -95, "pcm_f64le": -95, "pcm_alaw": -38, "pcm_mulaw": -38,
	}
	files := map[string]string{}
	for codec := range noise {
		files[codec+".wav"] = "-c:a " + codec
	}
	for _, channels := range []int{1, 2, 6} {
		for name, b := range tones(t, 44100, channels, files) {
			t.Run(fmt.Sprintf("%s with %d channels", name, channels), func(t *testing.T) {
				checkTone(t, b, noise[strings.TrimSuffix(name, ".wav")])
			})
		}
	}
}

func TestWAVOfEveryRate(t *testing.T) {
	files := map[string]string{"integer.wav": "-c:a pcm_s16le", "float.wav": "-c:a pcm_f32le"}
	for _, rate := range commonRates {
		for name, b := range tones(t, rate, 2, files) {
			t.Run(fmt.Sprint(rate, " ", name), func(t *testing.T) { checkTone(t, b, -88) })
		}
	}
}

func TestWAVFromSox(t *testing.T) {
	for name, format := range map[string][]string{
		"8":      {"-b", "8", "-e", "unsigned-integer"},
		"16":     {"-b", "16", "-e", "signed-integer"},
		"24":     {"-b", "24", "-e", "signed-integer"},
		"32":     {"-b", "32", "-e", "signed-integer"},
		"float":  {"-b", "32", "-e", "floating-point"},
		"double": {"-b", "64", "-e", "floating-point"},
		"a-law":  {"-e", "a-law"},
		"mu-law": {"-e", "mu-law"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-D", "-n", "-r", "32000", "-c", "3"}, format...)
			path := filepath.Join(t.TempDir(), "x.wav")
			args = append(args, path, "synth", "0.5", "sine", "1000", "vol", "0.5")
			if out, err := exec.Command("sox", args...).CombinedOutput(); err != nil {
				t.Fatalf("sox %v: %v\n%s", args, err, out)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkTone(t, b, -38)
		})
	}
}

// A pipe cannot be patched, so ffmpeg leaves the sizes at 0xFFFFFFFF; RF64 has them in 64 bits.
func TestStreamedAndLargeWAV(t *testing.T) {
	src := "aevalsrc=0.5*sin(2*PI*1000*t):s=24000:d=0.5"
	piped, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", src, "-f", "wav", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(piped[:100], []byte("data\xff\xff\xff\xff")) {
		t.Fatal("ffmpeg wrote a size after all")
	}
	checkTone(t, piped, -88)
	zero := bytes.Replace(piped, []byte("data\xff\xff\xff\xff"), []byte("data\x00\x00\x00\x00"), 1)
	checkTone(t, zero, -88)
	rf64 := tone(t, 24000, 1, "x.wav", "-rf64 always")
	if string(rf64[:4]) != "RF64" {
		t.Fatal("ffmpeg wrote no RF64")
	}
	checkTone(t, rf64, -88)
}

func TestMP3OfEveryRate(t *testing.T) {
	files := map[string]string{
		"mono.mp3":      "-ac 1 -b:a 64k",
		"stereo.mp3":    "-b:a 128k",
		"variable.mp3":  "-q:a 4",
		"untagged.mp3":  "-b:a 64k -id3v2_version 0 -write_xing 0",
		"reservoir.mp3": "-ac 1 -abr 1 -b:a 96k",
	}
	for _, rate := range []int{16000, 22050, 24000, 32000, 44100, 48000} {
		for name, b := range tones(t, rate, 2, files) {
			t.Run(fmt.Sprint(rate, " ", name), func(t *testing.T) { checkMP3(t, b, 0.5) })
		}
	}
}

func TestMP3WithTagsAtBothEnds(t *testing.T) {
	b := tone(t, 44100, 2, "x.mp3", "-metadata title=Essai -write_id3v1 1 -id3v2_version 4")
	if string(b[:3]) != "ID3" || string(b[len(b)-128:len(b)-125]) != "TAG" {
		t.Fatal("ffmpeg wrote no tags")
	}
	checkMP3(t, b, 0.5)
}

func TestMP3CutOutOfAStream(t *testing.T) {
	b := tone(t, 44100, 1, "x.mp3", "-b:a 64k -id3v2_version 0")
	checkLevel(t, b[1000:len(b)-300], 0.475, 0.45, 0.1, -35)
}

func TestMP3WithDamagedMiddlePlaysOn(t *testing.T) {
	b := tone(t, 44100, 1, "x.mp3", "-b:a 64k -id3v2_version 0")
	whole, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		b[len(b)/2+i] ^= 0x5A
	}
	damaged, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := len(whole) - len(damaged); d < 0 || d > 3*1152 {
		t.Errorf("%d samples instead of %d", len(damaged), len(whole))
	}
	tail := damaged[len(damaged)-2500 : len(damaged)-1000]
	if rms := audio.RMS(tail); math.Abs(rms-0.354) > 0.02 {
		t.Errorf("the end has a level of %.3f", rms)
	}
}

func TestMP3OfTwoRatesIsRefused(t *testing.T) {
	a := tone(t, 44100, 1, "x.mp3", "-id3v2_version 0")
	b := tone(t, 22050, 1, "x.mp3", "-id3v2_version 0")
	if _, err := openBytes(append(a, b...)); !errors.Is(err, audio.ErrFormat) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoSoundIsRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":       {},
		"text":          bytes.Repeat([]byte("Bonjour, ceci n'est pas un son. "), 5000),
		"zeros":         make([]byte, 200000),
		"0xFF":          bytes.Repeat([]byte{0xFF}, 200000),
		"PNG":           []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01"),
		"RIFF only":     []byte("RIFF\x24\x00\x00\x00WAVE"),
		"AVI":           []byte("RIFF\x24\x00\x00\x00AVI LIST"),
		"36-byte kill":  append([]byte("RIFF\x24\x00\x00\x00WAVEfmt \x00\xca\x9a\x3b"), make([]byte, 16)...),
		"hostile fmt":   append([]byte("RIFF\x24\x00\x00\x00WAVEfmt \x3e\x00\xfb\xff"), make([]byte, 16)...),
		"endless ID3":   append([]byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f"), make([]byte, 500)...),
		"MPEG-2.5":      tone(t, 8000, 1, "x.mp3", ""),
		"Ogg":           tone(t, 48000, 1, "x.ogg", "-c:a libopus"),
		"FLAC":          tone(t, 48000, 1, "x.flac", ""),
		"MP2":           tone(t, 48000, 1, "x.mp2", ""),
		"ADPCM in WAV":  tone(t, 48000, 1, "x.wav", "-c:a adpcm_ms"),
		"4000 Hz":       wav.Encode(make([]float32, 1000), 4000),
		"384000 Hz":     wav.Encode(make([]float32, 1000), 384000),
		"many chunks":   append([]byte("RIFF\x24\x00\x00\x00WAVE"), bytes.Repeat([]byte("junk\x00\x00\x00\x00"), 50000)...),
		"data, no fmt":  []byte("RIFF\x24\x00\x00\x00WAVEdata\x04\x00\x00\x00abcd"),
		"random":        noiseBytes(300000),
		"random in MP3": append([]byte("\xff\xfb\x90\x64"), noiseBytes(3000)...),
	} {
		t.Run(name, func(t *testing.T) {
			if pcm, err := openBytes(b); !errors.Is(err, audio.ErrFormat) {
				t.Errorf("%d samples and %v", len(pcm), err)
			}
		})
	}
}

func noiseBytes(n int) []byte { return audio.PCM16(audiotest.White(1, n/2, 7)) }

func TestTooLongIsRefused(t *testing.T) {
	b := wav.Encode(audiotest.Tone(1000, 0.5, 8000, 3*8000), 8000)
	pcm, err := openBytes(b, audio.MaxDuration(2*time.Second))
	if !errors.Is(err, audio.ErrTooLong) || len(pcm) != 2*16000 {
		t.Errorf("%d samples and %v", len(pcm), err)
	}
	if _, err := openBytes(b, audio.MaxDuration(3*time.Second)); err != nil {
		t.Errorf("exactly as long as allowed: %v", err)
	}
}

func TestReadersErrorComesThrough(t *testing.T) {
	lost := errors.New("the disk is gone")
	for name, b := range map[string][]byte{
		"pcm":   wav.Encode(audiotest.Tone(1000, 0.5, 16000, 50000), 16000),
		"float": tone(t, 48000, 1, "x.wav", "-c:a pcm_f32le"),
		"mp3":   tone(t, 48000, 1, "x.mp3", "-b:a 320k"),
	} {
		for _, after := range []int64{0, 5, 30, 9000} {
			src, err := audio.Open(&failing{bytes.NewReader(b), after, lost}, int64(len(b)), 16000)
			if err == nil {
				_, err = audio.ReadAll(src)
			}
			if !errors.Is(err, lost) || errors.Is(err, audio.ErrFormat) {
				t.Errorf("%s after %d bytes: %v", name, after, err)
			}
		}
	}
}

// failing fails to read beyond a position.
type failing struct {
	*bytes.Reader
	limit int64
	err   error
}

func (f *failing) Read(p []byte) (int, error) {
	pos := f.Size() - int64(f.Len())
	if pos >= f.limit {
		return 0, f.err
	}
	return f.Reader.Read(p[:min(int64(len(p)), f.limit-pos)])
}

var _ io.ReadSeeker = (*failing)(nil)

// A short block of the mixed kind, legal in MPEG-2, makes go-mp3 panic. This frame of 24 bytes has one.
func TestFrameThatKillsTheDecoder(t *testing.T) {
	killer := []byte{
		0xff, 0xf3, 0x14, 0xc0, 0x00, 0x02, 0x80, 0x22, 0xd0, 0x01, 0xa1, 0x08, 0x00,
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
	}
	_, err := openBytes(append(bytes.Repeat(killer, 3), make([]byte, 6)...))
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("alone: %v", err)
	}

	good := tone(t, 24000, 1, "x.mp3", "-b:a 32k -id3v2_version 0 -write_xing 0")
	const frame = 96
	checkLevel(t, slices.Concat(good[:frame], killer, good[frame:]), 0.475, 0.6, 0.06, -35)
}

// 75 MB of WAV and 20 s of MP3 play in the memory of a few blocks.
func TestLongSoundTakesConstantMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.wav")
	const rate, channels, seconds = 48000, 3, 131
	src := fmt.Sprintf("anoisesrc=r=%d:d=%d", rate, seconds)
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", src,
		"-ac", strconv.Itoa(channels), "-c:a", "pcm_s32le", path).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < 75_000_000 {
		t.Fatalf("%d bytes, %v", info.Size(), err)
	}
	checkMemory(t, f, info.Size(), seconds*outRate)

	frames := tone(t, 24000, 1, "x.mp3", "-b:a 32k -id3v2_version 0 -write_xing 0")
	long := bytes.Repeat(frames, 40)
	checkMemory(t, bytes.NewReader(long), int64(len(long)), int64(len(long)/96*576*2/3))
}

// checkMemory plays a sound and fails if more than 4 MB more are in use at any time, or the length is not
// as expected to a thousandth.
func checkMemory(t *testing.T, r io.ReadSeeker, size, samples int64) {
	t.Helper()
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most, total := heap(), int64(0), int64(0)
	src, err := audio.Open(r, size, 16000)
	block := make([]float32, 4096)
	for i := 0; err == nil; i++ {
		var n int
		n, err = src.Read(block)
		total += int64(n)
		if i%100 == 0 {
			most = max(most, heap()-before)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if d := total - samples; max(d, -d) > samples/1000 {
		t.Errorf("%d samples, want %d", total, samples)
	}
	t.Logf("%d bytes played with %d kB", size, most>>10)
	if most > 4<<20 {
		t.Errorf("%d bytes in use", most)
	}
}

// BenchmarkOpen reports how many times faster than the sound itself decoding and resampling is.
func BenchmarkOpen(b *testing.B) {
	second := audiotest.White(0.5, 48000, 1)
	file := wav.Encode(second, 48000)
	for b.Loop() {
		if _, err := openBytes(file); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "×realtime")
}
