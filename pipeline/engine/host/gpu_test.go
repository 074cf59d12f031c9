package host

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseGPUs(t *testing.T) {
	const out = "0, NVIDIA GeForce RTX 3060, 37, 12288, 512, 51\n1, Tesla \"T4\", [N/A], 15360, [Not Supported], [N/A]\n"
	gpus, err := parseGPUs([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(gpus)
	const want = `[{"index":0,"name":"NVIDIA GeForce RTX 3060","percent":37,"memory_total":12884901888,"memory_used":536870912,"celsius":51},` +
		`{"index":1,"name":"Tesla \"T4\"","percent":null,"memory_total":16106127360,"memory_used":null,"celsius":null}]`
	if string(b) != want {
		t.Errorf("got %s", b)
	}
	for _, bad := range []string{"No devices were found\n", "a, b, c, d, e, f\n", "0, x, 1\n"} {
		if _, err := parseGPUs([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if gpus, err := parseGPUs(nil); err != nil || len(gpus) != 0 {
		t.Errorf("nothing: %v, %v", gpus, err)
	}
}

// program writes a program that stands for nvidia-smi, which machines without such a card do not have.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nvidia-smi")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return path
}

func TestGPUProgram(t *testing.T) {
	s := Start(t.Context(), Config{Disk: t.TempDir(), SMI: program(t, `case "$*" in *index,name*) echo "0, Card, 5, 10, 1, 40";; esac`)})
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		sys, err := s.System(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(sys.GPUs) == 1 {
			if g := sys.GPUs[0]; g.Name != "Card" || *g.Percent != 5 || *g.MemoryTotal != 10<<20 {
				t.Errorf("%+v", g)
			}
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("no card")
		}
	}
}

func TestGPUProgramMisbehaves(t *testing.T) {
	for name, script := range map[string]string{
		"fails":      "echo no driver; exit 9",
		"writes all": "i=0; while [ $i -lt 3000 ]; do echo 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; i=$((i+1)); done",
	} {
		if gpus, err := askGPUs(t.Context(), program(t, script)); err == nil {
			t.Errorf("%s: %v", name, gpus)
		}
	}
	b := &bounded{left: 5}
	for range 3 {
		if n, err := b.Write([]byte("abc")); n != 3 || err != nil {
			t.Error(n, err)
		}
	}
	if !strings.HasPrefix("abcabc", b.String()) || b.Len() != 5 {
		t.Errorf("kept %q", b.String())
	}
}
