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
	"testing"
	"time"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
)

// run makes a file with an outside program and returns its content. The last argument becomes a path with that name.
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

// ffmpegTone makes half a second of a 1 kHz sine of amplitude 0.5 on every channel.
func ffmpegTone(t *testing.T, rate, channels int, name string, args ...string) []byte {
	t.Helper()
	expr, sep := "", ""
	for range channels {
		expr += sep + `0.5*sin(2*PI*1000*t)`
		sep = "|"
	}
	src := fmt.Sprintf("aevalsrc=%s:s=%d:d=0.5", expr, rate)
	all := append([]string{"-v", "error", "-f", "lavfi", "-i", src}, args...)
	return run(t, "ffmpeg", append(all, name)...)
}

func openBytes(b []byte, rate int, options ...audio.Option) ([]float32, error) {
	src, err := audio.Open(bytes.NewReader(b), int64(len(b)), rate, options...)
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
	pcm, err := openBytes(run(t, "ffmpeg", "-v", "error", "-i", path, "-c:a", "pcm_f32le", "x.wav"), 16000)
	if err != nil {
		t.Fatal(err)
	}
	_, amplitude := audiotest.Peak(middle(pcm), 16000)
	checkLevel(t, b, amplitude, seconds, 0.12, -50)
}

// checkTone fails unless b holds seconds of a 1 kHz sine of amplitude 0.5 with at most noise dB (full scale) beside it.
func checkTone(t *testing.T, b []byte, seconds, slack, noise float64) {
	t.Helper()
	checkLevel(t, b, 0.5, seconds, slack, noise)
}

func checkLevel(t *testing.T, b []byte, level, seconds, slack, noise float64) {
	t.Helper()
	const rate = 16000
	pcm, err := openBytes(b, rate)
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(len(pcm)) / rate; math.Abs(got-seconds) > slack {
		t.Errorf("%.4f s of sound, want %.4f", got, seconds)
	}
	if len(pcm) < 4096 {
		t.Fatalf("only %d samples", len(pcm))
	}
	part := middle(pcm)
	freq, amplitude := audiotest.Peak(part, rate)
	if math.Abs(freq-1000) > 0.5 || math.Abs(audio.DB(amplitude/level)) > 0.1 {
		t.Errorf("the tone became %.2f Hz at amplitude %.4f", freq, amplitude)
	}
	if got := audio.DB(audiotest.Noise(part, rate, 1000)); got > noise {
		t.Errorf("noise at %.1f dB, at most %.1f expected", got, noise)
	}
}

func TestWAVOfEveryCodec(t *testing.T) {
	noise := map[string]float64{
		"pcm_u8": -48, "pcm_s16le": -90, "pcm_s24le": -95, "pcm_s32le": -95,
		"pcm_f32le": -95, "pcm_f64le": -95, "pcm_alaw": -38, "pcm_mulaw": -38,
	}
	for codec, floor := range noise {
		for _, channels := range []int{1, 2, 6} {
			t.Run(fmt.Sprintf("%s with %d channels", codec, channels), func(t *testing.T) {
				b := ffmpegTone(t, 44100, channels, "x.wav", "-c:a", codec)
				checkTone(t, b, 0.5, 1e-4, floor)
			})
		}
	}
}

func TestWAVOfEveryRate(t *testing.T) {
	for _, rate := range commonRates {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			checkTone(t, ffmpegTone(t, rate, 1, "x.wav", "-c:a", "pcm_s16le"), 0.5, 1e-4, -88)
			checkTone(t, ffmpegTone(t, rate, 2, "x.wav", "-c:a", "pcm_f32le"), 0.5, 1e-4, -88)
		})
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
			checkTone(t, b, 0.5, 1e-4, -38)
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
	checkTone(t, piped, 0.5, 1e-4, -88)
	zero := bytes.Replace(piped, []byte("data\xff\xff\xff\xff"), []byte("data\x00\x00\x00\x00"), 1)
	checkTone(t, zero, 0.5, 1e-4, -88)
	rf64 := ffmpegTone(t, 24000, 1, "x.wav", "-rf64", "always")
	if string(rf64[:4]) != "RF64" {
		t.Fatal("ffmpeg wrote no RF64")
	}
	checkTone(t, rf64, 0.5, 1e-4, -88)
}

func TestMP3OfEveryRate(t *testing.T) {
	for _, rate := range []int{16000, 22050, 24000, 32000, 44100, 48000} {
		for name, args := range map[string][]string{
			"mono":      {"-b:a", "64k"},
			"variable":  {"-q:a", "4"},
			"no tags":   {"-b:a", "64k", "-id3v2_version", "0", "-write_xing", "0"},
			"reservoir": {"-abr", "1", "-b:a", "96k"},
		} {
			t.Run(fmt.Sprint(rate, " ", name), func(t *testing.T) {
				checkMP3(t, ffmpegTone(t, rate, 1, "x.mp3", args...), 0.5)
				checkMP3(t, ffmpegTone(t, rate, 2, "x.mp3", args...), 0.5)
			})
		}
	}
}

func TestMP3WithTagsAtBothEnds(t *testing.T) {
	b := ffmpegTone(t, 44100, 2, "x.mp3", "-metadata", "title=Un essai", "-write_id3v1", "1", "-id3v2_version", "4")
	if string(b[:3]) != "ID3" || string(b[len(b)-128:len(b)-125]) != "TAG" {
		t.Fatal("ffmpeg wrote no tags")
	}
	checkMP3(t, b, 0.5)
}

func TestMP3CutOutOfAStream(t *testing.T) {
	b := ffmpegTone(t, 44100, 1, "x.mp3", "-b:a", "64k", "-id3v2_version", "0")
	checkLevel(t, b[1000:len(b)-300], 0.475, 0.45, 0.1, -35)
}

func TestMP3WithDamagedMiddlePlaysOn(t *testing.T) {
	b := ffmpegTone(t, 44100, 1, "x.mp3", "-b:a", "64k", "-id3v2_version", "0")
	whole, err := openBytes(b, 16000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		b[len(b)/2+i] ^= 0x5A
	}
	damaged, err := openBytes(b, 16000)
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
	a := ffmpegTone(t, 44100, 1, "x.mp3", "-id3v2_version", "0")
	b := ffmpegTone(t, 22050, 1, "x.mp3", "-id3v2_version", "0")
	if _, err := openBytes(append(a, b...), 16000); !errors.Is(err, audio.ErrFormat) {
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
		"MPEG-2.5":      ffmpegTone(t, 8000, 1, "x.mp3"),
		"Ogg":           ffmpegTone(t, 48000, 1, "x.ogg", "-c:a", "libopus"),
		"FLAC":          ffmpegTone(t, 48000, 1, "x.flac"),
		"MP2":           ffmpegTone(t, 48000, 1, "x.mp2"),
		"ADPCM in WAV":  ffmpegTone(t, 48000, 1, "x.wav", "-c:a", "adpcm_ms"),
		"4000 Hz":       wav.Encode(make([]float32, 1000), 4000),
		"384000 Hz":     wav.Encode(make([]float32, 1000), 384000),
		"many chunks":   append([]byte("RIFF\x24\x00\x00\x00WAVE"), bytes.Repeat([]byte("junk\x00\x00\x00\x00"), 50000)...),
		"data, no fmt":  []byte("RIFF\x24\x00\x00\x00WAVEdata\x04\x00\x00\x00abcd"),
		"random":        noiseBytes(300000),
		"random in MP3": append([]byte("\xff\xfb\x90\x64"), noiseBytes(3000)...),
	} {
		t.Run(name, func(t *testing.T) {
			if pcm, err := openBytes(b, 16000); !errors.Is(err, audio.ErrFormat) {
				t.Errorf("%d samples and %v", len(pcm), err)
			}
		})
	}
}

func noiseBytes(n int) []byte { return audio.PCM16(audiotest.White(1, n/2, 7)) }

func TestTooLongIsRefused(t *testing.T) {
	b := wav.Encode(audiotest.Tone(1000, 0.5, 8000, 3*8000), 8000)
	pcm, err := openBytes(b, 16000, audio.MaxDuration(2*time.Second))
	if !errors.Is(err, audio.ErrTooLong) || len(pcm) != 2*16000 {
		t.Errorf("%d samples and %v", len(pcm), err)
	}
	if _, err := openBytes(b, 16000, audio.MaxDuration(3*time.Second)); err != nil {
		t.Errorf("exactly as long as allowed: %v", err)
	}
}

func TestReadersErrorComesThrough(t *testing.T) {
	lost := errors.New("the disk is gone")
	for name, b := range map[string][]byte{
		"pcm":   wav.Encode(audiotest.Tone(1000, 0.5, 16000, 50000), 16000),
		"float": ffmpegTone(t, 48000, 1, "x.wav", "-c:a", "pcm_f32le"),
		"mp3":   ffmpegTone(t, 48000, 1, "x.mp3", "-b:a", "320k"),
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
