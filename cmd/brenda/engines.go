package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/engine/kokoro"
	"brenda/pipeline/engine/llamaserver"
	"brenda/pipeline/engine/openaichat"
	"brenda/pipeline/engine/silero"
	"brenda/pipeline/engine/smartturn"
	"brenda/pipeline/engine/whispercpp"
	"brenda/pipeline/hearing"
	"brenda/pipeline/schedule"
	"brenda/pipeline/weights"
	"brenda/rest/ai"
)

// engines are the engines of one server, bare and behind their queues.
type engines struct {
	cfg       *config
	vad       *silero.Engine
	whisper   *whispercpp.Engine
	voice     *kokoro.Engine
	turn      *smartturn.Engine   // nil when it is not installed: silence and words tell when a turn is over
	ear       hearing.Ear         // behind its queue
	llama     *llamaserver.Engine // nil when an endpoint is used
	remote    *openaichat.Client  // nil when it is not
	models    ai.Models
	scheduled pipeline.Engines
	standIns  map[string]string // sizes of Whisper that are not installed → the one that stands in
	missing   map[string]string // part → what is missing and how to get it

	machine *schedule.Machine
}

// newEngines builds what is installed. What is missing is told of by /ready and by each request that needs it.
func newEngines(ctx context.Context, cfg *config, log *slog.Logger) (*engines, error) {
	m, err := weights.New(cfg.Models.Dir, log)
	if err != nil {
		return nil, err
	}
	e := &engines{cfg: cfg, missing: map[string]string{}, standIns: map[string]string{}}
	e.build(ctx, m, log)
	return e, nil
}

// build starts what is installed.
func (e *engines) build(ctx context.Context, m *weights.Manager, log *slog.Logger) {
	limits := e.cfg.Limits
	e.machine = schedule.NewMachine(0)
	queue := func(name string, running int) *schedule.Queue {
		return e.machine.Queue(schedule.Config{
			Name: name, Running: running, Waiting: limits.Queue, MaxWait: limits.Wait,
		})
	}
	e.turn = turnDetector(ctx, m, log)
	e.ear = hearing.Ear{
		VAD: e.detector(m), STT: schedule.Recognizer(e.recognizer(ctx, m, log), queue("stt", 1)), Log: log,
	}
	e.scheduled = pipeline.Engines{
		Ear:   listener{e.ear},
		LLM:   schedule.Generator(e.writer(ctx, m, log), queue("llm", e.cfg.LLM.Parallel)),
		Voice: schedule.Synthesizer(e.speaker(ctx, m, log), queue("tts", 1)),
	}
}

// lack notes that a part is missing and returns what stands in its place.
func (e *engines) lack(part, what, mend string) absent {
	e.missing[part] = what + " is not installed; run: " + mend
	return absent{what, mend}
}

func (e *engines) detector(m *weights.Manager) pipeline.VAD {
	const model = "silero-vad"
	path, err := m.Path(model, "")
	if err == nil {
		if e.vad, err = silero.Open(path); err == nil {
			return e.vad
		}
	}
	return e.lack("vad", "the voice activity detector", pull+model)
}

// turnDetector builds the judge of a turn's end. It is no must: without it people are waited for a little longer.
func turnDetector(ctx context.Context, m *weights.Manager, log *slog.Logger) *smartturn.Engine {
	const name = "smart-turn-v3.2"
	lib, libErr := m.Path("onnxruntime", "")
	model, err := m.Path(name, "")
	if libErr != nil || err != nil {
		log.Warn("the end of a turn is not judged by its sound", "mend", pull+name+" onnxruntime")
		return nil
	}
	return smartturn.New(ctx, smartturn.Config{ORTLib: lib, Model: model, Log: log})
}

// pull begins the command that fetches a model.
const pull = "brenda models pull "

// recognizer builds Whisper with the size that is configured, or openly with the one that is there.
func (e *engines) recognizer(ctx context.Context, m *weights.Manager, log *slog.Logger) pipeline.Recognizer {
	const runtime = "whispercpp"
	want := "whisper-" + e.cfg.STT.Model
	lib, libErr := m.Path(runtime, "")
	best, err := m.Best(ctx, weights.STT, want, "whisper-base")
	if libErr != nil || err != nil {
		return e.lack("stt", "speech recognition", pull+runtime+" whisper-base")
	}
	installed, err := m.Installed(ctx)
	if err != nil {
		return e.lack("stt", "speech recognition", pull+runtime+" whisper-base")
	}
	sizes := map[string]string{}
	for _, in := range installed {
		if in.Kind == weights.STT {
			sizes[whisperSize(in.Name)] = in.Path()
		}
	}
	if best.Name != want {
		e.standIns[e.cfg.STT.Model] = whisperSize(best.Name)
	}
	e.whisper, err = whispercpp.New(ctx, whispercpp.Config{
		LibDir: filepath.Dir(lib), Models: sizes, Default: whisperSize(best.Name),
		Language: e.cfg.STT.Language, Threads: e.cfg.STT.Threads, Log: log,
		// An encoding cannot be ended half way, and to end its process costs the next one a load of the model. So a
		// cancelled one may run out, which takes less, unless it hangs.
		CancelGrace: 2 * time.Second,
	})
	if err != nil {
		log.Error("speech recognition", "error", err)
		return e.lack("stt", "speech recognition", "brenda doctor")
	}
	return e.whisper
}

// whisperSize is the name that the API gives to a Whisper model.
func whisperSize(name string) string {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "ggml-"), ".bin")
	return strings.TrimPrefix(name, "whisper-")
}

// writer builds the language model: a configured endpoint, or llama.cpp.
func (e *engines) writer(ctx context.Context, m *weights.Manager, log *slog.Logger) pipeline.Generator {
	cfg := e.cfg.LLM
	if cfg.URL != "" {
		c, err := openaichat.New(openaichat.Config{
			URL: cfg.URL, Key: openaichat.Secret(cfg.Key), Model: cfg.Model, MaxTokens: cfg.MaxTokens,
			KeepAlive: strings.HasPrefix(cfg.URL, "https:"), Stall: cfg.Timeout,
		}, log)
		if err == nil {
			e.remote, e.models = c, endpoint{c, cfg.Model}
			return c
		}
		log.Error("llm.url", "error", err)
	}
	files := map[string]string{}
	installed, err := m.Installed(ctx)
	if err != nil {
		log.Error("models folder", "error", err)
	}
	for _, in := range installed {
		if in.Kind == weights.LLM {
			files[in.Name] = in.Path()
		}
	}
	def := cfg.Model
	if _, ok := files[def]; !ok {
		best, err := m.Best(ctx, weights.LLM, def)
		if err != nil {
			gone := e.lack("llm", "a language model", pull+def)
			e.models = noModels{gone}
			return gone
		}
		e.standIns[def], def = best.Name, best.Name
	}
	packaged := ""
	if p, err := m.Path("llama-server", ""); err == nil {
		packaged = packageDir(p)
	}
	e.llama = llamaserver.New(llamaserver.Config{
		Server: cfg.Server, Package: packaged, Models: files, Dir: filepath.Join(m.Dir(), "llm"), Default: def,
		Context: cfg.Context, Slots: cfg.Parallel, Threads: cfg.Threads, PrefillThreads: cfg.Threads,
		MaxLoaded: cfg.Resident, MaxTokens: cfg.MaxTokens, Stall: cfg.Timeout,
	}, log)
	e.models = local{e.llama, def}
	return e.llama
}

// packageDir returns the folder that holds the Python package, out of the path of one of its files.
func packageDir(file string) string {
	for dir := filepath.Dir(file); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if filepath.Base(dir) == "xllamacpp" {
			return filepath.Dir(dir)
		}
	}
	return filepath.Dir(file)
}

func (e *engines) speaker(ctx context.Context, m *weights.Manager, log *slog.Logger) pipeline.Synthesizer {
	lib, libErr := m.Path("onnxruntime", "")
	model, err := m.Path("kokoro", "")
	if libErr != nil || err != nil {
		return e.lack("tts", "the voice", pull+"kokoro onnxruntime")
	}
	if _, err := exec.LookPath("espeak-ng"); err != nil {
		return e.lack("tts", "espeak-ng", "apt-get install espeak-ng")
	}
	e.voice = kokoro.New(ctx, kokoro.Config{
		ORTLib: lib, ModelDir: filepath.Dir(model), Threads: e.cfg.TTS.Threads, Voice: e.cfg.TTS.Voice, Log: log,
	})
	return e.voice
}

// Close ends all children.
func (e *engines) Close() error {
	var errs []error
	if e.whisper != nil {
		errs = append(errs, e.whisper.Close())
	}
	if e.llama != nil {
		errs = append(errs, e.llama.Close())
	}
	if e.remote != nil {
		e.remote.Close()
	}
	if e.voice != nil {
		errs = append(errs, e.voice.Close())
	}
	if e.turn != nil {
		errs = append(errs, e.turn.Close())
	}
	return errors.Join(errs...)
}

// warm has one part do a piece of work.
func (e *engines) warm(ctx context.Context, part string) error {
	if why, ok := e.missing[part]; ok {
		return errors.New(why)
	}
	var err error
	switch {
	case part == "stt":
		err = errors.Join(e.whisper.Load(ctx, ""), e.warmTurn(ctx))
	case part == "tts":
		err = e.voice.Warm(ctx)
	case e.llama != nil:
		err = e.warmLLM(ctx)
	case e.remote != nil:
		_, err = e.remote.Models(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	return nil
}

// warmTurn loads the judge of a turn's end, where there is one.
func (e *engines) warmTurn(ctx context.Context) error {
	if e.turn == nil {
		return nil
	}
	return e.turn.Warm(ctx)
}

// warmLLM loads the model and has each of its slots read the system prompt, which every conversation begins with.
func (e *engines) warmLLM(ctx context.Context) error {
	if _, err := e.llama.Load(ctx, ""); err != nil {
		return err
	}
	for i := range e.cfg.LLM.Parallel {
		_, err := e.llama.Warm(ctx, pipeline.Prompt{
			Messages: []pipeline.Message{
				{Role: "system", Content: e.cfg.LLM.System}, {Role: "user", Content: "Bonjour"},
			},
			Affinity: fmt.Sprintf("warm-%d", i),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sizes lists the sizes of Whisper that are installed.
func (e *engines) sizes() []string {
	if e.whisper == nil {
		return nil
	}
	return e.whisper.Sizes()
}

// voices lists the voices that are installed.
func (e *engines) voices() []string {
	if e.voice == nil {
		return nil
	}
	var names []string
	for _, v := range e.voice.Voices() {
		names = append(names, v.Name)
	}
	return names
}
