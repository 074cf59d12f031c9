package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"runtime/metrics"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"brenda/pipeline"
	"brenda/pipeline/engine/silero"
	"brenda/pipeline/hearing"
	"brenda/pipeline/session"
	"brenda/pipeline/weights"
	"brenda/realtime"
	"brenda/realtime/protocol"
	"brenda/rest/httpx"
)

// benchCarrierCmd is the server that 'bench sessions' measures, in a process of its own: the real WebSocket with the real
// VAD, and behind it engines that only follow a script.
type benchCarrierCmd struct {
	Few int `help:"Conversations that are let in whatever it costs the others."`
}

// carrierStats is what the carrier tells of itself.
type carrierStats struct {
	Lateness   realtime.Lateness
	Calls      int
	CPU        float64 // seconds so far
	RSS        uint64  // bytes
	Goroutines int
	Waiting    float64 // seconds: the 99th percentile of how long goroutines waited for a processor
}

// Run serves until ctx ends. Its address is the first line of its output.
func (b *benchCarrierCmd) Run(ctx context.Context, env *environment) error {
	m, err := weights.New(env.Models.Dir, env.log)
	if err != nil {
		return err
	}
	path, err := m.Path("silero-vad", "")
	if err != nil {
		return fmt.Errorf("%w; run: %ssilero-vad", err, pull)
	}
	vad, err := silero.Open(path)
	if err != nil {
		return err
	}
	hub := session.New(session.Config{MaxSessions: math.MaxInt32, Idle: time.Minute, ContextTokens: 4096, MaxTokens: 100},
		pipeline.Engines{}, forgets{}, forgets{}, env.log)
	names := protocol.Names{Model: "scripted", Models: []string{"scripted"}, Transcriber: "scripted", Voice: "scripted"}
	calls := realtime.New(realtime.Config{
		Names: func(context.Context) protocol.Names { return names }, Language: "fr",
		ContextTokens: 4096, MaxTokens: 100, Sessions: math.MaxInt32, Few: b.Few, Pressure: cpuPressure,
	}, realtime.Engines{VAD: vad, Ear: scriptedEar{}, LLM: scriptedWriter{}, Voice: scriptedVoice{}}, hub, quieter(env.log))
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/realtime", func(w http.ResponseWriter, r *http.Request) {
		info := &httpx.Info{SessionID: protocol.NewID("bench"), Log: slog.New(slog.DiscardHandler)}
		httpx.Handler(calls.Handle).ServeHTTP(w, r.WithContext(httpx.WithInfo(r.Context(), info)))
	})
	waits := &schedulerWaits{}
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(statsOf(calls, waits))
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(env.out, ln.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func statsOf(calls *realtime.Server, waits *schedulerWaits) carrierStats {
	s := carrierStats{
		Lateness: calls.Lateness(), Calls: calls.Calls(), Goroutines: runtime.NumGoroutine(), Waiting: waits.take(),
	}
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		s.CPU = time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
	}
	if p, err := procfs.Self(); err == nil {
		if st, err := p.NewStatus(); err == nil {
			s.RSS = st.VmRSS
		}
	}
	return s
}

// schedulerWaits tells how long goroutines that could run waited for a processor.
type schedulerWaits struct{ before []uint64 }

// take returns the 99th percentile, in seconds, since the last take.
func (w *schedulerWaits) take() float64 {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	now := append([]uint64(nil), h.Counts...)
	total := uint64(0)
	for i := range now {
		if i < len(w.before) {
			h.Counts[i] -= w.before[i]
		}
		total += h.Counts[i]
	}
	w.before = now
	left := total / 100
	for i := len(h.Counts) - 1; i > 0; i-- {
		if h.Counts[i] > left {
			return h.Buckets[i]
		}
		left -= h.Counts[i]
	}
	return 0
}

// forgets is a history without memory, and an observer without interest.
type forgets struct{}

// Open implements session.Store.
func (forgets) Open(_ context.Context, id string) (session.Record, error) {
	return session.Record{ID: id}, nil
}

// Append implements session.Store.
func (forgets) Append(context.Context, string, session.Turn) error { return nil }

// SetModel implements session.Store.
func (forgets) SetModel(context.Context, string, string) error { return nil }

// TurnEnded implements session.Observer.
func (forgets) TurnEnded(string, pipeline.Result) {}

// pause waits as an engine at work would, without work.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// scriptedEar hears the same in every sound.
type scriptedEar struct{}

// Recognize implements realtime.Ear.
func (scriptedEar) Recognize(ctx context.Context, _ hearing.Utterance, _ hearing.Options) (pipeline.Transcript, error) {
	heard := pipeline.Transcript{Text: "Le numéro composé n'est pas en service.", Language: "fr"}
	return heard, pause(ctx, 300*time.Millisecond)
}

// scriptedWriter always writes the same.
type scriptedWriter struct{}

// Generate implements pipeline.Generator.
func (scriptedWriter) Generate(
	ctx context.Context, _ pipeline.Prompt, emit func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	const answer = "Bien sûr, je vérifie le numéro avec vous. Pouvez-vous me le dire encore une fois, lentement ?"
	for word := range strings.SplitAfterSeq(answer, " ") {
		if err := errors.Join(pause(ctx, 30*time.Millisecond), emit(pipeline.Delta{Text: word})); err != nil {
			return pipeline.Completion{}, err
		}
	}
	return pipeline.Completion{FinishReason: "stop", Usage: pipeline.Usage{PromptTokens: 50, CompletionTokens: 20}}, nil
}

// scriptedVoice hums, 15 letters a second.
type scriptedVoice struct{}

// Synthesize implements pipeline.Synthesizer.
func (scriptedVoice) Synthesize(ctx context.Context, l pipeline.Line, emit func([]float32) error) error {
	if err := pause(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	pcm := make([]float32, len(l.Text)*pipeline.OutputRate/15)
	for i := range pcm {
		pcm[i] = 0.2 * float32(i%200) / 200
	}
	return emit(pcm)
}

// carrier is a carrier that runs as a child of ours.
type carrier struct {
	addr string
	end  func()
}

// stats asks the carrier.
func (c *carrier) stats(ctx context.Context) (s carrierStats, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/stats", nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}
