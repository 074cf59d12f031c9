package natsstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// The environment that turns the test binary into a child.
const (
	childRole = "NATSSTORE_TEST_CHILD"
	childDir  = "NATSSTORE_TEST_DIR"
)

func childMain() bool {
	switch dir := os.Getenv(childDir); os.Getenv(childRole) {
	case "append":
		childAppend(dir)
	case "limited":
		childLimited(dir)
	default:
		return false
	}
	return true
}

// childAppend appends turns to two sessions until it is killed, and says so after each.
func childAppend(dir string) {
	s, err := Open(Config{Dir: dir, MaxTurns: 100000})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	ctx := context.Background()
	ids := []string{"first.session", "second"}
	next := map[string]uint64{}
	for _, id := range ids {
		rec, err := s.Open(ctx, id)
		if err != nil {
			fmt.Println("error", err)
			return
		}
		next[id] = uint64(len(rec.Turns)) + 1
	}
	fmt.Println("ready")
	for {
		for _, id := range ids {
			if err := s.Append(ctx, id, turn(next[id])); err != nil {
				fmt.Println("error", err)
				return
			}
			fmt.Println("acked", id, next[id])
			next[id]++
		}
	}
}

func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir)
	cmd.Stderr = t.Output()
	return cmd
}

// TestKillNine kills a process that appends, again and again at moments of no choice, and looks whether
// what it was told is safe is there: all of it, in order, once.
func TestKillNine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	acked := map[string]uint64{}
	for round := range 12 {
		cmd := child(t, "append", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		seen, limit := 0, 1+rand.IntN(60)
		for lines.Scan() {
			var id string
			var n uint64
			if _, err := fmt.Sscanf(lines.Text(), "acked %s %d", &id, &n); err == nil {
				acked[id] = n
			} else if lines.Text() != "ready" {
				t.Errorf("child: %s", lines.Text())
			} else if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrInUse) {
				t.Errorf("a second process got the store: %v", err)
			}
			if seen++; seen == limit { // some way into the next write, not at its end
				timer := time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { cmd.Process.Kill() })
				defer timer.Stop()
			}
		}
		cmd.Wait()

		s := open(t, Config{Dir: dir, MaxTurns: 100000})
		for id, n := range acked {
			rec, err := s.Show(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			got := uint64(len(rec.Turns))
			if got < n || got > n+1 { // one more may be written and not yet acknowledged
				t.Fatalf("round %d: %s has %d turns, %d were acknowledged", round, id, got, n)
			}
			wantTurns(t, rec, 1, got)
			acked[id] = got
		}
		if aside, _ := filepath.Glob(dir + ".bad-*"); len(aside) > 0 {
			t.Fatalf("round %d: a kill was taken for damage: %v", round, aside)
		}
		s.Close()
	}
	t.Logf("acknowledged over all rounds: %v", acked)
}

// damages are what a bad disk or a careless hand can do to the store's files.
func damages() map[string]func(t *testing.T, dir string) {
	files := func(t *testing.T, dir, suffix string) []string {
		t.Helper()
		var found []string
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, _ error) error {
			if strings.HasSuffix(p, suffix) && !d.IsDir() {
				found = append(found, p)
			}
			return nil
		})
		if len(found) == 0 {
			t.Fatalf("no %s below %s", suffix, dir)
		}
		return found
	}
	rewrite := func(suffix string, f func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			for _, p := range files(t, dir, suffix) {
				data, err := os.ReadFile(p)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, f(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	zero := func(b []byte) []byte { return make([]byte, len(b)) }
	empty := func([]byte) []byte { return nil }
	noise := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return b
	}
	return map[string]func(*testing.T, string){
		"stream configuration zeroed": rewrite("meta.inf", zero),
		"stream configuration empty":  rewrite("meta.inf", empty),
		"checksum noise":              rewrite("meta.sum", noise),
		"streams gone": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(filepath.Join(dir, "jetstream")); err != nil {
				t.Fatal(err)
			}
		},
		"a file for a folder": func(t *testing.T, dir string) {
			t.Helper()
			js := filepath.Join(dir, "jetstream")
			if err := errors.Join(os.RemoveAll(js), os.WriteFile(js, []byte("x"), 0o600)); err != nil {
				t.Fatal(err)
			}
		},
		"starts that end in a crash": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, startingFile), []byte("3"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestDamagedStoreIsMovedAside(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			s := open(t, Config{Dir: dir})
			appendTurns(t, s, "a", 1, 5)
			s.Close()
			damage(t, dir)

			var log bytes.Buffer
			s = open(t, Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if rec, err := s.Open(t.Context(), "a"); err != nil || len(rec.Turns) != 0 {
				t.Fatalf("%v %v\n%s", rec, err, log.String())
			}
			appendTurns(t, s, "a", 1, 2)
			if aside, _ := filepath.Glob(dir + ".bad-*"); len(aside) != 1 || !strings.Contains(log.String(), "DAMAGED") {
				t.Errorf("moved aside: %v, log:\n%s", aside, log.String())
			}
			s.Close()
			s = open(t, Config{Dir: dir})
			rec, err := s.Show(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			wantTurns(t, rec, 1, 2)
		})
	}
}

// TestBitRot changes bytes anywhere in the message files. What is left must be served, and new turns kept.
func TestBitRot(t *testing.T) {
	for i := range 12 {
		dir := filepath.Join(t.TempDir(), "state")
		s := open(t, Config{Dir: dir})
		appendTurns(t, s, "a", 1, 20)
		s.Close()
		var all []string
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, _ error) error {
			if !d.IsDir() && !strings.HasSuffix(p, startingFile) {
				all = append(all, p)
			}
			return nil
		})
		p := all[i%len(all)]
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + len(data)/100 {
			if len(data) > 0 {
				data[rand.IntN(len(data))] ^= byte(1 + rand.IntN(255))
			}
		}
		if i%3 == 0 {
			data = data[:len(data)/2]
		}
		os.WriteFile(p, data, 0o600)

		s = open(t, Config{Dir: dir})
		rec, err := s.Open(t.Context(), "a")
		if err != nil { // a message that cannot be read is found when it is read; after that the store mends itself
			rec, err = s.Open(t.Context(), "a")
		}
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		t.Logf("%s: %d of 20 turns left", strings.TrimPrefix(p, dir), len(rec.Turns))
		if strings.HasSuffix(p, layoutFile) && len(rec.Turns) != 20 {
			t.Errorf("%s: only %d turns are left", p, len(rec.Turns))
		}
		for _, u := range rec.Turns {
			if !reflect.DeepEqual(u, turn(u.Number)) {
				t.Errorf("%s: a turn was changed: %v", p, u)
			}
		}
		appendTurns(t, s, "a", 21, 22)
		s.Close()
	}
}

// TestFullDisk fills a small file system below the store, with and without the reserve.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: the file system cannot be mounted; TestFileSizeLimit shows the same")
		return
	}
	for name, minFree := range map[string]int64{"reserve": 1 << 20, "no reserve": -1} {
		t.Run(name, func(t *testing.T) {
			disk := t.TempDir()
			if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(disk, 0) })
			s := open(t, Config{Dir: filepath.Join(disk, "state"), MinFree: minFree})
			appendTurns(t, s, "a", 1, 3)
			filler := filepath.Join(disk, "filler")
			fill(t, filler)
			n := untilRefused(t, s, 4)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			afterwards(t, s, n)
			if aside, _ := filepath.Glob(filepath.Join(disk, "state.bad-*")); len(aside) > 0 {
				t.Errorf("a full disk was taken for damage: %v", aside)
			}
		})
	}
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// untilRefused appends big turns from number n on until the store says that it cannot, and returns the
// refused number.
func untilRefused(t *testing.T, s *Store, n uint64) uint64 {
	t.Helper()
	for ; n < 10000; n++ {
		tr := turn(n)
		tr.Assistant = strings.Repeat("plein ", 5000)
		if err := s.Append(t.Context(), "a", tr); err != nil {
			if f := fault.As(err); f.Kind != fault.Unavailable || f.Code != "history_unavailable" {
				t.Fatalf("turn %d: %v", n, err)
			}
			return n
		}
	}
	t.Fatal("the disk was never full")
	return 0
}

// afterwards checks that the store works again and kept turns 1..3 and what was acknowledged before n.
func afterwards(t *testing.T, s *Store, n uint64) {
	t.Helper()
	for range 2 { // the first call may be the one that finds the server inside broken
		_, _ = s.Show(t.Context(), "a")
	}
	if err := s.Append(t.Context(), "a", turn(n+1)); err != nil {
		t.Fatalf("after space was made: %v", err)
	}
	rec, err := s.Show(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[uint64]bool{}
	for _, u := range rec.Turns {
		if numbers[u.Number] {
			t.Errorf("turn %d twice", u.Number)
		}
		numbers[u.Number] = true
	}
	for want := uint64(1); want <= n+1; want++ {
		if !numbers[want] && want != n { // n itself was refused; it may or may not be there
			t.Errorf("turn %d was acknowledged and is gone", want)
		}
	}
}

// TestFileSizeLimit lets writes fail without any right to mount: the kernel refuses files over a size.
func TestFileSizeLimit(t *testing.T) {
	cmd := child(t, "limited", filepath.Join(t.TempDir(), "state"))
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte("recovered")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// childLimited appends until the limit stops it, lifts the limit and goes on.
func childLimited(dir string) {
	check := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	s, err := Open(Config{Dir: dir, MinFree: -1, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	check(err)
	s.retryDelay = 0
	ctx := context.Background()
	check(s.Append(ctx, "a", turn(1)))
	var old unix.Rlimit
	check(unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	check(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100_000, Max: old.Max}))
	n, refused := uint64(2), error(nil)
	for ; refused == nil && n < 1000; n++ {
		tr := turn(n)
		tr.Assistant = strings.Repeat("plein ", 1000)
		refused = s.Append(ctx, "a", tr)
	}
	if f := fault.As(refused); f == nil || f.Code != "history_unavailable" {
		check(fmt.Errorf("turn %d: %w", n, refused))
	}
	check(unix.Setrlimit(unix.RLIMIT_FSIZE, &old))
	check(s.Append(ctx, "a", turn(n+1)))
	rec, err := s.Show(ctx, "a")
	check(err)
	if got := len(rec.Turns); got < int(n)-1 || got > int(n) || rec.Turns[got-1].Number != n+1 {
		check(fmt.Errorf("%d turns, the last refused was %d", got, n-1))
	}
	check(s.Close())
	fmt.Println("recovered")
}
