package health

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestCallsAreOnMetrics scrapes what the WebSocket has told.
func TestCallsAreOnMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg, func() Load {
		return Load{Calls: Calls{Open: 3, Away: 1, Late: 4, Lost: 5, Resumed: 6, Refused: 7}}
	})
	m.CallStage("heard", 1500*time.Millisecond)
	rec := httptest.NewRecorder()
	s := New(func(context.Context) []Component { return nil }, reg)
	if err := s.Metrics(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`brenda_stage_seconds_sum{stage="call_heard"} 1.5`, `brenda_stage_seconds_count{stage="call_decision"} 0`,
		"brenda_calls 3", "brenda_calls_away 1", "brenda_call_sound_late_total 4", "brenda_call_frames_lost_total 5",
		"brenda_calls_resumed_total 6", "brenda_calls_refused_total 7",
	} {
		if !strings.Contains(rec.Body.String(), want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
}
