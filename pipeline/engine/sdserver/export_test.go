package sdserver

import "context"

// Root returns the address of an engine's server.
func Root(e *Engine) string { return e.peer.Root() }

// Abandon starts an engine's own server again.
func Abandon(e *Engine) { e.abandon() }

// Up waits until an engine's own server is ready.
func Up(ctx context.Context, e *Engine) error { return e.wait(ctx) }
