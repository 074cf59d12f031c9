package realtime

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"brenda/pipeline/enginetest"
)

// insideLibrary are the cases that github.com/coder/websocket fails by itself: it hands on a reason of a close frame that
// is no UTF-8.
var insideLibrary = []string{"7.5.1"}

// TestAutobahn has the fuzzing client of the Autobahn|Testsuite examine the endpoint's handshake and socket, which send
// back what comes. Left out are the cases of speed (9) and of compression (12, 13), which is not offered.
func TestAutobahn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	dir := t.TempDir()
	spec, err := json.Marshal(map[string]any{
		"outdir": dir, "servers": []any{map[string]any{"agent": "brenda", "url": strings.Replace(server.URL, "http", "ws", 1)}},
		"cases": []string{"*"}, "exclude-cases": []string{"9.*", "12.*", "13.*"}, "exclude-agent-cases": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "spec.json")
	if err := os.WriteFile(file, spec, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	wstest := filepath.Join(enginetest.CacheDir(t, "autobahn"), "bin", "wstest")
	if out, err := exec.CommandContext(ctx, wstest, "-m", "fuzzingclient", "-s", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]map[string]struct{ Behavior, BehaviorClose string }
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	cases, count := report["brenda"], map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(cases)) {
		c := cases[id]
		count[c.Behavior]++
		if (c.Behavior == "FAILED" || c.BehaviorClose == "FAILED") && !slices.Contains(insideLibrary, id) {
			t.Errorf("case %s: %s, close %s", id, c.Behavior, c.BehaviorClose)
		}
	}
	t.Logf("%d cases: %v", len(cases), count)
	if len(cases) < 200 {
		t.Errorf("only %d cases were examined", len(cases))
	}
}

// echo sends every message back, through the endpoint's own handshake and socket.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := accept(w, r)
	if err != nil {
		return
	}
	s := newSocket(conn)
	s.pace = rate.NewLimiter(rate.Inf, 1)
	for {
		kind, frame, err := s.read(r.Context())
		if err == nil && kind == websocket.MessageText && !utf8.Valid(frame) {
			err = errUTF8
		}
		if err == nil {
			err = s.write(r.Context(), kind, frame)
		}
		if err != nil {
			s.Close(err)
			return
		}
	}
}
