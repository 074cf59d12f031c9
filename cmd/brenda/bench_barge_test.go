package main

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"brenda/audio"
)

func TestDisturbances(t *testing.T) {
	counts := map[string]int{}
	for _, s := range disturbances(4) {
		counts[s.kind]++
		if level := audio.DB(audio.RMS(s.clip.pcm)); level < -50 || level > -6 {
			t.Errorf("%s %s: %.0f dB", s.kind, s.clip.File, level)
		}
	}
	if counts[noiseKind] != 4 || counts[coughKind] != 4 {
		t.Errorf("%v", counts)
	}
	pcm := cough(rand.New(rand.NewPCG(3, 4)))
	if length := benchDuration(len(pcm)); length < 400*time.Millisecond || length > time.Second {
		t.Errorf("a cough of %v", length)
	}
}

// TestBargeTable tells of what was cut wrongly, and of what was not cut.
func TestBargeTable(t *testing.T) {
	var out bytes.Buffer
	err := printBarge(&out, []bargeTrial{
		{Kind: noiseKind, Sound: "a"},
		{Kind: coughKind, Sound: "b", Cut: true, Cancelled: 700, Silence: 300},
		{Kind: coughKind, Sound: "c", Error: "the answer was too short"},
		{Kind: speechKind, Sound: "d", Cut: true, Told: 610, Cancelled: 600, Silence: 180},
		{Kind: speechKind, Sound: "e"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"noise         cut  0 of  1", "cough         cut  1 of  1", "interruption  cut  1 of  2", "cut by cough, b, after 700 ms",
		"failed: cough, c: the answer was too short", "not interrupted by e", "last sound received     180",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
