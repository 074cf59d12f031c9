package natsstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// natsLog passes what the server says on: its warnings as warnings, its chatter at debug. gaveUp is called
// when it says that a write failed, because whoever waits for that write gets no answer: the server only
// logs it.
type natsLog struct {
	log    *slog.Logger
	gaveUp func()
}

var _ server.Logger = (*natsLog)(nil)

func (l *natsLog) say(level slog.Level, format string, args []any) {
	ctx := context.Background() //nolint:forbidigo // the server's logger has none
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "conversation store", "nats", fmt.Sprintf(format, args...))
	}
}

// Errorf logs an error, and tells of the kind that ends a stream.
func (l *natsLog) Errorf(format string, v ...any) {
	l.say(slog.LevelWarn, format, v)
	if strings.Contains(format, "critical write error") {
		l.gaveUp()
	}
}

// Fatalf logs why the server cannot start.
func (l *natsLog) Fatalf(format string, v ...any) {
	l.say(slog.LevelError, format, v)
	l.gaveUp()
}

func (l *natsLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *natsLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
