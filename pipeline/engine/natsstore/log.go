package natsstore

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// natsLog passes what the server says on: its warnings as warnings, its chatter at debug.
type natsLog struct{ log *slog.Logger }

var _ server.Logger = (*natsLog)(nil)

func (l *natsLog) say(level slog.Level, format string, args []any) {
	ctx := context.Background() //nolint:forbidigo // the server's logger has none
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "conversation store", "nats", fmt.Sprintf(format, args...))
	}
}

func (l *natsLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *natsLog) Errorf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }
func (l *natsLog) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l *natsLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
