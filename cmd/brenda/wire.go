package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"brenda/pipeline"
	"brenda/pipeline/engine/natsstore"
	"brenda/pipeline/schedule"
	"brenda/pipeline/session"
	"brenda/realtime"
	"brenda/rest"
	"brenda/rest/ai"
	"brenda/rest/chaining"
	"brenda/rest/health"
	"brenda/rest/image"
	"brenda/rest/monitor"
	"brenda/rest/sessions"
	"brenda/rest/speech"
	"brenda/rest/vision"
)

// parts says which engines a command needs warm.
type parts struct{ LLM, STT, TTS bool }

// instance is all of Brenda, put together.
type instance struct {
	cfg     *config
	log     *slog.Logger
	engines *engines
	store   *natsstore.Store
	hub     *session.Hub
	calls   *realtime.Server
	monitor *monitor.Service
	images  *image.Service
	vision  *vision.Service
	labels  *labelTranslator
	handler http.Handler

	later    lateChildren                               // for /v1/monitor
	told     []func(context.Context) []health.Component // the parts that are not engines of the voice, for /ready
	draining atomic.Bool
	warmed   atomic.Bool
	stuck    chan struct{} // closed when warming failed
	stuckErr error         // set before that
	closers  []func() error
}

// newInstance puts Brenda together. Nothing heavy is started yet: warm does that.
func newInstance(ctx context.Context, cfg *config, log *slog.Logger) (*instance, error) {
	in := &instance{cfg: cfg, log: log, stuck: make(chan struct{})}
	eng, err := newEngines(context.WithoutCancel(ctx), cfg, log)
	if err != nil {
		return nil, err
	}
	in.engines = eng
	in.closers = append(in.closers, eng.Close)
	in.store, err = natsstore.Open(storeConfig(cfg, log))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("conversation store: %w", err), in.close())
	}
	in.closers = append(in.closers, in.store.Close)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := health.NewMetrics(reg, in.load)
	in.hub = session.New(session.Config{
		System: cfg.LLM.System, Voice: cfg.TTS.Voice, Language: cfg.STT.Language,
		ContextTokens: cfg.LLM.Context, MaxTokens: cfg.LLM.MaxTokens,
		MaxSessions: cfg.Limits.Sessions, Idle: cfg.History.Idle,
	}, eng.scheduled, in.store, turnLog{metrics, log}, log)
	in.calls = newCalls(cfg, eng, in.hub, metrics, log)
	if in.monitor, err = in.newMonitor(ctx, reg); err != nil {
		return nil, errors.Join(err, in.close())
	}
	if in.images, err = in.newImages(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(err, in.close())
	}
	if in.vision, err = in.newVision(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(err, in.close())
	}
	in.handler = rest.New(in.doors(), rest.Routes(in.features(reg)), metrics, log)
	return in, nil
}

// doors is what the configuration decides about who may come in.
func (in *instance) doors() rest.Config {
	c := in.cfg
	tokens := make([]string, len(c.Tokens))
	for i, t := range c.Tokens {
		tokens[i] = string(t)
	}
	return rest.Config{
		Hosts: c.Hosts, Tokens: tokens, Origins: c.CORS.Origins,
		Rate: c.Limits.Rate, Burst: c.Limits.Burst, Timeout: c.Limits.Request,
		BodyBudget: int64(c.Limits.Memory) << 20,
	}
}

// features builds the services behind the routes.
func (in *instance) features(reg *prometheus.Registry) rest.Features {
	talks := conversations{in.hub}
	names := speechNames{sizes: in.engines.sizes, voices: in.engines.voices}
	languages := []string{"fr", "en"}
	slow := batch{in.engines.scheduled, in.cfg.STT.Language}
	return rest.Features{
		AI: ai.New(in.engines.models, talks, in.engines.scheduled.LLM),
		Speech: speech.New(slow, slow, names, speech.Config{
			Languages: languages, StandIns: in.engines.standIns,
		}),
		Chaining: chaining.New(talks, chaining.Config{
			Models: in.engines.models.Models, Voices: names.Voices, Languages: languages,
		}),
		Translate: in.translator(),
		Sessions:  sessions.New(forgetful{storeArchive{in.store}, in.hub}),
		Health:    health.New(in.components, reg),
		Monitor:   in.monitor,
		Files:     in.newFiles(),
		Image:     in.images,
		Vision:    in.vision,
		Docs:      true,
		Media:     in.newMedia(slow, languages),
		Realtime:  in.calls,
		Page:      page(),
	}
}

// forgetful has a conversation that is removed forgotten by the live session too.
type forgetful struct {
	storeArchive
	hub *session.Hub
}

// Remove implements sessions.Archive.
func (f forgetful) Remove(ctx context.Context, id string) error {
	return errors.Join(f.storeArchive.Remove(ctx, id), f.hub.Session(id).Forget(ctx))
}

// turnLog writes one line for each turn, and counts it.
type turnLog struct {
	*health.Metrics
	log *slog.Logger
}

// TurnEnded implements session.Observer.
func (t turnLog) TurnEnded(id string, r pipeline.Result) {
	t.Metrics.TurnEnded(id, r)
	level, why := slog.LevelInfo, r.FinishReason
	if r.Err != nil {
		level, why = slog.LevelWarn, "failed"
	}
	t.log.Log(context.Background(), level, "turn ended", "session", id, "how", why, "error", r.Err,
		"vad", r.Timings.VAD, "stt", r.Timings.STT, "first_token", r.Timings.FirstToken,
		"first_chunk", r.Timings.FirstChunk, "first_audio", r.Timings.FirstAudio, "total", r.Timings.Total,
		"prompt_tokens", r.Usage.PromptTokens, "completion_tokens", r.Usage.CompletionTokens)
}

// load is what the metrics are asked for at each scrape.
func (in *instance) load() health.Load {
	if in.hub == nil {
		return health.Load{} // asked while things are put together
	}
	st := in.hub.Stats()
	return health.Load{Queues: in.engines.queues(), Sessions: st.Sessions, Turns: st.Turns, Calls: callLoad(in.calls)}
}

// components tells of every part, for /ready.
func (in *instance) components(ctx context.Context) []health.Component {
	cs := in.engines.components()
	for _, of := range in.told {
		cs = append(cs, of(ctx)...)
	}
	store := health.Component{Name: "history", State: health.Ready}
	if st := in.store.Stats(ctx); !st.Available {
		store.State, store.Detail = health.Degraded, "conversations are not kept for now"
	}
	server := health.Component{Name: "server", State: health.Ready, Required: true}
	switch {
	case in.draining.Load():
		server.State, server.Detail = health.Failed, "shutting down"
	case !in.warmed.Load():
		server.State, server.Detail = health.Loading, "warming up"
	}
	return append(cs, store, server)
}

// notes are what a person who starts the server should know.
func (in *instance) notes() []string {
	var out []string
	for _, c := range in.components(context.Background()) {
		if c.State != health.Ready && c.Detail != "" {
			out = append(out, c.Name+": "+c.Detail)
		}
	}
	return out
}

// warm has every wanted engine do a piece of work, so that the first person does not wait for it.
func (in *instance) warm(ctx context.Context, want parts) error {
	g, ctx := errgroup.WithContext(schedule.With(ctx, schedule.Batch))
	for part, wanted := range map[string]bool{"llm": want.LLM, "stt": want.STT, "tts": want.TTS} {
		if wanted {
			g.Go(func() error { return in.engines.warm(ctx, part) })
		}
	}
	err := g.Wait()
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return err
	}
	if err != nil {
		in.stuckErr = err
		close(in.stuck)
		return err
	}
	in.warmed.Store(true)
	for _, n := range in.notes() {
		in.log.Warn("not as configured", "what", n)
	}
	return nil
}

// close ends all parts, the newest first.
func (in *instance) close() error {
	var errs []error
	for _, end := range slices.Backward(in.closers) {
		errs = append(errs, end())
	}
	in.closers = nil
	return errors.Join(errs...)
}
