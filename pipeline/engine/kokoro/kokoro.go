// Package kokoro speaks: Kokoro-82M on ONNX Runtime, with phonemes from espeak-ng.
//
// The model runs in a supervised child of this binary, because ONNX Runtime may abort its process. The child
// knows only tokens; text, phonemes and the shaping of the sound stay with the parent, and espeak-ng is the
// parent's child, so that either engine can die and come back without the other.
package kokoro

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"brenda/pipeline"
	"brenda/pipeline/engine/espeak"
	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

// DefaultVoice is the French voice: Kokoro's ff_siwis under Brenda's name.
const DefaultVoice = "Elise"

// Config says where the engine's files are and how it runs.
type Config struct {
	ORTLib   string   // libonnxruntime.so
	ModelDir string   // holds kokoro.onnx, tokens.json and voices/NAME.bin
	Threads  int      // threads of one inference; 0 means 1
	Exec     []string // how this binary is started as a child: program, subcommand; see [ChildMain]
	Env      []string // "KEY=value", added to the child's environment
	Voice    string   // the voice of a line that names none; empty means [DefaultVoice]
	Espeak   espeak.Config
	Log      *slog.Logger // nil means none
}

// Engine implements [pipeline.Synthesizer]. Its methods may be called from several goroutines at once.
type Engine struct {
	*proc.Lazy
	cfg      Config
	phonemes *espeak.Phonemizer

	mu     sync.Mutex
	assets *assets // nil until they were read
}

var _ pipeline.Synthesizer = (*Engine)(nil)

// New returns an engine that lives until ctx ends or Close is called. Models that are missing are told by the
// first call, so that they may be fetched meanwhile; nothing is loaded before it.
func New(ctx context.Context, cfg Config) *Engine {
	if cfg.Voice == "" {
		cfg.Voice = DefaultVoice
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Espeak.Log == nil {
		cfg.Espeak.Log = cfg.Log
	}
	return &Engine{cfg: cfg, phonemes: espeak.New(cfg.Espeak), Lazy: ort.Worker{
		Name: engineName, Library: cfg.ORTLib, Files: []ort.File{{Flag: flagModel, Path: cfg.ModelDir}},
		Missing: notInstalled, Threads: cfg.Threads, Exec: cfg.Exec, Env: cfg.Env, Log: cfg.Log,
	}.Lazy(ctx)}
}

// Synthesize speaks; see [pipeline.Synthesizer]. A line too long for the model is spoken in several pieces,
// cut where its punctuation allows. A text without anything to say gives no sound and no error.
func (e *Engine) Synthesize(ctx context.Context, l pipeline.Line, emit func(pcm []float32) error) error {
	worker, a, err := e.ready()
	if err != nil {
		return err
	}
	voice, err := a.voice(cmp.Or(l.Voice, e.cfg.Voice))
	if err != nil {
		return err
	}
	accent, err := voice.accent(l.Language)
	if err != nil {
		return err
	}
	speed := l.Speed
	if speed == 0 {
		speed = 1
	}
	if !(speed >= 0.5 && speed <= 2) {
		return fault.Field("speed", "speed must be between 0.5 and 2")
	}
	spoken, err := phonemize(ctx, l.Text, func(ctx context.Context, text string) (string, error) {
		return e.phonemes.IPA(ctx, accent, text)
	})
	if err != nil {
		return fmt.Errorf("kokoro: phonemes: %w", err)
	}
	for _, p := range a.pieces(spoken) {
		pcm, err := speak(ctx, worker, request{Voice: voice.Name, Tokens: p.tokens, Speed: speed})
		if err != nil {
			return fmt.Errorf("kokoro: %w", err)
		}
		if pcm = shape(pcm, pause(p.end), speed); len(pcm) == 0 {
			continue
		}
		if err := emit(pcm); err != nil {
			return err
		}
	}
	return nil
}

// request is what the child is asked for.
type request struct {
	Voice  string  `json:"voice"`
	Tokens []int64 `json:"tokens"`
	Speed  float64 `json:"speed"`
}

const methodSpeak = "speak"

func speak(ctx context.Context, w *proc.Worker, r request) ([]float32, error) {
	_, payload, err := w.Ask(ctx, methodSpeak, r, nil)
	if err != nil {
		return nil, err
	}
	pcm, err := proc.Floats(payload)
	if err != nil {
		return nil, fmt.Errorf("sound: %w", err)
	}
	for _, v := range pcm {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fault.New(fault.Internal, "", "the speech engine gave no usable sound")
		}
	}
	return pcm, nil
}

// ready reads the small files and starts the child, when that was not done.
func (e *Engine) ready() (*proc.Worker, *assets, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.assets == nil {
		a, err := readAssets(e.cfg.ModelDir, e.cfg.ORTLib)
		if err != nil {
			return nil, nil, err
		}
		e.assets = a
	}
	w, err := e.Worker()
	return w, e.assets, err
}

// Warm loads the model and speaks a word into the void, so that the first real line is not slower than the
// others.
func (e *Engine) Warm(ctx context.Context) error {
	line := pipeline.Line{Text: "Bonjour."}
	return e.Synthesize(ctx, line, func([]float32) error { return nil })
}

// Voices returns the voices that are installed, the default first.
func (e *Engine) Voices() []Voice {
	voices, err := readVoices(e.cfg.ModelDir)
	if err != nil {
		return nil
	}
	slices.SortStableFunc(voices, func(a, b Voice) int {
		switch {
		case strings.EqualFold(a.Name, b.Name):
			return 0
		case strings.EqualFold(a.Name, e.cfg.Voice):
			return -1
		case strings.EqualFold(b.Name, e.cfg.Voice):
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return voices
}

// Close ends the child and espeak-ng. It may be called twice.
func (e *Engine) Close() error { return errors.Join(e.phonemes.Close(), e.Lazy.Close()) }

// decodeRequest reads and checks what the parent asks for.
func decodeRequest(meta json.RawMessage) (request, error) {
	var r request
	if err := json.Unmarshal(meta, &r); err != nil {
		return r, fmt.Errorf("request: %w", err)
	}
	if len(r.Tokens) == 0 || len(r.Tokens) > maxTokens {
		return r, fmt.Errorf("request of %d tokens", len(r.Tokens))
	}
	return r, nil
}
