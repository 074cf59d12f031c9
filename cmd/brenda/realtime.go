package main

import (
	"context"
	"log/slog"

	"brenda/pipeline/session"
	"brenda/realtime"
	"brenda/realtime/protocol"
)

// newCalls builds the WebSocket on the engines and conversations that REST has too.
func newCalls(cfg *config, e *engines, hub *session.Hub, log *slog.Logger) *realtime.Server {
	parts := realtime.Engines{VAD: e.ear.VAD, Ear: &e.ear, LLM: e.scheduled.LLM, Voice: e.scheduled.Voice}
	if e.turn != nil {
		parts.Turn = e.turn
	}
	return realtime.New(realtime.Config{
		Names:        func(ctx context.Context) protocol.Names { return e.names(ctx, log) },
		Instructions: cfg.LLM.System, Language: cfg.STT.Language,
		ContextTokens: cfg.LLM.Context, MaxTokens: cfg.LLM.MaxTokens, Sessions: cfg.Realtime.Sessions,
	}, parts, hub, log)
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
