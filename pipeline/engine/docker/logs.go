package docker

import (
	"bufio"
	"context"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"

	"brenda/pipeline/vitals"
)

// reading is how long a log that has an end may take.
const reading = 30 * time.Second

// Logs emits the lines of a container's log, from both of its streams, in the order in which the daemon has them. opened
// is called before the first one, when the container is found and its log is open. With q.Follow it goes on until the
// container ends, ctx ends, or opened or emit fails.
func (e *Engine) Logs(
	ctx context.Context, ref string, q vitals.LogQuery, opened func(vitals.Container) error, emit func(vitals.Line) error,
) error {
	d, f, err := e.resolve(ctx, ref)
	if err != nil {
		return err
	}
	sctx, watch := watched(ctx, e.cfg.Wait)
	defer watch.stop()
	o := container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: q.Follow, Timestamps: q.Timestamps, Tail: strconv.Itoa(q.Tail),
	}
	if !q.Since.IsZero() {
		o.Since = q.Since.UTC().Format(time.RFC3339Nano)
	}
	body, err := d.ContainerLogs(sctx, f.ID, o)
	if err != nil {
		return e.failed(sctx, d, err)
	}
	defer body.Close()
	watch.rest() // a container may have nothing to say for days
	if !q.Follow {
		watch.within(reading)
	}
	if err := opened(f.Container); err != nil {
		return err
	}
	out := &lines{emit: emit, stamped: q.Timestamps}
	r := bufio.NewReaderSize(body, chunk)
	if f.tty {
		err = out.raw(r)
	} else {
		err = out.demux(r)
	}
	switch {
	case out.refused != nil:
		return out.refused
	case err != nil:
		return e.failed(sctx, d, err)
	case q.Follow && f.running:
		return e.ended(ctx, d, f)
	}
	return nil
}
