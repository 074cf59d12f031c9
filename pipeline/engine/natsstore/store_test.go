package natsstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brenda/pipeline/fault"
	"brenda/pipeline/session"
)

func TestMain(m *testing.M) {
	if childMain() {
		return
	}
	goleak.VerifyTestMain(m)
}

func testLog(tb testing.TB) *slog.Logger {
	tb.Helper()
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func open(tb testing.TB, cfg Config) *Store {
	tb.Helper()
	if cfg.Log == nil {
		cfg.Log = testLog(tb)
	}
	s, err := Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.retryDelay = 0
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func turn(n uint64) session.Turn {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	return session.Turn{
		Number: n, At: at, User: fmt.Sprintf("Question numéro %d ?", n), Assistant: fmt.Sprintf("Réponse %d.", n), Cut: n%3 == 0,
	}
}

func appendTurns(tb testing.TB, s *Store, id string, from, to uint64) {
	tb.Helper()
	for n := from; n <= to; n++ {
		if err := s.Append(tb.Context(), id, turn(n)); err != nil {
			tb.Fatalf("append %d: %v", n, err)
		}
	}
}

func wantTurns(tb testing.TB, rec session.Record, from, to uint64) {
	tb.Helper()
	var want []session.Turn
	for n := from; n <= to; n++ {
		want = append(want, turn(n))
	}
	if !reflect.DeepEqual(rec.Turns, want) {
		tb.Fatalf("turns of %s:\n got %v\nwant %v", rec.ID, rec.Turns, want)
	}
}

func TestConversationOutlivesTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, Config{Dir: dir})
	ids := []string{"a", "a.b", "a-b", "a_b", "..", ".", "A", strings.Repeat(".x", 64), "0198-uuid_v7.9"}
	created := map[string]time.Time{}
	for _, id := range ids {
		rec, err := s.Open(t.Context(), id)
		if err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		if rec.ID != id || rec.Created.IsZero() || rec.Turns == nil || len(rec.Turns) != 0 {
			t.Fatalf("%q: new record %+v", id, rec)
		}
		created[id] = rec.Created
	}
	for i, id := range ids {
		appendTurns(t, s, id, 1, uint64(i+1))
		if err := s.SetModel(t.Context(), id, "model-"+id); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}

	s = open(t, Config{Dir: dir})
	for i, id := range ids {
		rec, err := s.Open(t.Context(), id)
		if err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		wantTurns(t, rec, 1, uint64(i+1))
		if !rec.Created.Equal(created[id]) || rec.Model != "model-"+id {
			t.Errorf("%q: created %v model %q", id, rec.Created, rec.Model)
		}
	}
	st := s.Stats(t.Context())
	if !st.Available || st.Sessions != uint64(len(ids)) || st.Turns != uint64(len(ids)*(len(ids)+1)/2) {
		t.Errorf("stats %+v", st)
	}
	if !s.be.srv.JetStreamConfig().SyncAlways {
		t.Error("writes are not synced before they are acknowledged")
	}
}

func TestBadInputIsRefused(t *testing.T) {
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	for _, id := range []string{"", "a b", "a*", "a>", "a=b", "é", strings.Repeat("x", 129), "a/b", "a\x00"} {
		_, errOpen := s.Open(t.Context(), id)
		_, errShow := s.Show(t.Context(), id)
		for name, err := range map[string]error{
			"open": errOpen, "show": errShow, "append": s.Append(t.Context(), id, turn(1)),
			"set model": s.SetModel(t.Context(), id, "m"), "remove": s.Remove(t.Context(), id),
		} {
			if f := fault.As(err); err == nil || f.Kind != fault.Invalid || f.Param != "session_id" {
				t.Errorf("%s %q: %v", name, id, err)
			}
		}
	}
	if err := s.Append(t.Context(), "a", session.Turn{User: "x"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("turn 0: %v", err)
	}
	huge := turn(1)
	huge.Assistant = strings.Repeat("x", 1<<20)
	if err := s.Append(t.Context(), "a", huge); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("huge turn: %v", err)
	}
	if _, err := s.List(t.Context(), -1, 0); fault.KindOf(err) != fault.Invalid {
		t.Errorf("negative offset: %v", err)
	}
}

func TestAppendTwiceIsOnce(t *testing.T) {
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	appendTurns(t, s, "a", 1, 3)
	appendTurns(t, s, "a", 1, 3)
	appendTurns(t, s, "a", 7, 7) // a gap is the session's business
	other := turn(3)
	other.Assistant = "autre chose"
	for n, tr := range map[string]session.Turn{"same number, other words": other, "number passed": turn(5)} {
		if f := fault.As(s.Append(t.Context(), "a", tr)); f == nil || f.Code != "turn_exists" || f.Kind != fault.Conflict {
			t.Errorf("%s: %v", n, f)
		}
	}
	rec, err := s.Open(t.Context(), "a")
	if err != nil || len(rec.Turns) != 4 {
		t.Fatalf("%v %v", rec.Turns, err)
	}
}

func TestManyWriters(t *testing.T) {
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	var wg sync.WaitGroup
	for w := range 8 {
		own := fmt.Sprintf("own.%d", w)
		wg.Go(func() { // each the same turns of one session, and some of its own
			for n := uint64(1); n <= 10; n++ {
				err := s.Append(t.Context(), "shared", turn(n))
				if f := fault.As(err); f != nil && f.Code != "turn_exists" {
					t.Errorf("shared %d: %v", n, err)
				}
				if err := s.Append(t.Context(), own, turn(n)); err != nil {
					t.Errorf("%s %d: %v", own, n, err)
				}
				if _, err := s.Open(t.Context(), own); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"shared", "own.0", "own.7"} {
		rec, err := s.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		wantTurns(t, rec, 1, 10)
	}
}

func TestRetention(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, Config{Dir: dir, MaxTurns: 5})
	appendTurns(t, s, "a", 1, 12)
	rec, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	wantTurns(t, rec, 8, 12)
	s.Close()

	s = open(t, Config{Dir: dir, MaxTurns: 2}) // a stricter limit applies to what is there
	if rec, err = s.Open(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantTurns(t, rec, 11, 12)
	s.Close()

	s = open(t, Config{Dir: dir, MaxBytes: 4 << 10, MaxAge: -1})
	appendTurns(t, s, "b", 1, 100)
	if st := s.Stats(t.Context()); st.Bytes > 4<<10 || st.Turns == 0 {
		t.Errorf("stats %+v", st)
	}
	if rec, err = s.Open(t.Context(), "b"); err != nil || len(rec.Turns) == 0 || !reflect.DeepEqual(rec.Turns[len(rec.Turns)-1], turn(100)) {
		t.Errorf("%v %v", rec, err)
	}
	s.Close()

	s = open(t, Config{Dir: dir, MaxAge: time.Second})
	for { // what is too old goes, turns and sessions, by the server's own clock
		list, err := s.List(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestEntryLivesAsLongAsItsTurns(t *testing.T) {
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "state"), MaxAge: 2 * time.Second})
	rec, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetModel(t.Context(), "a", "m"); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); time.Since(rec.Created) < 4*time.Second; n++ { // longer than one entry lives
		appendTurns(t, s, "a", n, n)
		<-time.After(100 * time.Millisecond)
	}
	got, err := s.Show(t.Context(), "a")
	if err != nil || !got.Created.Equal(rec.Created) || got.Model != "m" || len(got.Turns) == 0 {
		t.Errorf("%+v %v, created %v", got, err, rec.Created)
	}
}

func TestListShowRemove(t *testing.T) {
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	if list, err := s.List(t.Context(), 0, 0); err != nil || list == nil || len(list) != 0 {
		t.Fatalf("empty list: %v %v", list, err)
	}
	for i, id := range []string{"old", "mid.dle", "new"} {
		if _, err := s.Open(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		appendTurns(t, s, id, 1, uint64(i))
	}
	list, err := s.List(t.Context(), 0, 0)
	if err != nil || len(list) != 3 {
		t.Fatalf("%v %v", list, err)
	}
	if list[0].ID != "new" || list[0].Turns != 2 || !list[0].LastAt.Equal(turn(2).At) || list[1].ID != "mid.dle" ||
		list[2].Turns != 0 || !list[2].LastAt.IsZero() {
		t.Errorf("list %+v", list)
	}
	if page, err := s.List(t.Context(), 1, 1); err != nil || len(page) != 1 || page[0].ID != "mid.dle" {
		t.Errorf("page %v %v", page, err)
	}
	if page, err := s.List(t.Context(), 9, 1); err != nil || page == nil || len(page) != 0 {
		t.Errorf("page past the end %v %v", page, err)
	}
	if rec, err := s.Show(t.Context(), "new"); err != nil || len(rec.Turns) != 2 {
		t.Errorf("%v %v", rec, err)
	}
	for range 2 {
		_, errShow := s.Show(t.Context(), "none")
		for _, err := range []error{errShow, s.Remove(t.Context(), "none")} {
			if f := fault.As(err); f == nil || f.Kind != fault.NotFound || f.Code != "session_not_found" {
				t.Errorf("none: %v", err)
			}
		}
	}
	if err := s.Remove(t.Context(), "mid.dle"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Show(t.Context(), "mid.dle"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("removed: %v", err)
	}
	if rec, err := s.Open(t.Context(), "mid.dle"); err != nil || len(rec.Turns) != 0 { // and it can begin again
		t.Errorf("%v %v", rec, err)
	}
	appendTurns(t, s, "mid.dle", 1, 1)
}

func TestCancelledCallIsNoFailure(t *testing.T) {
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrStopped)
	if _, err := s.Open(ctx, "a"); !errors.Is(err, fault.ErrStopped) {
		t.Errorf("%v", err)
	}
	if st := s.Stats(t.Context()); st.Failures != 0 || !st.Available {
		t.Errorf("%+v", st)
	}
}

func TestClosedStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	before := openFiles(t)
	for range 3 {
		s := open(t, Config{Dir: dir})
		appendTurns(t, s, "a", 1, 1)
		if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrInUse) || fault.KindOf(err) != fault.Conflict ||
			!strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
			t.Errorf("second opener: %v", err)
		}
		s.Close()
		if _, err := s.Open(t.Context(), "a"); fault.As(err).Code != "history_unavailable" {
			t.Errorf("closed: %v", err)
		}
	}
	if after := openFiles(t); !slices.Equal(before, after) {
		t.Errorf("files left open:\n%v\nbefore:\n%v", after, before)
	}
}

// openFiles lists the regular files this process has open.
func openFiles(t *testing.T) []string {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "/proc") &&
			!strings.HasPrefix(name, "/dev") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, Config{Dir: filepath.Join(b.TempDir(), "state")})
	n := uint64(0)
	for b.Loop() {
		n++
		if err := s.Append(b.Context(), "bench", turn(n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen200(b *testing.B) {
	s := open(b, Config{Dir: filepath.Join(b.TempDir(), "state")})
	appendTurns(b, s, "bench", 1, 200)
	for b.Loop() {
		if rec, err := s.Open(b.Context(), "bench"); err != nil || len(rec.Turns) != 200 {
			b.Fatal(len(rec.Turns), err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	cfg := Config{Dir: filepath.Join(b.TempDir(), "state")}
	s := open(b, cfg)
	appendTurns(b, s, "bench", 1, 200)
	s.Close()
	for b.Loop() {
		s, err := Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
