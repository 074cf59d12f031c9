package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"brenda/pipeline/engine/docker"
	"brenda/pipeline/engine/host"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
	"brenda/rest/health"
	"brenda/rest/monitor"
)

type dockerConfig struct {
	Host    string        `env:"BRENDA_DOCKER_HOST,DOCKER_HOST" help:"The Docker daemon, unix:///path or tcp://host:port; default: the usual socket."`         //nolint:lll // a help text
	Certs   string        `env:"BRENDA_DOCKER_CERTS,DOCKER_CERT_PATH" placeholder:"DIR" help:"Folder of ca.pem, cert.pem and key.pem, for a daemon with TLS."` //nolint:lll // a help text
	Control bool          `default:"true" negatable:"" help:"Allow to start, stop and restart Brenda's containers."`
	Wait    time.Duration `default:"5s" help:"The longest wait for the Docker daemon's answer."`
}

// check returns every mistake, joined.
func (c *dockerConfig) check() error {
	var errs []error
	if c.Host != "" {
		if err := docker.CheckHost(c.Host); err != nil {
			errs = append(errs, fmt.Errorf("docker.host: %w", err))
		}
	}
	if c.Wait < time.Second || c.Wait > time.Minute {
		errs = append(errs, fmt.Errorf("docker.wait: must be from 1s to 1m, is %v", c.Wait))
	}
	return errors.Join(errs...)
}

// newMonitor begins to watch the machine, and builds the service that tells of it. Its streams end with ctx.
func (in *instance) newMonitor(ctx context.Context, reg prometheus.Registerer) (*monitor.Service, error) {
	c := in.cfg.Docker
	boxes, err := docker.New(docker.Config{
		Host: c.Host, Certs: c.Certs, Own: host.OwnContainer(), ReadOnly: !c.Control, Wait: c.Wait, Log: in.log,
	})
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	sampler := host.Start(context.WithoutCancel(ctx), host.Config{
		Disk: in.cfg.Data, Children: in.processes, Log: in.log,
	})
	reg.MustRegister(newProcessCollector(sampler.Children))
	watch := &dockerWatch{reach: boxes.Reachable, told: in.cfg.Docker.Host != ""}
	in.told = append(in.told, watch.components)
	in.closers = append(in.closers, sampler.Close, boxes.Close, watch.Close)
	return monitor.New(sampler, boxes, monitor.Config{Step: host.Step, Kept: host.Kept, End: ctx.Done()}), nil
}

// processes are the server and its engines.
func (in *instance) processes() []vitals.Child {
	all := []vitals.Child{{Name: "server", State: string(proc.Ready), PID: os.Getpid()}}
	add := func(name string, s proc.State) {
		all = append(all, vitals.Child{
			Name: name, State: string(s.Phase), PID: s.PID, Restarts: s.Restarts, Since: s.Since.UTC(), Reason: s.Reason,
		})
	}
	e := in.engines
	if e.whisper != nil {
		add("stt", e.whisper.State())
	}
	if e.llama != nil {
		for model, s := range e.llama.States() {
			add("llm "+model, s)
		}
	}
	if e.voice != nil {
		add("tts", e.voice.State())
	}
	if e.turn != nil {
		add("turn", e.turn.State())
	}
	in.later.each(func(name string, s proc.State) {
		if s.PID != 0 || s.Phase != proc.Stopped { // else nobody has needed it yet
			add(name, s)
		}
	})
	return all
}

// lateChildren are the engines' processes that start at their first use.
type lateChildren struct {
	mu   sync.Mutex // the sampler asks while the server is still being put together
	list []lateChild
}

type lateChild struct {
	name  string
	state func() proc.State
}

func (l *lateChildren) add(name string, state func() proc.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, lateChild{name, state})
}

func (l *lateChildren) each(tell func(name string, s proc.State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.list {
		tell(c.name, c.state())
	}
}

// processCollector gives Prometheus what Brenda's processes use.
type processCollector struct {
	children              func() []vitals.Child
	cpu, memory, restarts *prometheus.Desc
}

func newProcessCollector(children func() []vitals.Child) *processCollector {
	label := []string{"process"}
	return &processCollector{
		children: children,
		cpu:      prometheus.NewDesc("brenda_process_cpu_percent", "Processor that a process uses; 100 is one core.", label, nil),
		memory:   prometheus.NewDesc("brenda_process_resident_bytes", "Memory of a process, with mapped models.", label, nil),
		restarts: prometheus.NewDesc("brenda_process_restarts_total", "Starts of an engine beyond the first.", label, nil),
	}
}

// Describe lists the metrics.
func (c *processCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.cpu
	ch <- c.memory
	ch <- c.restarts
}

// Collect reads the metrics.
func (c *processCollector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c.children() {
		ch <- prometheus.MustNewConstMetric(c.cpu, prometheus.GaugeValue, p.CPUPercent, p.Name)
		ch <- prometheus.MustNewConstMetric(c.memory, prometheus.GaugeValue, float64(p.Memory), p.Name)
		ch <- prometheus.MustNewConstMetric(c.restarts, prometheus.CounterValue, float64(p.Restarts), p.Name)
	}
}

// dockerWatch remembers whether Docker answers, since /ready must not wait for it.
type dockerWatch struct {
	reach func(context.Context) error
	told  bool // a daemon is configured: that there is none is worth telling

	mu     sync.Mutex
	asked  time.Time
	known  bool
	err    error
	asking sync.WaitGroup
	closed bool
}

// dockerFresh is how long an answer is good for.
const dockerFresh = 10 * time.Second

// components tells of Docker as it was lately, and has it looked at again. A machine without Docker lacks nothing.
func (w *dockerWatch) components(ctx context.Context) []health.Component {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.asked) > dockerFresh && !w.closed {
		w.asked = now
		w.asking.Go(func() { w.look(context.WithoutCancel(ctx)) })
	}
	c := health.Component{Name: "containers", State: health.Ready}
	switch {
	case !w.known || w.err != nil && !w.told && !dockerThere():
		return nil
	case w.err != nil:
		c.State, c.Detail = health.Failed, fault.As(w.err).Msg
	}
	return []health.Component{c}
}

func (w *dockerWatch) look(ctx context.Context) {
	err := w.reach(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.err = true, err
}

// Close waits until nothing is looked at any more: the engine's own limit is on that.
func (w *dockerWatch) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.asking.Wait()
	return nil
}

// dockerThere tells whether a daemon's usual socket exists.
func dockerThere() bool {
	_, err := os.Stat(strings.TrimPrefix(docker.DefaultHost, "unix://"))
	return !errors.Is(err, fs.ErrNotExist)
}

// checkDocker looks whether the container routes can work.
func checkDocker(ctx context.Context, cfg *config) finding {
	f := finding{Name: "docker", State: fine}
	e, err := docker.New(docker.Config{
		Host: cfg.Docker.Host, Certs: cfg.Docker.Certs, Wait: cfg.Docker.Wait, Log: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		defer e.Close()
		err = e.Reachable(ctx)
	}
	switch {
	case err == nil:
		f.Says = "answers"
	case cfg.Docker.Host == "" && !dockerThere():
		f.Says = "not here; only the routes of containers need it"
	default:
		f.State, f.Says = warning, fault.As(err).Msg
		f.Mend = "start Docker, let this user use it (group docker), or correct DOCKER_HOST"
	}
	return f
}
