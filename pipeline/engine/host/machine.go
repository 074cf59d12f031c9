package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/process"

	"brenda/pipeline/vitals"
)

// machine reads the real machine.
type machine struct {
	group *cgroup
	disk  string
	cores int // of the machine
	boot  uint64
	begin time.Time
}

// newMachine returns the machine whose file system begins at root.
func newMachine(root, disk string) *machine {
	m := &machine{group: findCgroup(root), disk: disk, begin: time.Now()}
	var err error
	if m.cores, err = cpu.Counts(true); err != nil || m.cores < 1 {
		m.cores = runtime.NumCPU()
	}
	m.boot, _ = host.BootTime() // 0: the uptime is not told
	return m
}

// CPU implements probe. Where a cgroup allows fewer processors than there are, the cgroup is what is measured: its own use
// against its quota.
func (m *machine) CPU(ctx context.Context) (busy, all, cores float64, limited bool, err error) {
	cores = float64(min(m.cores, runtime.NumCPU())) // the latter knows of a cpuset
	if quota := m.group.quota(); quota > 0 && quota < cores {
		cores = quota
	}
	if cores < float64(m.cores) {
		if busy, err = m.group.used(); err == nil {
			return busy, time.Since(m.begin).Seconds() * cores, cores, true, nil
		}
	}
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(times) == 0 {
		return 0, 0, cores, false, errors.Join(err, errors.New("the machine's processors tell nothing"))
	}
	t := times[0]
	all = t.User + t.System + t.Nice + t.Idle + t.Iowait + t.Irq + t.Softirq + t.Steal // guests are within User
	return all - t.Idle - t.Iowait, all, float64(m.cores), false, nil
}

// Room implements probe.
func (m *machine) Room(ctx context.Context) (vitals.Memory, vitals.Swap, vitals.Disk, error) {
	var (
		memory vitals.Memory
		swap   vitals.Swap
		space  vitals.Disk
	)
	v, memErr := mem.VirtualMemoryWithContext(ctx)
	if memErr == nil {
		memory = m.group.room(vitals.Memory{Total: v.Total, Available: min(v.Available, v.Total)})
		memory.Percent = share(float64(memory.Total-memory.Available), float64(memory.Total))
	}
	if s, err := mem.SwapMemoryWithContext(ctx); err == nil {
		swap = vitals.Swap{Total: s.Total, Used: s.Used, Percent: share(float64(s.Used), float64(s.Total))}
	}
	d, diskErr := disk.UsageWithContext(ctx, existing(m.disk))
	if diskErr == nil {
		space = vitals.Disk{Total: d.Total, Used: d.Used, Free: d.Free, Percent: finite(d.UsedPercent)}
	}
	return memory, swap, space, errors.Join(memErr, diskErr)
}

// existing returns the nearest folder above dir that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// Load implements probe.
func (m *machine) Load(ctx context.Context) ([]float64, uint64) {
	var up uint64
	if now := uint64(max(time.Now().Unix(), 0)); m.boot > 0 && now > m.boot { //nolint:gosec // not before 1970
		up = now - m.boot
	}
	l, err := load.AvgWithContext(ctx)
	if err != nil {
		return nil, up
	}
	return []float64{l.Load1, l.Load5, l.Load15}, up
}

// Process implements probe.
func (m *machine) Process(ctx context.Context, pid int) (seconds float64, memory uint64, err error) {
	p := process.Process{Pid: int32(pid)} //nolint:gosec // Linux has no longer ones
	t, err := p.TimesWithContext(ctx)
	if err != nil {
		return 0, 0, err
	}
	r, err := p.MemoryInfoWithContext(ctx)
	if err != nil {
		return 0, 0, err
	}
	return t.User + t.System, r.RSS, nil
}
