// Package whispercpp recognises speech with Whisper models, run by whisper.cpp.
//
// libwhisper is loaded at run time (no header or library is needed to build) inside a supervised child
// process: ggml may abort, and an encoding under way can be ended in time only by ending its process.
// The parent half is [Engine]; the child half is [ChildMain].
package whispercpp

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

// Config is what an Engine needs.
type Config struct {
	LibDir   string            // folder with libwhisper.so or libwhisper-*.so and the ggml libraries it wants
	Models   map[string]string // size ("tiny"…"large") → path of its ggml file
	Default  string            // the size used when none is asked for; must be in Models
	Language string            // used when none is asked for; default "fr"
	Threads  int               // of one transcription; default: the number of cores, at most 4

	Exec        []string      // the command that runs ChildMain; default: this binary, "engine", "whisper"
	Env         []string      // "KEY=value", added to the child's environment
	CancelGrace time.Duration // a cancelled call may run on so long, then the child goes; default 300 ms
	Log         *slog.Logger  // default: none
}

// Engine is a pipeline.Recognizer. All methods may be called from any goroutine; the calls for one model
// are served one after another.
type Engine struct {
	cfg    Config
	worker *proc.Worker
}

var _ pipeline.Recognizer = (*Engine)(nil)

// New starts the engine's child, which lives until ctx ends or Close is called, and returns at once. The
// child loads the default model by itself, also after a crash; [Engine.Load] waits for it.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	lib, err := findLibrary(cfg.LibDir)
	if err != nil {
		return nil, err
	}
	if cfg.Models[cfg.Default] == "" {
		return nil, fault.New(fault.Unavailable, "model_missing",
			"the speech recognition model %q is not installed; run: brenda models pull", cfg.Default)
	}
	if cfg.Language == "" {
		cfg.Language = "fr"
	}
	if cfg.Threads <= 0 {
		cfg.Threads = min(runtime.NumCPU(), 4)
	}
	if len(cfg.Exec) == 0 {
		cfg.Exec = []string{"", "engine", "whisper"}
	}
	e := &Engine{cfg: cfg}
	e.worker = proc.StartWorker(ctx, proc.WorkerConfig{
		Name: "whisper",
		Exec: slices.Concat(cfg.Exec, []string{
			"-lib", lib, "-threads", strconv.Itoa(cfg.Threads), "-preload", cfg.Models[cfg.Default],
		}),
		// libgomp's threads spin while they wait, ten times slower on a busy machine, unless told not to
		// before it loads.
		Env:         slices.Concat(cfg.Env, []string{"OMP_WAIT_POLICY=passive"}),
		CancelGrace: cfg.CancelGrace, KillOnStuck: true, Log: cfg.Log,
	})
	return e, nil
}

// findLibrary returns the libwhisper of a folder, whose name differs from build to build.
func findLibrary(dir string) (string, error) {
	for _, pattern := range []string{"libwhisper-*.so*", "libwhisper.so*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err == nil && len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fault.New(fault.Unavailable, "engine_missing",
		"speech recognition is not installed; run: brenda models pull")
}

// Sizes returns the sizes that can be asked for, sorted.
func (e *Engine) Sizes() []string { return slices.Sorted(maps.Keys(e.cfg.Models)) }

// State returns how the child is.
func (e *Engine) State() proc.State { return e.worker.State() }

// Close ends the child. Calls in flight fail. It may be called twice.
func (e *Engine) Close() error { return e.worker.Close() }

// Load loads a size, empty for the default, and returns when it is ready to transcribe. An unknown size
// is fault.NotFound, a broken file fault.Unavailable.
func (e *Engine) Load(ctx context.Context, size string) error {
	req, _, err := e.request(size)
	if err != nil {
		return err
	}
	_, _, err = e.worker.Call(ctx, "load", req, nil, nil)
	return err
}

func (e *Engine) request(size string) (request, string, error) {
	if size == "" {
		size = e.cfg.Default
	}
	path, ok := e.cfg.Models[size]
	if !ok {
		f := fault.New(fault.NotFound, "unknown_model", "no speech recognition model %q here; installed: %s", size,
			strings.Join(e.Sizes(), ", "))
		return request{}, "", f
	}
	return request{Model: path, Keep: size == e.cfg.Default}, size, nil
}

// Transcribe implements [pipeline.Recognizer]. The whole transcript is one segment. It returns within
// CancelGrace of ctx's end. When the child dies under it, which another call's cancellation may cause,
// it tries once more.
func (e *Engine) Transcribe(ctx context.Context, s pipeline.Speech) (pipeline.Transcript, error) {
	req, size, err := e.request(s.Model)
	if err != nil {
		return pipeline.Transcript{}, err
	}
	if len(s.PCM) == 0 {
		return pipeline.Transcript{Language: e.language(s), Model: size}, nil
	}
	req.Language, req.Prompt = e.language(s), strings.ReplaceAll(s.Prompt, "\x00", "")
	seconds := float64(len(s.PCM)) / pipeline.InputRate
	req.AudioCtx, req.MaxTokens = audioCtx(seconds), maxTokens(seconds)
	if s.Thorough {
		// Five beams find words that fit together better. A fallback step repeats the decoding with some
		// randomness, which breaks a loop, if it must.
		req.AudioCtx, req.FallbackStep, req.Beam = thoroughCtx(seconds), 0.2, 5
	}
	pcm := s.PCM
	if len(pcm) < pipeline.InputRate { // Whisper ignores shreds
		pcm = append(slices.Clone(pcm), make([]float32, pipeline.InputRate-len(pcm))...)
	}
	sound := proc.FloatBytes(pcm)
	meta, _, err := e.worker.Ask(ctx, "transcribe", req, sound)
	if err != nil {
		return pipeline.Transcript{}, err
	}
	var r reply
	if err := json.Unmarshal(meta, &r); err != nil {
		return pipeline.Transcript{}, err
	}
	t := pipeline.Transcript{
		Text: r.Text, Language: r.Language, Model: size, Tokens: r.Tokens, Capped: r.Tokens > req.MaxTokens,
	}
	if r.Tokens > 0 {
		t.Confidence = math.Exp(r.LogProb)
	}
	if t.Text != "" {
		t.Segments = []pipeline.Segment{{End: seconds, Text: t.Text}}
	}
	return t, nil
}

func (e *Engine) language(s pipeline.Speech) string {
	if s.Language == "" {
		return e.cfg.Language
	}
	return s.Language
}

// Whisper encodes 30 s always, in 1500 positions of 20 ms; most of an utterance's cost. whisper.cpp can
// encode fewer.
const (
	minAudioCtx  = 256 // below 192, clips of a second come out as loops
	fullAudioCtx = 1500
)

// audioCtx returns how many positions the sound needs, in whole 64s and with some silence at its end; 0
// means all.
func audioCtx(seconds float64) int {
	n := int(math.Ceil(50*seconds)) + 64
	n = max(minAudioCtx, (n+63)/64*64)
	if n >= fullAudioCtx {
		return 0
	}
	return n
}

// thoroughCtx is audioCtx for a second try: twice as many positions, no fewer than half of them all.
func thoroughCtx(seconds float64) int {
	n := max(fullAudioCtx/2+18, 2*audioCtx(seconds)) // 768, a multiple of 256
	if n >= fullAudioCtx || audioCtx(seconds) == 0 {
		return 0
	}
	return n
}

// maxTokens bounds a transcript: nobody speaks more, a loop does.
func maxTokens(seconds float64) int { return 16 + int(math.Ceil(8*seconds)) }
