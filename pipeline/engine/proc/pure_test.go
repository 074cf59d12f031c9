package proc

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	b := &breaker{policy: Policy{}.withDefaults()}
	now := time.Unix(0, 0)
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		now = now.Add(time.Second)
		if d, open := b.crashed(now, 0); d != want || open {
			t.Errorf("crash %d: %v %v", i+1, d, open)
		}
	}
	if d, open := b.crashed(now, 0); d != time.Minute || !open {
		t.Errorf("crash 5: %v %v", d, open)
	}
	if _, open := b.crashed(now, 0); !open {
		t.Error("a failure while half open leaves it open")
	}
	b.recovered()
	if d, open := b.crashed(now, 30*time.Second); d != time.Second || open {
		t.Errorf("after recovery: %v %v", d, open)
	}
	for range 20 {
		now = now.Add(3 * time.Minute) // rare crashes never open it
		if d, open := b.crashed(now, 30*time.Second); d > time.Minute || open {
			t.Errorf("rare crash: %v %v", d, open)
		}
	}
	if d, _ := b.crashed(now, time.Hour); d != time.Second {
		t.Errorf("after a healthy time the pause starts anew: %v", d)
	}
}

func TestRing(t *testing.T) {
	r := newRing(5)
	all := ""
	for _, s := range []string{"", "ab", "c", "defg", "0123456789", "x", "yz", "12345"} {
		r.Write([]byte(s))
		all += s
		if want := all[max(0, len(all)-5):]; r.String() != want {
			t.Errorf("after %q: %q, want %q", s, r.String(), want)
		}
	}
}

func TestDrainLogsLines(t *testing.T) {
	var log bytes.Buffer
	keep := newRing(ringBytes)
	l := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	long := strings.Repeat("z", 3*maxLineBytes)
	drain(t.Context(), io.MultiReader(strings.NewReader("one\ntw"), strings.NewReader("o\r\n"+long+"\nend")), keep, l)
	for _, want := range []string{"line=one\n", "line=two\n", "line=end\n", "zzz"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q", want)
		}
	}
	if keep.lastLine() != "end" {
		t.Errorf("last line %q", keep.lastLine())
	}
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	_ = writeFrame(&b, frame{typ: frameEmit, id: 7, meta: []byte(`{"a":1}`), payload: []byte("sound")})
	f.Add(b.Bytes())
	f.Add(append(b.Bytes(), b.Bytes()...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			fr, err := readFrame(r)
			if err != nil {
				return
			}
			var again bytes.Buffer
			if err := writeFrame(&again, fr); err != nil {
				t.Fatal(err)
			}
			back, err := readFrame(&again)
			if err != nil || back.id != fr.id || back.typ != fr.typ || !bytes.Equal(back.meta, fr.meta) ||
				!bytes.Equal(back.payload, fr.payload) {
				t.Fatalf("%+v came back as %+v: %v", fr, back, err)
			}
		}
	})
}
