package main

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"brenda/audio/audiotest"
)

func TestFirstWords(t *testing.T) {
	for name, c := range map[string]struct {
		said, heard, whole string
		missed, lost       bool
	}{
		"heard":                  {said: "Échec à l'ouverture.", heard: "échec, à l'ouverture"},
		"an apostrophe":          {said: "L'appel est terminé.", heard: "L’appel est terminé"},
		"a hyphen":               {said: "Rendez-vous demain.", heard: "Rendez vous demain."},
		"lost":                   {"Vous êtes là.", "êtes là.", "Vous êtes là.", true, true},
		"cut":                    {"Pour sortir, raccrochez.", "our sortir, raccrochez.", "Pour sortir, raccrochez.", true, true},
		"misread":                {"Désolé, c'est fini.", "Des solets, c'est fini.", "Des solets, c'est fini.", true, false},
		"all is lost":            {"Bonjour.", "", "Bonjour.", true, true},
		"nobody knows":           {"Vous êtes là.", "êtes là.", "", true, true},
		"a word of its own only": {said: "Vous êtes là.", heard: "Vous étiez las."},
	} {
		t.Run(name, func(t *testing.T) {
			turn := benchTurn{Text: c.said, Heard: c.heard, Whole: c.whole}
			if turn.firstWordMissed() != c.missed || turn.firstWordLost() != c.lost {
				t.Errorf("missed %v, lost %v", turn.firstWordMissed(), turn.firstWordLost())
			}
		})
	}
	if (benchTurn{Text: "Bonjour.", Error: "no answer"}).firstWordMissed() {
		t.Error("a turn that failed is counted twice")
	}
}

func TestInnerPause(t *testing.T) {
	const rate = 24000
	sound := func(ms int, loud float64) []float32 { return audiotest.Tone(200, loud, rate, rate*ms/1000) }
	for name, c := range map[string]struct {
		parts [][]float32
		want  time.Duration
	}{
		"nothing":                {nil, 0},
		"silence":                {[][]float32{audiotest.Silence(rate)}, 0},
		"no pause":               {[][]float32{sound(500, 0.5)}, 0},
		"around it":              {[][]float32{audiotest.Silence(rate), sound(500, 0.5), audiotest.Silence(rate)}, 0},
		"the longest of two":     {[][]float32{sound(100, 0.5), audiotest.Silence(rate / 5), sound(100, 0.5), audiotest.Silence(rate / 2), sound(100, 0.5)}, 500 * time.Millisecond},
		"noise is a pause":       {[][]float32{sound(100, 0.5), sound(300, 0.005), sound(100, 0.5)}, 300 * time.Millisecond}, // −40 dB
		"a soft syllable is not": {[][]float32{sound(100, 0.5), sound(300, 0.02), sound(100, 0.5)}, 0},                       // −28 dB
	} {
		t.Run(name, func(t *testing.T) {
			var pcm []float32
			for _, p := range c.parts {
				pcm = append(pcm, p...)
			}
			if got := innerPause(pcm, rate); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestPlayClock has sound come ahead, just in time, and late.
func TestPlayClock(t *testing.T) {
	var p playClock
	zero := time.Unix(1000, 0)
	second := base64.StdEncoding.EncodeToString(make([]byte, 2*benchRate))
	if d := soundLength(second); d != time.Second {
		t.Fatalf("a second is %v", d)
	}
	for _, at := range []int{0, 100, 1900, 3000, 4250, 4300, 6350} { // ms; each brings a second
		p.take(zero.Add(time.Duration(at)*time.Millisecond), soundLength(second))
	}
	// It has sound until 4000; the one of 4250 and the next last until 6250.
	if p.times != 2 || p.longest != 250*time.Millisecond {
		t.Errorf("ran dry %d times, for up to %v", p.times, p.longest)
	}
}

func TestJudgement(t *testing.T) {
	var out bytes.Buffer
	printJudgement(&out, []benchTurn{
		{File: "a", Text: "Bonjour à vous.", Heard: "Bonjour à vous"},
		{File: "b", Text: "Vous êtes là.", Heard: "êtes là.", Whole: "Vous êtes là."},
		{File: "c", Text: "Désolé.", Heard: "Des solets.", Whole: "Des solets."},
		{File: "d", Text: "Un. Deux.", Heard: "Un. Deux.", Early: true, Pause: 0.6},
		{File: "e", Text: "Un. Deux.", Heard: "Un. Deux.", Early: true, Pause: 0.2, Dry: 2, LongestDry: 130},
		{File: "f", Text: "Un.", Error: "no answer"},
	})
	for _, want := range []string{
		`b: the first word is missing (ours): said "Vous êtes là.", heard "êtes là.", in the whole recording "Vous êtes là."`,
		`c: the first word is missing (the recognizer's)`,
		"first words lost: 1 of 5; the recognizer misses 1 more",
		"inside a prompt: 1 of 4 whose longest pause is under 500 ms, 1 of 1 others",
		"e: the answer's sound ran dry 2 times, for up to 130 ms",
		"ran dry: 2 times in 5 answers, for 130 ms at the longest",
		"f: failed: no answer", "failed: 1 of 6 prompts",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "a:") {
		t.Errorf("a good turn is told of:\n%s", out.String())
	}
}
