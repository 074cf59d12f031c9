// Package host watches the machine, the cgroup that this process is in, the graphics processors, and Brenda's own children.
//
// A [Sampler] looks once a second, from a goroutine of its own, so that a question is answered from memory at once. What
// it tells is what Brenda may use: where a cgroup (v1 or v2) allows less than the machine has, as in a container, total
// memory is that limit and the processor's share is of that quota. Linux only.
package host

import (
	"context"
	"log/slog"
	"math"
	"os/exec"
	"sync"
	"time"

	"brenda/pipeline/vitals"
)

// How the history is kept.
const (
	Step = 5 * time.Second
	Kept = time.Hour

	interval = time.Second
	first    = 200 * time.Millisecond // until the first comparison of two readings
	steps    = int(Kept / Step)
)

// Config says what to watch.
type Config struct {
	Disk     string                // a folder, whose disk counts; it need not exist yet
	Children func() []vitals.Child // what runs now; only CPUPercent and Memory are filled in here; nil means none
	SMI      string                // the program nvidia-smi; empty means the one in PATH, if any
	Log      *slog.Logger          // nil means none
}

// Sampler watches until it is closed. All methods may be called from any goroutine.
type Sampler struct {
	cfg    Config
	log    *slog.Logger
	probe  probe
	cancel context.CancelFunc
	done   sync.WaitGroup
	ready  chan struct{} // closed after the first sample

	mu       sync.Mutex
	system   vitals.System
	children []vitals.Child
	gpus     []vitals.GPU
	history  []vitals.Point // a ring once it is full
	oldest   int
}

// probe reads figures as they are now.
type probe interface {
	// CPU returns the seconds that processors were busy, the seconds that they could have been, and how many may be used.
	CPU(ctx context.Context) (busy, all, cores float64, limited bool, err error)
	// Room returns memory, swap and disk.
	Room(ctx context.Context) (vitals.Memory, vitals.Swap, vitals.Disk, error)
	// Load returns the machine's load, and how long it runs.
	Load(ctx context.Context) ([]float64, uint64)
	// Process returns the seconds of processor that a process has used, and its resident memory.
	Process(ctx context.Context, pid int) (seconds float64, memory uint64, err error)
}

// Start begins to watch, until ctx ends or Close is called.
func Start(ctx context.Context, cfg Config) *Sampler {
	return start(ctx, cfg, newMachine("/", cfg.Disk))
}

func start(ctx context.Context, cfg Config, p probe) *Sampler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Children == nil {
		cfg.Children = func() []vitals.Child { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Sampler{cfg: cfg, log: cfg.Log, probe: p, cancel: cancel, ready: make(chan struct{})}
	s.done.Go(func() { s.watch(ctx) })
	if smi, err := exec.LookPath(orElse(cfg.SMI, "nvidia-smi")); err == nil {
		s.done.Go(func() { s.watchGPUs(ctx, smi) })
	}
	return s
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Close ends the watching. It may be called twice; what was seen last is still told.
func (s *Sampler) Close() error {
	s.cancel()
	s.done.Wait()
	return nil
}

// System returns the newest sample. Only in the first moments after Start it waits for one.
func (s *Sampler) System(ctx context.Context) (vitals.System, error) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return vitals.System{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.system
	out.GPUs = append([]vitals.GPU(nil), s.gpus...)
	return out, nil
}

// History returns the steps of the last while, at most Kept, the oldest first.
func (s *Sampler) History(last time.Duration) []vitals.Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.history), int(last/Step))
	out := make([]vitals.Point, 0, n)
	for i := len(s.history) - n; i < len(s.history); i++ {
		out = append(out, s.history[(s.oldest+i)%len(s.history)])
	}
	return out
}

// Children returns what Brenda's processes used lately.
func (s *Sampler) Children() []vitals.Child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]vitals.Child{}, s.children...)
}

// reading is what is compared with the next one.
type reading struct {
	at        time.Time
	busy, all float64
	processes map[int]float64
}

// watch takes the samples.
func (s *Sampler) watch(ctx context.Context) {
	last := s.read(ctx)
	tick := time.NewTimer(first)
	defer tick.Stop()
	var step mean
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tick.Reset(interval)
		last = s.sample(ctx, last)
		step.add(s.system.CPUPercent)
		if step.n == int(Step/interval) {
			s.keep(step.take())
		}
	}
}

// mean is a mean in the making.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) { m.sum += v; m.n++ }

func (m *mean) take() float64 {
	v := m.sum / float64(m.n)
	*m = mean{}
	return v
}

func (s *Sampler) read(ctx context.Context) reading {
	r := reading{at: time.Now(), processes: map[int]float64{}}
	r.busy, r.all, _, _, _ = s.probe.CPU(ctx) // what cannot be read is told of by sample
	for _, c := range s.cfg.Children() {
		if c.PID > 0 {
			r.processes[c.PID], _, _ = s.probe.Process(ctx, c.PID)
		}
	}
	return r
}

// sample compares the present with the reading before, makes the result known, and returns the present's reading.
func (s *Sampler) sample(ctx context.Context, before reading) reading {
	now := reading{at: time.Now(), processes: map[int]float64{}}
	sys := vitals.System{At: now.at.UTC()}
	var err error
	now.busy, now.all, sys.Cores, sys.CPULimited, err = s.probe.CPU(ctx)
	if err != nil {
		s.log.DebugContext(ctx, "processor not read", "error", err)
	}
	sys.CPUPercent = share(now.busy-before.busy, now.all-before.all)
	if sys.Memory, sys.Swap, sys.Disk, err = s.probe.Room(ctx); err != nil {
		s.log.DebugContext(ctx, "memory or disk not read", "error", err)
	}
	sys.Load, sys.Uptime = s.probe.Load(ctx)
	children := s.cfg.Children()
	for i := range children {
		s.fill(ctx, &children[i], before, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.system, s.children = sys, children
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
	return now
}

// fill adds what a child uses.
func (s *Sampler) fill(ctx context.Context, c *vitals.Child, before, now reading) {
	if c.PID <= 0 {
		return
	}
	used, memory, err := s.probe.Process(ctx, c.PID)
	if err != nil {
		return // it has just ended
	}
	c.Memory, now.processes[c.PID] = memory, used
	if was, ok := before.processes[c.PID]; ok && used >= was {
		c.CPUPercent = finite((used - was) / now.at.Sub(before.at).Seconds() * 100)
	}
}

// keep adds a step to the history.
func (s *Sampler) keep(cpu float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sys := s.system
	p := vitals.Point{
		At: sys.At, CPUPercent: cpu, MemoryPercent: sys.Memory.Percent,
		MemoryUsed: sys.Memory.Total - sys.Memory.Available, DiskPercent: sys.Disk.Percent,
	}
	if len(s.history) < steps {
		s.history = append(s.history, p)
		return
	}
	s.history[s.oldest] = p
	s.oldest = (s.oldest + 1) % steps
}

// share returns part of whole in percent, 0…100.
func share(part, whole float64) float64 {
	if whole <= 0 || part <= 0 {
		return 0
	}
	return min(part/whole*100, 100)
}

// finite returns v, or 0 for what JSON has no number for.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
