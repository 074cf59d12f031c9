package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// The test binary is its own child: roleVar says what it plays.
const roleVar = "BRENDA_PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func play(role string) error {
	role, arg, _ := strings.Cut(role, ":")
	switch role {
	case "worker":
		r, w, err := Stdio()
		if err != nil {
			return err
		}
		return Serve(context.Background(), r, w, handlers())
	case "crash":
		fmt.Fprintln(os.Stderr, "a last word")
		os.Exit(3)
	case "crash-unless": // crashes until the file exists
		if _, err := os.Stat(arg); err != nil {
			os.Exit(3)
		}
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case "exit137":
		os.Exit(137)
	case "idle":
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case "stubborn": // obeys neither TERM nor the end of stdin, and has a child of its own
		signal.Ignore(syscall.SIGTERM)
		if arg != "" {
			c := os.Getpid()
			p, err := os.StartProcess("/proc/self/exe", os.Args[:1], &os.ProcAttr{
				Env:   append(os.Environ(), roleVar+"=stubborn"),
				Files: []*os.File{nil, os.Stdout, os.Stderr},
			})
			if err != nil {
				return err
			}
			return writeThenHang(arg, fmt.Sprintf("%d %d", c, p.Pid))
		}
		<-time.After(time.Hour) // not for ever, which the runtime takes for a deadlock
	case "flood":
		line := strings.Repeat("x", 1000)
		for range 20_000 {
			fmt.Fprintln(os.Stderr, line)
			fmt.Fprint(os.Stdout, line)
		}
		fmt.Fprintln(os.Stderr, "flooded")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case "parent": // has a worker and tells both numbers
		ctx := context.Background()
		w := StartWorker(ctx, WorkerConfig{Name: "grandchild", Env: []string{roleVar + "=worker"}})
		if err := w.Wait(ctx); err != nil {
			return err
		}
		return writeThenHang(arg, strconv.Itoa(w.State().PID))
	case "liar":
		return lie(arg)
	}
	return errors.New("unknown role " + role)
}

func writeThenHang(file, text string) error {
	if err := os.WriteFile(file+".part", []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Rename(file+".part", file); err != nil {
		return err
	}
	select {}
}

// lie says hello and then breaks the protocol when it is called.
func lie(how string) error {
	_ = writeFrame(os.Stdout, frame{typ: frameHello})
	f, err := readFrame(os.Stdin)
	if err != nil {
		return err
	}
	switch how {
	case "length": // announces 64 MB and hangs
		h := []byte{frameMagic, byte(frameResult), protoVersion, 0, 0, 0, 0, 0, 0, 0, 0, 4, byte(f.id), 0, 0, 0, 0, 0, 0, 0}
		_, err = os.Stdout.Write(h)
	case "huge":
		h := []byte{frameMagic, byte(frameResult), protoVersion, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0}
		_, err = os.Stdout.Write(h)
	case "garbage":
		_, err = os.Stdout.WriteString("whisper_init: loading the model from a file\n")
	case "window":
		for range 1000 {
			_ = writeFrame(os.Stdout, frame{typ: frameEmit, id: f.id})
		}
	case "type":
		err = writeFrame(os.Stdout, frame{typ: frameCall, id: f.id})
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func handlers() map[string]Handler {
	type emitFunc = func(any, []byte) error
	return map[string]Handler{
		"echo": func(_ context.Context, meta json.RawMessage, payload []byte, _ emitFunc) (any, []byte, error) {
			return meta, payload, nil
		},
		"count": func(_ context.Context, meta json.RawMessage, _ []byte, emit emitFunc) (any, []byte, error) {
			n := 0
			if err := json.Unmarshal(meta, &n); err != nil {
				return nil, nil, err
			}
			for i := range n {
				_, _ = unix.Write(1, []byte("noise from a C library\n"))
				if err := emit(i, FloatBytes([]float32{float32(i)})); err != nil {
					return nil, nil, err
				}
			}
			return n, nil, nil
		},
		"until": func(ctx context.Context, _ json.RawMessage, _ []byte, _ emitFunc) (any, []byte, error) {
			<-ctx.Done()
			return nil, nil, context.Cause(ctx)
		},
		"begun": func(ctx context.Context, _ json.RawMessage, _ []byte, emit emitFunc) (any, []byte, error) {
			_ = emit(nil, nil)
			<-ctx.Done()
			return nil, nil, context.Cause(ctx)
		},
		"endless": func(_ context.Context, meta json.RawMessage, _ []byte, emit emitFunc) (any, []byte, error) {
			var file string
			_ = json.Unmarshal(meta, &file)
			for i := 0; ; i++ {
				if err := emit(i, nil); err != nil {
					_ = os.WriteFile(file, []byte(strconv.Itoa(i)), 0o600)
					return nil, nil, err
				}
			}
		},
		"stuck": func(context.Context, json.RawMessage, []byte, emitFunc) (any, []byte, error) {
			select {}
		},
		"pid": func(context.Context, json.RawMessage, []byte, emitFunc) (any, []byte, error) {
			return os.Getpid(), nil, nil
		},
		"die": func(context.Context, json.RawMessage, []byte, emitFunc) (any, []byte, error) {
			fmt.Fprintln(os.Stderr, "GGML_ASSERT failed")
			_ = unix.Kill(os.Getpid(), unix.SIGABRT) // as C's abort() does; Go answers it with exit status 2
			select {}
		},
		"panic": func(context.Context, json.RawMessage, []byte, emitFunc) (any, []byte, error) { panic("oh") },
		"fail": func(context.Context, json.RawMessage, []byte, emitFunc) (any, []byte, error) {
			return nil, nil, &fault.Error{
				Kind: fault.NotFound, Code: "unknown_model", Msg: "no such model", Param: "model", RetryAfter: time.Second,
				Err: errors.New("the cause"),
			}
		},
		"closeout": func(context.Context, json.RawMessage, []byte, emitFunc) (any, []byte, error) {
			for fd := 3; fd < 20; fd++ {
				_ = unix.Close(fd)
			}
			select {}
		},
	}
}

// quick makes crashes cheap to wait for.
func quick() Policy {
	return Policy{BackoffMin: 10 * time.Millisecond, BackoffMax: 40 * time.Millisecond, Retry: 50 * time.Millisecond}
}

func process(t *testing.T, role string, change func(*Config)) *Process {
	t.Helper()
	cfg := Config{Name: "test", Policy: quick(), Grace: 100 * time.Millisecond, Command: func() (Command, error) {
		return Command{Path: "/proc/self/exe", Env: []string{roleVar + "=" + role}}, nil
	}}
	if change != nil {
		change(&cfg)
	}
	p := Start(t.Context(), cfg)
	t.Cleanup(func() { p.Close() })
	return p
}

// eventually waits for ok: these tests are about other processes, so nothing can signal us.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestReadyThenStopped(t *testing.T) {
	polls := 0
	p := process(t, "idle", func(c *Config) {
		c.Nice = 7
		c.ReadyInterval = time.Millisecond
		c.Ready = func(context.Context) error {
			if polls++; polls < 3 {
				return errors.New("loading")
			}
			return nil
		}
	})
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := p.State()
	if s.Phase != Ready || s.PID == 0 || s.Restarts != 0 || polls != 3 {
		t.Fatalf("state %+v after %d polls", s, polls)
	}
	if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", s.PID)); strings.TrimSpace(string(b)) != "500" {
		t.Errorf("oom_score_adj is %q", b)
	}
	if n, _ := unix.Getpriority(unix.PRIO_PROCESS, s.PID); n != 20-min(ownNice()+7, 19) { // the system call answers 20 − niceness
		t.Errorf("niceness is %d", 20-n)
	}
	if pg, _ := unix.Getpgid(s.PID); pg != s.PID {
		t.Errorf("child is in group %d, not its own", pg)
	}
	p.Close()
	p.Close()
	if alive(s.PID) || p.State().Phase != Stopped {
		t.Errorf("after Close: alive %v, %+v", alive(s.PID), p.State())
	}
	if err := p.Wait(t.Context()); fault.As(err).Kind != fault.Unavailable {
		t.Errorf("Wait after Close: %v", err)
	}
}

func TestCrashLoopOpensTheBreaker(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mended")
	p := process(t, "crash-unless:"+file, func(c *Config) {
		c.Policy.Crashes = 3
		// Only a child that stays is ready.
		c.Ready = func(ctx context.Context) error {
			if _, err := os.Stat(file); err == nil {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
	})
	err := p.Wait(t.Context())
	f := fault.As(err)
	if f.Kind != fault.Unavailable || f.RetryAfter <= 0 || !strings.Contains(f.Msg, "exit status 3") {
		t.Fatalf("Wait: %v (retry after %v)", err, f.RetryAfter)
	}
	if s := p.State(); s.Phase != Failed || s.Restarts < 2 || s.Reason != "exit status 3" {
		t.Errorf("state %+v", s)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready after the half-open try", func() bool { return p.Wait(t.Context()) == nil })
}

func TestReasons(t *testing.T) {
	for role, want := range map[string]string{
		"crash":   "exit status 3",
		"exit137": "out of memory",
		"no-such": "exit status 1",
	} {
		t.Run(role, func(t *testing.T) {
			p := process(t, role, func(c *Config) {
				c.Policy.Crashes = 1
				c.Policy.Retry = time.Hour
				c.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
			})
			err := p.Wait(t.Context())
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Wait: %v, want %q in it", err, want)
			}
			if role == "crash" && !strings.Contains(err.Error(), "a last word") {
				t.Errorf("the log does not learn the child's last words: %v", err)
			}
		})
	}
	p := process(t, "", func(c *Config) {
		c.Policy.Crashes = 1
		c.Command = func() (Command, error) { return Command{Path: "/no/such/program"}, nil }
	})
	err := p.Wait(t.Context())
	if f := fault.As(err); f.Kind != fault.Unavailable || strings.Contains(f.Msg, "/") {
		t.Errorf("Wait for a missing program: %v; the client would read %q", err, f.Msg)
	}
}

func TestNotReadyInTimeIsACrash(t *testing.T) {
	p := process(t, "idle", func(c *Config) {
		c.Policy.Crashes = 2
		c.ReadyTimeout = 20 * time.Millisecond
		c.Ready = func(context.Context) error { return errors.New("still loading") }
	})
	err := p.Wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not ready within") || !strings.Contains(err.Error(), "still loading") {
		t.Fatalf("Wait: %v", err)
	}
}

func TestKilledChildComesBack(t *testing.T) {
	p := process(t, "idle", nil)
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := p.State().PID
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another child", func() bool { s := p.State(); return s.Phase == Ready && s.PID != first })
	if s := p.State(); s.Restarts != 1 || !strings.Contains(s.Reason, "out of memory") {
		t.Errorf("state %+v", s)
	}
	second := p.State().PID
	p.Restart("a wish")
	eventually(t, "a third child", func() bool { s := p.State(); return s.Phase == Ready && s.PID != second })
	if s := p.State(); s.Reason != "a wish" {
		t.Errorf("state %+v", s)
	}
}

func TestStubbornGroupIsKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	p := process(t, "stubborn:"+file, nil)
	eventually(t, "the family is complete", func() bool { _, err := os.Stat(file); return err == nil })
	b, _ := os.ReadFile(file)
	var parent, kid int
	fmt.Sscan(string(b), &parent, &kid)
	if !alive(parent) || !alive(kid) {
		t.Fatalf("not alive: %s", b)
	}
	p.Close()
	eventually(t, "both are gone", func() bool { return !alive(parent) && !alive(kid) })
}

func TestFloodIsBounded(t *testing.T) {
	p := process(t, "flood", nil)
	eventually(t, "the flood is over", func() bool { return strings.HasSuffix(p.Output(), "flooded\n") })
	if n := len(p.Output()); n > ringBytes {
		t.Errorf("%d bytes kept", n)
	}
}

func TestNoOrphanAfterKillingTheParent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := process(t, "parent:"+file, nil)
	eventually(t, "the grandchild is up", func() bool { _, err := os.Stat(file); return err == nil })
	b, _ := os.ReadFile(file)
	grandchild, err := strconv.Atoi(string(b))
	if err != nil || !alive(grandchild) {
		t.Fatalf("grandchild %s: %v", b, err)
	}
	if pg, _ := unix.Getpgid(grandchild); pg == p.State().PID {
		t.Fatal("the grandchild is in its parent's group: the test proves nothing")
	}
	if err := unix.Kill(p.State().PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the grandchild is gone", func() bool { return !alive(grandchild) })
}
