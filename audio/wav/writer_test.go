package wav_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
)

func decode(t *testing.T, b []byte, rate int) []float32 {
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

// soxi asks sox about a file; a complaint of sox's fails the test.
func soxi(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.wav")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sox", "--i", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARN") {
		t.Fatalf("sox: %v\n%s", err, out)
	}
	return string(out)
}

func TestEncodeIsACompleteFile(t *testing.T) {
	in := audiotest.Tone(440, 0.5, 24000, 12000)
	b := wav.Encode(in, 24000)
	info := soxi(t, b)
	for _, want := range []string{"Channels       : 1", "Sample Rate    : 24000", "16-bit", "12000 samples"} {
		if !strings.Contains(info, want) {
			t.Errorf("sox does not see %q:\n%s", want, info)
		}
	}
	for i, v := range decode(t, b, 24000) {
		if math.Abs(float64(v-in[i])) > 0.5/32768+1e-9 {
			t.Fatalf("sample %d is %g, was %g", i, v, in[i])
		}
	}
}

func TestEncodeClips(t *testing.T) {
	b := wav.Encode([]float32{2, -2, 1, -1, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}, 16000)
	want := []int16{32767, -32768, 32767, -32768, 0, 32767, -32768}
	for i, w := range want {
		if got := int16(binary.LittleEndian.Uint16(b[44+2*i:])); got != w {
			t.Errorf("sample %d is %d, want %d", i, got, w)
		}
	}
}

func TestEmptyFilePlaysNothing(t *testing.T) {
	var b bytes.Buffer
	if err := wav.NewWriter(&b, 16000).Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{wav.Encode(nil, 16000), b.Bytes()} {
		if pcm := decode(t, file, 16000); len(pcm) != 0 {
			t.Errorf("%d samples", len(pcm))
		}
	}
}

func TestStreamLeavesSizesOpen(t *testing.T) {
	var b bytes.Buffer
	w := wav.NewWriter(&b, 24000)
	in := audiotest.Tone(440, 0.5, 24000, 5000)
	for _, part := range [][]float32{in[:1], in[1:100], in[100:]} {
		before := b.Len()
		if err := w.Write(part); err != nil || b.Len() < before+2*len(part) {
			t.Fatalf("not written at once: %v", err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := b.Bytes(); string(got[4:8]) != "\xff\xff\xff\xff" || string(got[40:44]) != "\xff\xff\xff\xff" {
		t.Errorf("sizes % x and % x", got[4:8], got[40:44])
	}
	if !bytes.Equal(b.Bytes()[44:], wav.Encode(in, 24000)[44:]) {
		t.Error("the samples differ")
	}
	if pcm := decode(t, b.Bytes(), 24000); len(pcm) != len(in) {
		t.Errorf("%d samples", len(pcm))
	}
}

func TestFileGetsItsSizes(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("in front"); err != nil {
		t.Fatal(err)
	}
	w := wav.NewWriter(f, 24000)
	in := audiotest.White(0.5, 5000, 1)
	if err := errors.Join(w.Write(in[:10]), w.Write(in[10:]), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("behind"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := "in front" + string(wav.Encode(in, 24000)) + "behind"; string(got) != want {
		t.Error("the file is not what Encode gives")
	}
}

// A pipe has a Seek method that fails.
func TestPipeIsAStream(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := wav.NewWriter(w, 16000)
	if err := errors.Join(out.Write(make([]float32, 100)), out.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || len(b) != 244 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
