package files_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// kills is how often TestKilled kills each kind of write; the environment may ask for another number.
func kills(t *testing.T) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("BRENDA_TEST_FILES_KILLS")); err == nil {
		return n
	}
	return 50
}

// TestKilled kills the server at random moments of every kind of write. Once it runs again there is the old or the new, whole,
// and nothing else.
func TestKilled(t *testing.T) {
	bin, n := program(t), kills(t)
	all := kinds(t)
	var mu sync.Mutex
	var lines []string
	t.Cleanup(func() {
		slices.Sort(lines)
		t.Logf("%d kinds, %d kills each%s", len(all), n, strings.Join(lines, ""))
	})
	for name, k := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			counts := k.kill(t, bin, n)
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, fmt.Sprintf("\n%-18s %s", name, counts))
		})
	}
}

func (k kind) kill(t *testing.T, bin string, n int) string {
	t.Helper()
	root := memoryDir(t)
	if k.disk {
		mount(t, mkdir(t, root, "disk"), "16m")
	}
	c := startChild(t, bin, root, 0)
	k.before.put(t, c.root)
	older := state(t, c.root)
	runs := make([]time.Duration, 5)
	for i := range runs {
		runs[i] = k.run(t, c, time.Hour)
	}
	slices.Sort(runs)
	took := runs[len(runs)/2]
	newer := state(t, c.root)
	if maps.Equal(older, newer) {
		t.Fatal("it does nothing")
	}
	isOld, isNew, mixed := 0, 0, 0
	for range n {
		k.run(t, c, rand.N(took*11/10))
		c.kill()
		c = startChild(t, bin, c.root, 0)
		if k.after != nil {
			k.after(t, &c.server)
		}
		noLitter(t, c.root)
		switch now := state(t, c.root); {
		case maps.Equal(now, newer):
			isNew++
		case k.ready == nil && maps.Equal(now, older):
			isOld++
		case k.files && between(now, older, newer):
			mixed++
		default:
			t.Errorf("neither old nor new: %v", now)
		}
	}
	return fmt.Sprintf("in %5.1f ms: old %3d, new %3d, of some files %d", float64(took.Microseconds())/1000, isOld, isNew, mixed)
}

// run writes, and returns when that is done, or after a while when it is time to kill. It returns how long it took.
func (k kind) run(t *testing.T, c *child, most time.Duration) time.Duration {
	t.Helper()
	k.before.put(t, c.root)
	at := ""
	if k.ready != nil {
		at = k.ready(&c.server)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(ended)
		k.write(ctx, &c.server, at)
	}()
	wait(ended, most)
	took := time.Since(begin)
	if most < time.Hour {
		c.kill()
	}
	cancel()
	<-ended
	if most == time.Hour && k.after != nil {
		k.after(t, &c.server)
	}
	return took
}

// wait waits for an end, or for a time, which a timer would not meet where it is short.
func wait(ended <-chan struct{}, most time.Duration) {
	begin := time.Now()
	for most < 5*time.Millisecond && time.Since(begin) < most {
		runtime.Gosched()
	}
	timer := time.NewTimer(most - time.Since(begin))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
	}
}

// between tells whether each file is the old or the new one.
func between(now, older, newer map[string]string) bool {
	for _, paths := range []map[string]string{now, older, newer} {
		for name := range paths {
			if now[name] != older[name] && now[name] != newer[name] {
				return false
			}
		}
	}
	return true
}
