package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"brenda/pipeline/vitals"
)

func collect(raw bool, stamped bool, log []byte) ([]vitals.Line, error) {
	var out []vitals.Line
	l := &lines{stamped: stamped, emit: func(ln vitals.Line) error { out = append(out, ln); return nil }}
	r := bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(log)), 16)
	read := l.demux
	if raw {
		read = l.raw
	}
	err := read(r)
	return out, err
}

// TestLinesAnyPieces: what Docker's own writer frames comes out as the lines that went in, however they were cut.
func TestLinesAnyPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	for range 300 {
		var log bytes.Buffer
		want := map[string][]string{}
		for _, s := range []struct {
			name string
			kind stdcopy.StdType
		}{{"stdout", stdcopy.Stdout}, {"stderr", stdcopy.Stderr}} {
			w := stdcopy.NewStdWriter(&log, s.kind)
			for range rnd.IntN(5) {
				line := strings.Repeat("é", rnd.IntN(40))
				want[s.name] = append(want[s.name], line)
				for text := line + "\n"; text != ""; {
					n := 1 + rnd.IntN(len(text))
					_, _ = w.Write([]byte(text[:n]))
					text = text[n:]
				}
			}
		}
		got, err := collect(false, false, log.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		have := map[string][]string{}
		for _, l := range got {
			have[l.Stream] = append(have[l.Stream], l.Text)
		}
		for name := range want {
			if strings.Join(have[name], "|") != strings.Join(want[name], "|") {
				t.Fatalf("%s: %q, want %q", name, have[name], want[name])
			}
		}
	}
}

func TestRawLines(t *testing.T) {
	const stamp = "2026-11-23T06:00:00.123456789Z "
	long := strings.Repeat("x", maxLine+10)
	for name, c := range map[string]struct {
		log     string
		stamped bool
		want    []string
	}{
		"terminal":     {"a\r\nb\r\n", false, []string{"a", "b"}},
		"no end":       {"a\r\nb", false, []string{"a", "b"}},
		"empty":        {"", false, nil},
		"empty line":   {"\r\n\r\n", false, []string{"", ""}},
		"stamped":      {stamp + "a b\r\n" + stamp + "c\r\n", true, []string{"a b", "c"}},
		"badly so":     {"yesterday a\r\n", true, []string{"yesterday a"}},
		"long":         {long + "\n", false, []string{long[:maxLine], long[maxLine:]}},
		"exactly long": {long[:maxLine] + "\n", false, []string{long[:maxLine]}},
	} {
		var out []vitals.Line
		l := &lines{stamped: c.stamped, emit: func(ln vitals.Line) error { out = append(out, ln); return nil }}
		if err := l.raw(bufio.NewReaderSize(strings.NewReader(c.log), chunk)); err != nil {
			t.Error(name, err)
		}
		var texts []string
		for _, ln := range out {
			texts = append(texts, ln.Text)
			if ln.At.IsZero() == (c.stamped && name == "stamped") {
				t.Errorf("%s: time %v", name, ln.At)
			}
		}
		if strings.Join(texts, "|") != strings.Join(c.want, "|") || len(texts) != len(c.want) {
			t.Errorf("%s: %.100q, want %.100q", name, texts, c.want)
		}
	}
}

// FuzzLog: no log makes a panic, a line that is too long, or more text than it has.
func FuzzLog(f *testing.F) {
	frame := func(kind byte, text string) []byte {
		b := make([]byte, 8, 8+len(text))
		b[0] = kind
		binary.BigEndian.PutUint32(b[4:], uint32(len(text))) //nolint:gosec // short
		return append(b, text...)
	}
	f.Add(frame(1, "a\n"), false, false)
	f.Add(append(frame(1, "2026-11-23T06:00:00.1Z a"), frame(2, "b\nc")...), false, true)
	f.Add([]byte("2026-11-23T06:00:00.1Z a\r\n"), true, true)
	f.Fuzz(func(t *testing.T, log []byte, raw, stamped bool) {
		got, _ := collect(raw, stamped, log)
		size := 0
		for _, l := range got {
			size += len(l.Text)
			if len(l.Text) > maxLine || strings.Contains(l.Text, "\n") {
				t.Errorf("line %q", l.Text)
			}
		}
		if size > len(log) {
			t.Errorf("%d bytes out of %d", size, len(log))
		}
		if raw && !stamped && utf8.Valid(log) && !bytes.Contains(log, []byte{'\r'}) && len(log) < maxLine {
			var all []string
			for _, l := range got {
				all = append(all, l.Text)
			}
			if text := strings.Join(all, "\n"); text != strings.TrimSuffix(string(log), "\n") {
				t.Errorf("got %q out of %q", text, log)
			}
		}
	})
}

func TestUsage(t *testing.T) {
	var s container.StatsResponse
	s.CPUStats.CPUUsage.TotalUsage, s.CPUStats.SystemUsage, s.CPUStats.OnlineCPUs = 150, 2000, 4
	s.PreCPUStats.CPUUsage.TotalUsage, s.PreCPUStats.SystemUsage = 50, 1000
	s.MemoryStats.Usage, s.MemoryStats.Limit = 1000, 2000
	s.MemoryStats.Stats = map[string]uint64{"inactive_file": 200, "total_inactive_file": 500}
	if u := usage(&s); u.CPUPercent != 40 || u.MemoryUsage != 500 || u.MemoryPercent != 25 {
		t.Errorf("cgroup v1: %+v", u)
	}
	delete(s.MemoryStats.Stats, "total_inactive_file")
	s.CPUStats.OnlineCPUs, s.CPUStats.CPUUsage.PercpuUsage = 0, []uint64{1, 2}
	if u := usage(&s); u.CPUPercent != 20 || u.MemoryUsage != 800 {
		t.Errorf("cgroup v2: %+v", u)
	}
	s.PreCPUStats.SystemUsage = 0
	s.MemoryStats.Limit, s.MemoryStats.Usage = 0, 100 // less than its cache
	if u := usage(&s); u.CPUPercent != 0 || u.MemoryUsage != 100 || u.MemoryPercent != 0 {
		t.Errorf("first sample: %+v", u)
	}
}
