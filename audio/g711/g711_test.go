package g711_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"brenda/audio/g711"
)

// ffmpeg runs the given codec conversion over raw bytes.
func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(src, in, 0o600); err != nil {
		t.Fatal(err)
	}
	full := append([]string{"-v", "error"}, args[:len(args)/2]...)
	full = append(append(full, "-ar", "8000", "-ac", "1", "-i", src), args[len(args)/2:]...)
	full = append(full, dst)
	if out, err := exec.Command("ffmpeg", full...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", full, err, out)
	}
	got, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDecodeAgreesWithFFmpeg(t *testing.T) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	for name, decode := range map[string]func(byte) int16{"alaw": g711.DecodeALaw, "mulaw": g711.DecodeULaw} {
		want := ffmpeg(t, all[:], "-f", name, "-f", "s16le")
		for i := range all {
			w := int16(binary.LittleEndian.Uint16(want[2*i:]))
			if got := decode(byte(i)); got != w {
				t.Errorf("%s 0x%02x: got %d, want %d", name, i, got, w)
			}
		}
	}
}

func TestEncodeUndoesDecode(t *testing.T) {
	for i := range 256 {
		if got := g711.EncodeALaw(g711.DecodeALaw(byte(i))); got != byte(i) {
			t.Errorf("A-law 0x%02x came back as 0x%02x", i, got)
		}
		// 0x7F is minus zero, which plain integers do not have.
		if got := g711.EncodeULaw(g711.DecodeULaw(byte(i))); got != byte(i) && i != 0x7F {
			t.Errorf("µ-law 0x%02x came back as 0x%02x", i, got)
		}
	}
}

func TestEncodeErrsByHalfAStepAtMost(t *testing.T) {
	for v := -32768; v <= 32767; v++ {
		limit := max(16, max(v, -v)/16) // a step is at most 1/16 of the value
		if d := int(g711.DecodeALaw(g711.EncodeALaw(int16(v)))) - v; max(d, -d) > limit {
			t.Fatalf("A-law of %d is off by %d", v, d)
		}
		if d := int(g711.DecodeULaw(g711.EncodeULaw(int16(v)))) - v; max(d, -d) > max(limit, 700) && max(v, -v) < 32000 {
			t.Fatalf("µ-law of %d is off by %d", v, d)
		}
	}
}

func TestTablesHoldTheDecodedValues(t *testing.T) {
	a, u := g711.ALawFloats(), g711.ULawFloats()
	for i := range 256 {
		if a[i] != float32(g711.DecodeALaw(byte(i)))/32768 || u[i] != float32(g711.DecodeULaw(byte(i)))/32768 {
			t.Fatalf("entry %d is wrong", i)
		}
	}
}
