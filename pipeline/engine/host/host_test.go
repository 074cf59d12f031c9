package host

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline/vitals"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree writes files into a folder that stands for the root of a file system.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	v1Mounts = `265 264 0:100 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
266 265 0:29 /docker/07f2 /sys/fs/cgroup/cpu ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu
267 265 0:30 /docker/07f2 /sys/fs/cgroup/cpuacct ro,nosuid - cgroup cgroup rw,cpuacct
269 265 0:32 /docker/07f2 /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
`
	v1Paths  = "4:memory:/docker/07f2\n2:cpuacct:/docker/07f2\n1:cpu:/docker/07f2\n0::/\n"
	v2Mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	gb       = 1 << 30
)

// TestCgroups: limits as they are found in containers and out of them, of both versions.
func TestCgroups(t *testing.T) {
	const cg = "sys/fs/cgroup/"
	for name, c := range map[string]struct {
		mounts, paths string
		files         map[string]string
		quota, used   float64
		total, avail  uint64 // of 16 and 10 GB
	}{
		"no cgroups": {"", "", nil, 0, 0, 16 * gb, 10 * gb},
		"v1 in a container": {v1Mounts, v1Paths, map[string]string{
			cg + "cpu/cpu.cfs_quota_us": "50000\n", cg + "cpu/cpu.cfs_period_us": "100000\n", cg + "cpuacct/cpuacct.usage": "2500000000\n",
			cg + "memory/memory.limit_in_bytes": "1073741824\n", cg + "memory/memory.usage_in_bytes": "536870912\n",
			cg + "memory/memory.stat": "cache 1\ninactive_file 7\ntotal_inactive_file 268435456\n",
		}, 0.5, 2.5, gb, gb * 3 / 4},
		"v1 without limits": {v1Mounts, v1Paths, map[string]string{
			cg + "cpu/cpu.cfs_quota_us": "-1\n", cg + "cpu/cpu.cfs_period_us": "100000\n", cg + "cpuacct/cpuacct.usage": "1000000000\n",
			cg + "memory/memory.limit_in_bytes": "9223372036854771712\n", cg + "memory/memory.usage_in_bytes": "5\n",
		}, 0, 1, 16 * gb, 10 * gb},
		"v1 both controllers in one mount": {
			strings.ReplaceAll(strings.ReplaceAll(v1Mounts, "cgroup/cpu ", "cgroup/cpu,cpuacct "), "rw,cpu\n", "rw,cpu,cpuacct\n"),
			strings.ReplaceAll(v1Paths, "1:cpu:", "1:cpu,cpuacct:"),
			map[string]string{
				cg + "cpu,cpuacct/cpu.cfs_quota_us": "150000\n", cg + "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
				cg + "cpu,cpuacct/cpuacct.usage": "3000000000\n",
			},
			1.5, 3, 16 * gb, 10 * gb,
		},
		"v2 in a container": {v2Mounts, "0::/\n", map[string]string{
			cg + "cpu.max": "200000 100000\n", cg + "cpu.stat": "usage_usec 7000000\nuser_usec 5\n",
			cg + "memory.max": "2147483648\n", cg + "memory.current": "1073741824\n", cg + "memory.stat": "anon 5\ninactive_file 0\n",
		}, 2, 7, 2 * gb, gb},
		"v2 of a service, its slice is narrower": {v2Mounts, "0::/a.slice/b.service\n", map[string]string{
			cg + "a.slice/b.service/cpu.max": "max 100000\n", cg + "a.slice/b.service/cpu.stat": "usage_usec 1500000\n",
			cg + "a.slice/b.service/memory.max": "4294967296\n", cg + "a.slice/b.service/memory.current": "100\n",
			cg + "a.slice/cpu.max": "25000 100000\n", cg + "a.slice/memory.max": "3221225472\n", cg + "a.slice/memory.current": "3221225472\n",
			cg + "cgroup.controllers": "cpu memory\n",
		}, 0.25, 1.5, 3 * gb, 0},
		"v2 without limits": {v2Mounts, "0::/x\n", map[string]string{
			cg + "x/cpu.max": "max 100000\n", cg + "x/memory.max": "max\n", cg + "x/memory.current": "12\n",
		}, 0, 0, 16 * gb, 10 * gb},
		"a limit above what there is": {v2Mounts, "0::/\n", map[string]string{cg + "memory.max": "68719476736\n", cg + "memory.current": "0\n"}, 0, 0, 16 * gb, 10 * gb},
		"more used than allowed":      {v2Mounts, "0::/\n", map[string]string{cg + "memory.max": "1024\n", cg + "memory.current": "4096\n"}, 0, 0, 1024, 0},
		"hybrid": {v1Mounts + v2Mounts, v1Paths, map[string]string{
			cg + "memory/memory.limit_in_bytes": "1073741824\n", cg + "memory/memory.usage_in_bytes": "0\n",
		}, 0, 0, gb, gb},
		"a path out of the mount": {v2Mounts, "0::/../../etc\n", map[string]string{cg + "cpu.max": "100000 100000\n"}, 1, 0, 16 * gb, 10 * gb},
		"nonsense":                {v2Mounts + "x y z\n - \n", "::::\nq\n", map[string]string{cg + "cpu.max": "a b\n", cg + "memory.max": "-5\n", cg + "memory.current": "?"}, 0, 0, 16 * gb, 10 * gb},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"proc/self/mountinfo": c.mounts, "proc/self/cgroup": c.paths}
			maps.Copy(files, c.files)
			g := findCgroup(tree(t, files))
			used, err := g.used()
			if q := g.quota(); q != c.quota || used != c.used || (err == nil) != (c.used > 0) {
				t.Errorf("quota %v, used %v, %v; want %v, %v", q, used, err, c.quota, c.used)
			}
			m := g.room(vitals.Memory{Total: 16 * gb, Available: 10 * gb})
			if m.Total != c.total || m.Available != c.avail || m.Limited != (c.total < 16*gb) {
				t.Errorf("memory %+v, want %d of %d", m, c.avail, c.total)
			}
		})
	}
}

func TestOwnContainer(t *testing.T) {
	id := strings.Repeat("07f26f49", 8)
	for name, c := range map[string]struct{ mounts, groups, want string }{
		"by its files":    {"283 260 254:0 /var/lib/docker/containers/" + id + "/hosts /etc/hosts rw - ext4 /dev/vda rw\n", "0::/\n", id},
		"by its cgroup":   {"", "4:memory:/docker/" + id + "\n", id},
		"by systemd's":    {"", "0::/system.slice/docker-" + id + ".scope\n", id},
		"none":            {v2Mounts, "0::/user.slice\n", ""},
		"another's files": {"283 260 254:0 /var/lib/docker/containers/" + id + "/hosts /mnt rw - ext4 /dev/vda rw\n", "", ""},
	} {
		if got := ownContainer(tree(t, map[string]string{"proc/self/mountinfo": c.mounts, "proc/self/cgroup": c.groups})); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := ownContainer(t.TempDir()); got != "" {
		t.Errorf("without /proc: %q", got)
	}
}

// fakeProbe is a machine whose clock is the test's: of each second it is busy for a share.
type fakeProbe struct {
	begin time.Time
	busy  float64
	fails atomic.Bool
}

func (f *fakeProbe) CPU(context.Context) (busy, all, cores float64, limited bool, err error) {
	if f.fails.Load() {
		return 0, 0, 4, false, errors.New("gone")
	}
	s := time.Since(f.begin).Seconds()
	return s * f.busy, s, 4, true, nil
}

func (f *fakeProbe) Room(context.Context) (vitals.Memory, vitals.Swap, vitals.Disk, error) {
	return vitals.Memory{Total: 100, Available: 60, Percent: 40}, vitals.Swap{}, vitals.Disk{Percent: 7}, nil
}
func (f *fakeProbe) Load(context.Context) ([]float64, uint64) { return []float64{1, 2, 3}, 5 }
func (f *fakeProbe) Process(_ context.Context, pid int) (float64, uint64, error) {
	if pid != 7 {
		return 0, 0, os.ErrNotExist
	}
	return time.Since(f.begin).Seconds() * 1.5, 1234, nil
}

func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{begin: time.Now(), busy: 0.25}
		s := start(t.Context(), Config{SMI: "/nonexistent", Children: func() []vitals.Child {
			return []vitals.Child{{Name: "a", PID: 7, Restarts: 2}, {Name: "b"}, {Name: "gone", PID: 8}}
		}}, p)
		begin := time.Now()
		sys, err := s.System(t.Context()) // waits for the first one
		if waited := time.Since(begin); err != nil || waited != first || math.Abs(sys.CPUPercent-25) > 1e-9 || sys.Memory.Available != 60 || !sys.CPULimited {
			t.Errorf("after %v: %+v, %v", waited, sys, err)
		}
		time.Sleep(2 * Kept) // the bubble's clock
		synctest.Wait()
		all := s.History(Kept)
		if len(all) != steps || len(s.History(time.Minute)) != 12 || len(s.History(100*Kept)) != steps {
			t.Fatalf("history of %d steps", len(all))
		}
		for i, pt := range all {
			if math.Abs(pt.CPUPercent-25) > 1e-6 || pt.MemoryUsed != 40 || i > 0 && pt.At.Sub(all[i-1].At) != Step {
				t.Fatalf("step %d: %+v after %v", i, pt, all[max(i-1, 0)].At)
			}
		}
		if age := time.Since(all[steps-1].At); age > Step {
			t.Errorf("the newest step is %v old", age)
		}
		if last := s.History(time.Minute); last[11] != all[steps-1] {
			t.Error("a short history is not the end of the long one")
		}
		c := s.Children()
		if len(c) != 3 || math.Abs(c[0].CPUPercent-150) > 1e-6 || c[0].Memory != 1234 || c[0].Restarts != 2 || c[1].Memory != 0 || c[2].CPUPercent != 0 {
			t.Errorf("children %+v", c)
		}
		p.fails.Store(true)
		time.Sleep(2 * interval)
		if sys, err := s.System(t.Context()); err != nil || sys.CPUPercent != 0 || sys.Memory.Total != 100 {
			t.Errorf("without a processor: %+v, %v", sys, err)
		}
		p.fails.Store(false)
		time.Sleep(3 * interval)
		if sys, _ := s.System(t.Context()); math.Abs(sys.CPUPercent-25) > 1e-6 {
			t.Errorf("afterwards: %+v", sys)
		}
		s.Close()
		s.Close()
	})
}

func TestSystemLeftBeforeTheFirstSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t.Context(), Config{SMI: "/nonexistent"}, &fakeProbe{begin: time.Now()})
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.System(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestThisMachine: the real figures make sense.
func TestThisMachine(t *testing.T) {
	s := Start(t.Context(), Config{Disk: filepath.Join(t.TempDir(), "not", "yet"), Children: func() []vitals.Child {
		return []vitals.Child{{Name: "self", PID: os.Getpid()}}
	}})
	defer s.Close()
	sys, err := s.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, d := sys.Memory, sys.Disk
	if sys.Cores <= 0 || sys.Cores > float64(runtime.NumCPU()) || sys.CPUPercent < 0 || sys.CPUPercent > 100 || sys.Uptime == 0 || len(sys.Load) != 3 ||
		m.Total == 0 || m.Available == 0 || m.Available > m.Total || m.Percent <= 0 || m.Percent > 100 ||
		d.Total == 0 || d.Free > d.Total || d.Percent <= 0 || d.Percent > 100 {
		t.Errorf("%+v", sys)
	}
	if c := s.Children(); len(c) != 1 || c[0].Memory < 1<<20 || c[0].CPUPercent < 0 {
		t.Errorf("%+v", c)
	}
}
