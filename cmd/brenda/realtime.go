package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"brenda/pipeline/session"
	"brenda/realtime"
	"brenda/realtime/protocol"
	"brenda/rest/health"
)

type realtimeConfig struct {
	Sessions  int `default:"64" help:"WebSocket conversations at the same time; beyond it, or on a busy machine, 503."`
	PerClient int `default:"32" help:"The same from one address; 0: all, as behind a reverse proxy."`
}

func (c *realtimeConfig) check() error {
	var errs []error
	if c.Sessions < 1 {
		errs = append(errs, fmt.Errorf("realtime.sessions: must be at least 1, is %d", c.Sessions))
	}
	if c.PerClient < 0 {
		errs = append(errs, fmt.Errorf("realtime.per-client: must be at least 0, is %d", c.PerClient))
	}
	return errors.Join(errs...)
}

// newCalls builds the WebSocket on the engines and conversations that REST has too.
func newCalls(cfg *config, e *engines, hub *session.Hub, watch realtime.Observer, log *slog.Logger) *realtime.Server {
	parts := realtime.Engines{VAD: e.ear.VAD, Ear: &e.ear, LLM: e.scheduled.LLM, Voice: e.scheduled.Voice}
	if e.turn != nil {
		parts.Turn = e.turn
	}
	return realtime.New(realtime.Config{
		Names:        func(ctx context.Context) protocol.Names { return e.names(ctx, log) },
		Instructions: cfg.LLM.System, Language: cfg.STT.Language,
		ContextTokens: cfg.LLM.Context, MaxTokens: cfg.LLM.MaxTokens,
		Sessions: cfg.Realtime.Sessions, PerClient: cfg.Realtime.PerClient,
		Pressure: cpuPressure, Watch: watch,
	}, parts, hub, log)
}

// callLoad is what the WebSocket is doing, for the metrics.
func callLoad(s *realtime.Server) health.Calls {
	if s == nil {
		return health.Calls{} // asked while things are put together
	}
	st := s.Stats()
	return health.Calls{
		Open: st.Calls, Away: st.Away, Late: st.Late, Lost: st.Lost, Resumed: st.Resumed, Refused: st.Refused,
	}
}

// names are what clients may ask for. Where the models cannot be listed, any name is taken, and the engine judges it.
func (e *engines) names(ctx context.Context, log *slog.Logger) protocol.Names {
	n := protocol.Names{
		Model: e.models.Default(), Transcriber: e.cfg.STT.Model, Voice: e.cfg.TTS.Voice,
		Transcribers: e.sizes(), Voices: e.voices(),
	}
	if in, ok := e.standIns[n.Transcriber]; ok {
		n.Transcriber = in
	}
	var err error
	if n.Models, err = e.models.Models(ctx); err != nil {
		log.Warn("models not listed", "error", err)
	}
	return n
}
