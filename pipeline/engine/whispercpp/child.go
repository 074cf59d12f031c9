package whispercpp

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

// request is what the parent sends beside the sound.
type request struct {
	Model        string  `json:"model"` // a path
	Keep         bool    `json:"keep,omitempty"`
	Language     string  `json:"language,omitempty"`
	Prompt       string  `json:"prompt,omitempty"`
	AudioCtx     int     `json:"audio_ctx,omitempty"`
	MaxTokens    int     `json:"max_tokens,omitempty"`
	Beam         int     `json:"beam,omitempty"`
	FallbackStep float32 `json:"fallback_step,omitempty"`
}

// reply is what comes back.
type reply struct {
	Text     string  `json:"text"`
	Language string  `json:"language"`
	Tokens   int     `json:"tokens"`
	LogProb  float64 `json:"log_prob"` // mean of the tokens
}

// idleModel is how long a model other than the default stays loaded without being used.
const idleModel = 10 * time.Minute

// ChildMain is the engine itself: the body of the hidden command that Engine starts (see [Config].Exec).
// It speaks the protocol of package proc over stdin and stdout and returns when the parent is gone.
func ChildMain(ctx context.Context, args []string) error {
	r, w, err := proc.Stdio()
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("engine whisper", flag.ContinueOnError)
	lib := flags.String("lib", "", "path of libwhisper")
	threads := flags.Int("threads", 1, "threads of one transcription")
	preload := flags.String("preload", "", "path of the model to load before the first call")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("starting the whisper engine: %w", err)
	}
	if err := loadLibrary(*lib); err != nil {
		return err
	}
	return serve(ctx, r, w, *threads, *preload)
}

func serve(ctx context.Context, r io.ReadCloser, w io.Writer, threads int, preload string) error {
	h := &host{threads: threads, models: map[string]*model{}, quit: make(chan struct{})}
	defer close(h.quit)
	if preload != "" {
		// No failure of the process: other models may work, and the call that wants this one gets the error.
		if err := h.warm(ctx, request{Model: preload, Keep: true}); err != nil {
			fmt.Fprintln(os.Stderr, "loading the default model:", err)
		}
	}
	return proc.Serve(ctx, r, w, map[string]proc.Handler{"load": h.load, "transcribe": h.transcribe})
}

// host keeps the loaded models.
type host struct {
	threads int
	quit    chan struct{}

	mu     sync.Mutex // also held while a model loads: one at a time
	models map[string]*model
}

// open returns the model of a file, loading it if need be.
func (h *host) open(req request) (*model, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.models[req.Model]; m != nil {
		select {
		case <-m.done: // it was idle for long
		default:
			return m, nil
		}
	}
	if err := checkModel(req.Model); err != nil {
		return nil, badModel(err)
	}
	idle := idleModel
	if req.Keep {
		idle = 0
	}
	m, err := openModel(req.Model, idle, h.quit)
	if err != nil {
		return nil, badModel(err)
	}
	h.models[req.Model] = m
	return m, nil
}

func badModel(err error) error {
	return fault.Wrap(err, fault.Unavailable, "model_broken",
		"the speech recognition model cannot be loaded; fetch it again with: brenda models pull")
}

// warm loads a model and lets it hear a second of silence, so that the first real call finds memory and
// threads ready.
func (h *host) warm(ctx context.Context, req request) error {
	silence := make([]float32, pipeline.InputRate)
	_, err := h.run(ctx, req, job{
		pcm: silence, language: "en", threads: h.threads, audioCtx: minAudioCtx, maxTokens: 1,
	})
	return err
}

func (h *host) run(ctx context.Context, req request, j job) (text, error) {
	for {
		m, err := h.open(req)
		if err != nil {
			return text{}, err
		}
		t, err := m.transcribe(ctx, j)
		if !errors.Is(err, errGone) {
			return t, err
		}
	}
}

func (h *host) load(ctx context.Context, meta json.RawMessage, _ []byte, _ func(any, []byte) error,
) (any, []byte, error) {
	var req request
	if err := json.Unmarshal(meta, &req); err != nil {
		return nil, nil, err
	}
	return nil, nil, h.warm(ctx, req)
}

func (h *host) transcribe(ctx context.Context, meta json.RawMessage, payload []byte,
	_ func(any, []byte) error,
) (any, []byte, error) {
	var req request
	if err := json.Unmarshal(meta, &req); err != nil {
		return nil, nil, err
	}
	pcm, err := proc.Floats(payload)
	if err != nil {
		return nil, nil, err
	}
	req.Language = strings.ToLower(req.Language)
	if req.Language != "auto" && !knowsLanguage(req.Language) {
		return nil, nil, fault.Field("language", "unknown language %q: give a code such as \"fr\", or \"auto\"",
			req.Language)
	}
	t, err := h.run(ctx, req, job{
		pcm: pcm, language: req.Language, prompt: req.Prompt, threads: h.threads, audioCtx: req.AudioCtx,
		maxTokens: req.MaxTokens, beam: req.Beam, fallbackStep: req.FallbackStep,
	})
	if err != nil {
		return nil, nil, err
	}
	return reply{Text: t.text, Language: t.language, Tokens: t.tokens, LogProb: t.logProb}, nil, nil
}
