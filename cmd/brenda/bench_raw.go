package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"

	"brenda/pipeline"
	"brenda/pipeline/speechtext"
)

// benchRaw is what the bare engines take for a prompt, back to back, in milliseconds: no server, no waiting, nothing
// beside each other.
type benchRaw struct {
	File        string  `json:"file"`
	Seconds     float64 `json:"seconds"`
	STT         float64 `json:"stt"`
	FirstToken  float64 `json:"first_token"`
	FirstClause float64 `json:"first_clause"` // from the same beginning as FirstToken
	TTS         float64 `json:"tts"`
	Total       float64 `json:"total"`
}

// errEnough ends a generation of which no more is wanted.
var errEnough = errors.New("enough was written")

// benchRawChain has the engines do what a turn needs until its first sound.
func benchRawChain(ctx context.Context, e *engines, clip benchClip, number int) (benchRaw, error) {
	raw := benchRaw{File: clip.File, Seconds: clip.end.Seconds()}
	begin := time.Now()
	lap := func() float64 {
		d := time.Since(begin)
		begin = time.Now()
		return milliseconds(d)
	}
	heard, err := e.ear.STT.Transcribe(ctx, pipeline.Speech{PCM: clip.listening(), Language: e.cfg.STT.Language})
	if err != nil {
		return raw, fmt.Errorf("stt: %w", err)
	}
	raw.STT = lap()
	prompt := pipeline.Prompt{
		Messages: []pipeline.Message{
			{Role: "system", Content: e.cfg.LLM.System}, {Role: "user", Content: heard.Text},
		},
		MaxTokens: e.cfg.LLM.MaxTokens, Affinity: fmt.Sprintf("bench-raw-%d", number),
	}
	clause, err := firstClause(ctx, e.scheduled.LLM, prompt, func() {
		raw.FirstToken = milliseconds(time.Since(begin))
	})
	if err != nil {
		return raw, fmt.Errorf("llm: %w", err)
	}
	raw.FirstClause = lap()
	err = e.scheduled.Voice.Synthesize(ctx, pipeline.Line{Text: clause, Language: e.cfg.STT.Language},
		func([]float32) error { return nil })
	if err != nil {
		return raw, fmt.Errorf("tts: %w", err)
	}
	raw.TTS = lap()
	raw.Total = raw.STT + raw.FirstClause + raw.TTS
	return raw, nil
}

// firstClause returns the first chunk of an answer as it is spoken. began is called at the first token.
func firstClause(ctx context.Context, llm pipeline.Generator, p pipeline.Prompt, began func()) (string, error) {
	split := speechtext.New(speechtext.Options{Language: "fr"})
	clause := ""
	take := func(chunks []speechtext.Chunk) error {
		for _, c := range chunks {
			if c.Spoken != "" {
				clause = c.Spoken
				return errEnough
			}
		}
		return nil
	}
	first := true
	_, err := llm.Generate(ctx, p, func(d pipeline.Delta) error {
		if d.Text != "" && first {
			first = false
			began()
		}
		return take(split.Push(d.Text))
	})
	if err == nil {
		err = take(split.Flush())
	}
	if clause == "" {
		return "", errors.Join(errors.New("nothing was written that can be spoken"), err)
	}
	return clause, nil
}

// processorSeconds returns the processor time that a process, its children and theirs have used; 0 where that is not told.
func processorSeconds(pid int) float64 {
	procs, err := procfs.AllProcs()
	if err != nil {
		return 0
	}
	parent := map[int]int{}
	used := map[int]float64{}
	for _, p := range procs {
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended
		}
		const hertz = 100 // of these counters, on every Linux
		parent[p.PID], used[p.PID] = stat.PPID, stat.CPUTime()
		used[p.PID] += float64(stat.CUTime+stat.CSTime) / hertz // of children that have ended
	}
	sum := 0.0
	for p, seconds := range used {
		for up := p; up > 1; up = parent[up] {
			if up == pid {
				sum += seconds
				break
			}
		}
	}
	return sum
}

// loadAverage tells how busy the machine is, as uptime does.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil || len(b) < 14 {
		return "unknown"
	}
	return string(b[:14])
}
