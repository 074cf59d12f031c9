package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"brenda/audio"
	"brenda/pipeline"
)

// benchClip is a recorded prompt.
type benchClip struct {
	File  string
	Text  string
	pcm   []float32 // at benchRate
	end   time.Duration
	from  time.Duration // when the speech begins
	pause time.Duration // the longest one inside it
}

// benchRate is the rate at which sound is sent and received, in Hz: the protocol's usual one.
const benchRate = 24000

func (c benchClip) length() time.Duration { return benchDuration(len(c.pcm)) }

func benchDuration(samples int) time.Duration {
	return time.Duration(samples) * time.Second / benchRate
}

// The prompts that are taken: long enough to be a request, short enough to be one.
const (
	shortestPrompt = 1.5 // seconds
	longestPrompt  = 6
)

// benchClips returns n French prompts of dir, spread evenly over all that are whole sentences: behind half a sentence a
// good listener waits, which is another measurement.
func benchClips(dir string, n int) ([]benchClip, error) {
	index, err := os.ReadFile(filepath.Join(dir, "index.tsv"))
	if err != nil {
		return nil, fmt.Errorf("%w; deploy/test-speech.sh %s makes it", err, dir)
	}
	all := wholeSentences(string(index))
	if n < 0 || n > len(all) {
		return nil, fmt.Errorf("up to %d prompts can be spoken, not %d", len(all), n)
	}
	clips := make([]benchClip, n)
	for i := range clips {
		c := all[i*len(all)/n]
		if clips[i], err = loadClip(dir, c.File, c.Text); err != nil {
			return nil, err
		}
	}
	return clips, nil
}

// wholeSentences lists the prompts of an index (file, seconds, text; tabs between) that are fit to be answered.
func wholeSentences(index string) []benchClip {
	var out []benchClip
	for line := range strings.Lines(index) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 3 || !strings.HasPrefix(f[0], "fr/") {
			continue
		}
		seconds, err := strconv.ParseFloat(f[1], 64)
		text := f[2]
		whole := strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?") || strings.HasSuffix(text, "!")
		if err == nil && seconds >= shortestPrompt && seconds <= longestPrompt && whole && !strings.Contains(text, "..") {
			out = append(out, benchClip{File: f[0], Text: text})
		}
	}
	return out
}

// loadClip reads a recording.
func loadClip(dir, file, text string) (benchClip, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return benchClip{}, err
	}
	src, err := audio.Open(bytes.NewReader(b), int64(len(b)), benchRate)
	if err != nil {
		return benchClip{}, fmt.Errorf("%s: %w", file, err)
	}
	pcm, err := audio.ReadAll(src)
	if err != nil {
		return benchClip{}, fmt.Errorf("%s: %w", file, err)
	}
	c := benchClip{File: file, Text: text, pcm: pcm}
	c.from, c.end = speechBounds(pcm, benchRate)
	c.pause = innerPause(pcm, benchRate)
	return c, nil
}

// listening returns the sound at the rate that engines listen at.
func (c benchClip) listening() []float32 { return audio.Resample(c.pcm, benchRate, pipeline.InputRate) }

// levelStep is the length of the frames by whose loudness a recording is judged.
const levelStep = 10 * time.Millisecond

// loudFrames returns the numbers of the frames that are within so many dB of the loudest. Silence has none.
func loudFrames(pcm []float32, rate, below int) []int {
	frame := rate / 100
	var levels []float64
	loudest := 0.0
	for at := 0; at+frame <= len(pcm); at += frame {
		l := audio.RMS(pcm[at : at+frame])
		levels, loudest = append(levels, l), max(loudest, l)
	}
	threshold := loudest * math.Pow(10, -float64(below)/20)
	var loud []int
	for i, l := range levels {
		if loudest > 0 && l >= threshold {
			loud = append(loud, i)
		}
	}
	return loud
}

// speechBounds returns where the first frame begins and the last one ends that is within 45 dB of the loudest: the true
// bounds of the speech, which a voice activity detector only approaches. Silence has none: 0, 0.
func speechBounds(pcm []float32, rate int) (from, end time.Duration) {
	loud := loudFrames(pcm, rate, 45)
	if len(loud) == 0 {
		return 0, 0
	}
	return time.Duration(loud[0]) * levelStep, time.Duration(loud[len(loud)-1]+1) * levelStep
}

// innerPause returns the longest stretch inside a recording without a frame within 35 dB of the loudest: the noise in the
// pauses of the recordings is at −40 dB.
func innerPause(pcm []float32, rate int) time.Duration {
	longest, last := 0, -1
	for _, i := range loudFrames(pcm, rate, 35) {
		if last >= 0 {
			longest = max(longest, i-last-1)
		}
		last = i
	}
	return time.Duration(longest) * levelStep
}
