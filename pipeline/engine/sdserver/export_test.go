package sdserver

// Root returns the address of an engine's server.
func Root(e *Engine) string { return e.peer.Root() }

// Abandon starts an engine's own server again.
func Abandon(e *Engine) { e.abandon() }
