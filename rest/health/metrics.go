package health

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// Queue is how busy one engine is.
type Queue struct {
	Engine  string
	Running int
	Waiting int
}

// Load is what the server is doing now.
type Load struct {
	Queues   []Queue
	Sessions int // in memory
	Turns    int // running
	Calls    Calls
}

// Calls is what the WebSocket is doing now, and has done.
type Calls struct {
	Open, Away                   int // those whose client is expected back are among the open ones
	Late, Lost, Resumed, Refused uint64
}

// Metrics counts and times what the server does. It fits session.Observer and rest.Observer.
type Metrics struct {
	stages   *prometheus.HistogramVec
	turns    *prometheus.CounterVec
	requests *prometheus.HistogramVec
}

// NewMetrics registers the metrics. load is asked at each scrape, and must answer at once.
func NewMetrics(reg prometheus.Registerer, load func() Load) *Metrics {
	m := &Metrics{
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "brenda_stage_seconds",
			Help: "Time that a stage of a turn took: vad and stt for the whole sound, " +
				"llm_first_token from the transcript, tts_first_audio from the first chunk of text, " +
				"first_audio from the turn's start; call_… of a turn on the WebSocket, each from the end of the speech.",
			Buckets: prometheus.ExponentialBucketsRange(0.005, 60, 16),
		}, []string{"stage"}),
		turns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "brenda_turns_total",
			Help: "Turns that ended, by why: stop, length, cancelled, or a failure's code.",
		}, []string{"finish_reason"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "brenda_http_request_seconds", Help: "Requests that were answered, to the end of the answer.",
			Buckets: prometheus.ExponentialBucketsRange(0.001, 600, 14),
		}, []string{"route", "method", "status"}),
	}
	reg.MustRegister(m.stages, m.turns, m.requests, newLoadCollector(load))
	for _, stage := range []string{
		"vad", "stt", "llm_first_token", "tts_first_audio", "first_audio", "call_decision", "call_transcript", "call_first_token",
		"call_first_chunk", "call_first_audio", "call_sent", "call_heard",
	} {
		m.stages.WithLabelValues(stage) // there from the start, so that a dashboard finds them
	}
	for _, reason := range []string{"stop", "length", "cancelled"} {
		m.turns.WithLabelValues(reason)
	}
	return m
}

// TurnEnded counts a turn of any transport.
func (m *Metrics) TurnEnded(_ string, r pipeline.Result) {
	reason := r.FinishReason
	if r.Err != nil {
		reason = failure(r.Err)
	}
	m.turns.WithLabelValues(reason).Inc()
	t := r.Timings
	m.stage("vad", 0, t.VAD)
	m.stage("stt", t.VAD, t.STT)
	m.stage("llm_first_token", t.STT, t.FirstToken)
	m.stage("tts_first_audio", t.FirstChunk, t.FirstAudio)
	m.stage("first_audio", 0, t.FirstAudio)
}

// stage times what lies between two moments of a turn. A moment of zero never came.
func (m *Metrics) stage(name string, from, to time.Duration) {
	if to > 0 {
		m.stages.WithLabelValues(name).Observe(max(to-from, 0).Seconds())
	}
}

// CallStage times a stage of a turn on the WebSocket.
func (m *Metrics) CallStage(name string, after time.Duration) { m.stage("call_"+name, 0, after) }

// failure returns a label for a failed turn. Codes may be many, kinds are few.
func failure(err error) string {
	switch f := fault.As(err); {
	case f.Code == "no_speech":
		return f.Code
	case f.Kind == fault.Unavailable:
		return "unavailable"
	case slices.Contains([]fault.Kind{fault.Invalid, fault.NotFound, fault.Unsupported, fault.TooLarge}, f.Kind):
		return "refused"
	}
	return "error"
}

// Request counts an answered request.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

// loadCollector reads the present load at each scrape.
type loadCollector struct {
	load              func() Load
	running, waiting  *prometheus.Desc
	sessions, turning *prometheus.Desc
	calls, away       *prometheus.Desc
	late, lost        *prometheus.Desc
	resumed, refused  *prometheus.Desc
}

func newLoadCollector(load func() Load) *loadCollector {
	engine := []string{"engine"}
	return &loadCollector{
		load:     load,
		running:  prometheus.NewDesc("brenda_engine_running", "Requests that an engine works on.", engine, nil),
		waiting:  prometheus.NewDesc("brenda_engine_waiting", "Requests that wait for an engine.", engine, nil),
		sessions: prometheus.NewDesc("brenda_sessions", "Conversations in memory.", nil, nil),
		turning:  prometheus.NewDesc("brenda_turns_running", "Turns that run.", nil, nil),
		calls:    prometheus.NewDesc("brenda_calls", "Conversations on WebSockets.", nil, nil),
		away:     prometheus.NewDesc("brenda_calls_away", "Conversations that wait for their client to come back.", nil, nil),
		late:     prometheus.NewDesc("brenda_call_sound_late_total", "Pieces of sound judged more than 20 ms late.", nil, nil),
		lost:     prometheus.NewDesc("brenda_call_frames_lost_total", "Sound frames of devices that never came.", nil, nil),
		resumed:  prometheus.NewDesc("brenda_calls_resumed_total", "Conversations that went on on another connection.", nil, nil),
		refused:  prometheus.NewDesc("brenda_calls_refused_total", "Conversations that there was no room for.", nil, nil),
	}
}

// Describe lists the metrics.
func (c *loadCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect reads the metrics.
func (c *loadCollector) Collect(ch chan<- prometheus.Metric) {
	l := c.load()
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	for _, q := range l.Queues {
		gauge(c.running, q.Running, q.Engine)
		gauge(c.waiting, q.Waiting, q.Engine)
	}
	gauge(c.sessions, l.Sessions)
	gauge(c.turning, l.Turns)
	gauge(c.calls, l.Calls.Open)
	gauge(c.away, l.Calls.Away)
	count := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	count(c.late, l.Calls.Late)
	count(c.lost, l.Calls.Lost)
	count(c.resumed, l.Calls.Resumed)
	count(c.refused, l.Calls.Refused)
}
