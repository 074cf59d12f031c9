package enginetest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

const asChild = "BRENDA_TEST_CHILD"

// MainWithChild is the TestMain of an engine whose child is this binary, as the server is: in a process that [AsChild]
// tells to, it is the child; else it runs the tests and looks for goroutines that are left.
func MainWithChild(m *testing.M, child func(ctx context.Context, args []string) error) {
	if os.Getenv(asChild) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := child(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// AsChild returns how a test binary is started as its own child: the command, and what is added to its environment.
func AsChild() (exec, env []string) { return []string{""}, []string{asChild + "=1"} }

// Model returns the path of a file of a model, as "kokoro", "kokoro.onnx". One that is missing fails the test.
func Model(tb testing.TB, model string, file ...string) string {
	tb.Helper()
	path := filepath.Join(append([]string{ModelsDir(tb), model}, file...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%v; run: brenda models pull %s", err, model)
	}
	return path
}

// ORTLib returns the path of ONNX Runtime.
func ORTLib(tb testing.TB) string {
	tb.Helper()
	return Model(tb, "onnxruntime", "libonnxruntime.so")
}

// Closed closes an engine when the test is over, and returns it.
func Closed[E io.Closer](tb testing.TB, engine E) E {
	tb.Helper()
	tb.Cleanup(func() {
		if err := engine.Close(); err != nil {
			tb.Error(err)
		}
	})
	return engine
}
