package wav_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"brenda/audio/audiotest"
	"brenda/audio/wav"
)

// chunk returns a RIFF chunk with its padding.
func chunk(id string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(body)))
	b = append(b, body...)
	return append(b, make([]byte, len(body)%2)...)
}

func riff(chunks ...[]byte) []byte {
	body := append([]byte("WAVE"), slices.Concat(chunks...)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// format returns a format chunk of integer samples.
func format(tag, channels, align, depth int) []byte {
	const rate = 16000
	var b []byte
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	b = binary.LittleEndian.AppendUint16(b, uint16(channels))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate*align))
	b = binary.LittleEndian.AppendUint16(b, uint16(align))
	b = binary.LittleEndian.AppendUint16(b, uint16(depth))
	return chunk("fmt ", b)
}

var samples = wav.Encode(audiotest.Tone(440, 0.5, 16000, 1001), 16000)[44:]

func same(t *testing.T, file []byte, want int) {
	t.Helper()
	pcm := decode(t, file, 16000)
	if len(pcm) != want {
		t.Fatalf("%d samples, want %d", len(pcm), want)
	}
	for i, v := range pcm {
		if w := float32(int16(binary.LittleEndian.Uint16(samples[2*i:]))) / 32768; v != w {
			t.Fatalf("sample %d is %g, want %g", i, v, w)
		}
	}
}

func TestOtherChunksAreSkipped(t *testing.T) {
	list := chunk("LIST", []byte("INFOISFT\x05\x00\x00\x00Lavf\x00")) // odd, so padded
	fmt16 := format(1, 1, 2, 16)
	same(t, riff(list, chunk("bext", make([]byte, 603)), fmt16, list, chunk("fact", make([]byte, 4)),
		chunk("data", samples), list), 1001)
}

func TestEmptyDataBeforeOtherChunksIsEmpty(t *testing.T) {
	list := chunk("LIST", []byte("INFOISFT\x05\x00\x00\x00Lavf\x00"))
	same(t, riff(format(1, 1, 2, 16), chunk("data", nil), list, list), 0)
}

func TestCutFilePlaysWhatIsThere(t *testing.T) {
	whole := riff(format(1, 1, 2, 16), chunk("data", samples))
	same(t, whole[:44+201], 100)
	same(t, whole[:45], 0)
	claims := slices.Clone(whole)
	binary.LittleEndian.PutUint32(claims[40:], 0x7FFFFFFF)
	same(t, claims, 1001)
	binary.LittleEndian.PutUint32(claims[4:], 3) // the outer size does not count
	same(t, claims, 1001)
}

// Samples of fewer bits than their container are at its top.
func TestTwelveBitsInTwoBytes(t *testing.T) {
	same(t, riff(format(1, 1, 2, 12), chunk("data", samples)), 1001)
}

func TestTwentyFourBitsInFourBytes(t *testing.T) {
	wide := make([]byte, 0, 2*len(samples))
	for i := 0; i < len(samples); i += 2 {
		wide = append(wide, 0, 0, samples[i], samples[i+1])
	}
	same(t, riff(format(1, 1, 4, 24), chunk("data", wide)), 1001)
}

func TestChannelsAreAveraged(t *testing.T) {
	var b []byte
	for range 500 {
		for _, v := range []int16{3000, -1000, 400} {
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		}
	}
	for _, v := range decode(t, riff(format(1, 3, 6, 16), chunk("data", b)), 16000) {
		if math.Abs(float64(v)-800.0/32768) > 1e-6 {
			t.Fatalf("%g", v*32768)
		}
	}
}

func TestStrangeFloatsAreTamed(t *testing.T) {
	var b []byte
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 7, -7, 0.25} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	got := decode(t, riff(format(3, 1, 4, 32), chunk("data", b)), 16000)
	if want := []float32{0, 1, -1, 1, -1, 0.25}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
