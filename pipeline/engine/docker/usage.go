package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
)

const (
	maxSample = 1 << 20          // bytes of one sample
	stall     = 20 * time.Second // a daemon sends a sample each second
)

// Stats emits what a container uses: once, or about once a second until the container ends, ctx ends or emit fails. A
// container that does not run has no figures: one sample says that it is not available.
func (e *Engine) Stats(ctx context.Context, ref string, stream bool, emit func(vitals.Container, vitals.Usage) error) error {
	d, f, err := e.resolve(ctx, ref)
	if err != nil {
		return err
	}
	if !f.running {
		return emit(f.Container, vitals.Usage{})
	}
	if !stream {
		ctx, cancel := e.soon(ctx)
		defer cancel()
		u, err := d.once(ctx, f.ID)
		if err != nil {
			return e.failed(ctx, d, err)
		}
		return emit(f.Container, u)
	}
	out := func(u vitals.Usage) error { return emit(f.Container, u) }
	over, err := e.samples(ctx, d, f.ID, out)
	if err != nil || !over {
		return err
	}
	if err := e.ended(ctx, d, f); err != nil {
		return err
	}
	return out(vitals.Usage{})
}

// once returns one sample, which the daemon takes one to two seconds for.
func (d *daemon) once(ctx context.Context, id string) (vitals.Usage, error) {
	res, err := d.ContainerStats(ctx, id, false)
	if err != nil {
		return vitals.Usage{}, err
	}
	defer res.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(io.LimitReader(res.Body, maxSample)).Decode(&s); err != nil {
		return vitals.Usage{}, err
	}
	return usage(&s), nil
}

// samples emits samples until the daemon sends no more (over) or one says that the container has stopped (over too).
func (e *Engine) samples(ctx context.Context, d *daemon, id string, emit func(vitals.Usage) error) (over bool, err error) {
	ctx, watch := watched(ctx, e.cfg.Wait)
	defer watch.stop()
	res, err := d.ContainerStats(ctx, id, true)
	if err != nil {
		return false, e.failed(ctx, d, err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxSample)
	for watch.within(e.stall); lines.Scan(); watch.within(e.stall) {
		var s container.StatsResponse
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return false, e.failed(ctx, d, err)
		}
		u := usage(&s)
		if !u.Available && s.Read.IsZero() {
			return true, nil
		}
		if s.PreCPUStats.SystemUsage == 0 {
			continue // the first one: there is nothing yet to compare it with
		}
		watch.rest() // a slow client is not the daemon's fault
		if err := emit(u); err != nil {
			return false, err
		}
	}
	if err := lines.Err(); err != nil {
		return false, e.failed(ctx, d, err)
	}
	return true, nil
}

// usage works a sample out as Docker's own command does.
func usage(s *container.StatsResponse) vitals.Usage {
	m := s.MemoryStats
	u := vitals.Usage{
		Available: !s.Read.IsZero() && s.CPUStats.SystemUsage > 0, At: s.Read, Processes: s.PidsStats.Current,
		CPUPercent: cpuPercent(s), MemoryUsage: m.Usage, MemoryLimit: m.Limit,
	}
	for _, cache := range []string{"total_inactive_file", "inactive_file"} { // cgroup v1, v2
		if c, ok := m.Stats[cache]; ok {
			if c < m.Usage {
				u.MemoryUsage -= c
			}
			break
		}
	}
	if u.MemoryLimit > 0 {
		u.MemoryPercent = float64(u.MemoryUsage) / float64(u.MemoryLimit) * 100
	}
	for _, n := range s.Networks {
		u.Received += n.RxBytes
		u.Sent += n.TxBytes
	}
	for _, b := range s.BlkioStats.IoServiceBytesRecursive {
		switch strings.ToLower(b.Op) {
		case "read":
			u.Read += b.Value
		case "write":
			u.Written += b.Value
		}
	}
	return u
}

// cpuPercent compares a sample with the one before: the container's share of all processors' time, times their number.
func cpuPercent(s *container.StatsResponse) float64 {
	used := float64(s.CPUStats.CPUUsage.TotalUsage) - float64(s.PreCPUStats.CPUUsage.TotalUsage)
	all := float64(s.CPUStats.SystemUsage) - float64(s.PreCPUStats.SystemUsage)
	cores := float64(s.CPUStats.OnlineCPUs)
	if cores == 0 {
		cores = float64(len(s.CPUStats.CPUUsage.PercpuUsage))
	}
	if used <= 0 || all <= 0 || s.PreCPUStats.SystemUsage == 0 {
		return 0
	}
	return used / all * cores * 100
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }

// watchdog ends a context whose daemon says nothing for too long.
type watchdog struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watched returns a context that ends with errSlow unless the watchdog is told within d that all is well.
func watched(ctx context.Context, d time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watchdog{time.AfterFunc(d, func() { cancel(errSlow) }), cancel}
}

func (w *watchdog) within(d time.Duration) { w.timer.Reset(d) }
func (w *watchdog) rest()                  { w.timer.Stop() }
func (w *watchdog) stop()                  { w.timer.Stop(); w.cancel(nil) }

// tooLong is the fault of a daemon that sends a piece without an end.
func tooLong() error {
	return fault.New(fault.Upstream, "docker_failed", "Docker sends what is not a stream of that kind")
}
