// Package monitor serves the specification's section 6: how the machine is, and Brenda's containers. Beyond it: her own
// processes, and the last hour.
//
//	GET  /v1/monitor/system/stats                       the machine, or what a cgroup leaves of it
//	GET  /v1/monitor/system/history?seconds             its last hour, in steps of 5 s
//	GET  /v1/monitor/engines                            Brenda's own processes
//	GET  /v1/monitor/containers?stats                   Brenda's containers
//	POST /v1/monitor/containers/:id/start
//	POST /v1/monitor/containers/:id/stop?timeout&force
//	POST /v1/monitor/containers/:id/restart?timeout&force
//	GET  /v1/monitor/containers/:id/logs?tail&since&timestamps&follow
//	GET  /v1/monitor/containers/:id/stats?stream
//
// The routes belong into the guarded zone: they show, and end, what runs.
package monitor

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/julienschmidt/httprouter"

	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
	"brenda/rest/httpx"
)

// maxStreams is how many logs and figures may be followed at the same time, by all clients together.
const maxStreams = 32

// Host knows the machine. Its methods answer from memory.
type Host interface {
	// System returns the newest sample.
	System(ctx context.Context) (vitals.System, error)
	// History returns the steps of the last while, the oldest first.
	History(last time.Duration) []vitals.Point
	// Children returns Brenda's processes.
	Children() []vitals.Child
}

// Containers are Brenda's. ref is an id, the beginning of one, or a name: fault.Invalid when it can be none of them,
// fault.NotFound when it is none of Brenda's.
type Containers interface {
	// List returns them by name, with what they use if stats are asked for.
	List(ctx context.Context, stats bool) ([]vitals.Listed, error)
	// Control starts, stops or restarts one, and returns how it is then.
	Control(ctx context.Context, ref string, o vitals.Order) (vitals.Container, error)
	// Logs calls opened, and then emit for each line.
	Logs(ctx context.Context, ref string, q vitals.LogQuery,
		opened func(vitals.Container) error, emit func(vitals.Line) error) error
	// Stats emits one sample, or one about each second until the container ends.
	Stats(ctx context.Context, ref string, stream bool, emit func(vitals.Container, vitals.Usage) error) error
}

// Config is what a Service needs besides what it watches.
type Config struct {
	Step time.Duration   // of the history
	Kept time.Duration   // the longest history
	End  <-chan struct{} // closed when the server is to end: streams end then; nil means never
}

// Service answers the routes of this section.
type Service struct {
	host       Host
	containers Containers
	cfg        Config
	streams    chan struct{}
}

// New returns the service.
func New(h Host, c Containers, cfg Config) *Service {
	return &Service{host: h, containers: c, cfg: cfg, streams: make(chan struct{}, maxStreams)}
}

// System answers GET /v1/monitor/system/stats.
func (s *Service) System(w http.ResponseWriter, r *http.Request) error {
	sys, err := s.host.System(r.Context())
	if err != nil {
		return err
	}
	return fresh(w, sys)
}

// History answers GET /v1/monitor/system/history.
func (s *Service) History(w http.ResponseWriter, r *http.Request) error {
	step, kept := int(s.cfg.Step.Seconds()), int(s.cfg.Kept.Seconds())
	seconds, err := httpx.QueryInt(r, "seconds", kept, step, kept)
	if err != nil {
		return err
	}
	return fresh(w, struct {
		Step   int            `json:"step"` // seconds
		Points []vitals.Point `json:"points"`
	}{step, s.host.History(time.Duration(seconds) * time.Second)})
}

// Engines answers GET /v1/monitor/engines.
func (s *Service) Engines(w http.ResponseWriter, _ *http.Request) error {
	return fresh(w, map[string][]vitals.Child{"engines": s.host.Children()})
}

// Containers answers GET /v1/monitor/containers.
func (s *Service) Containers(w http.ResponseWriter, r *http.Request) error {
	stats, err := yes(r, "stats", true)
	if err != nil {
		return err
	}
	list, err := s.containers.List(r.Context(), stats)
	if err != nil {
		return err
	}
	return fresh(w, list)
}

// Start answers POST /v1/monitor/containers/:id/start.
func (s *Service) Start(w http.ResponseWriter, r *http.Request) error {
	return s.control(w, r, vitals.Start)
}

// Stop answers POST /v1/monitor/containers/:id/stop.
func (s *Service) Stop(w http.ResponseWriter, r *http.Request) error {
	return s.control(w, r, vitals.Stop)
}

// Restart answers POST /v1/monitor/containers/:id/restart.
func (s *Service) Restart(w http.ResponseWriter, r *http.Request) error {
	return s.control(w, r, vitals.Restart)
}

func (s *Service) control(w http.ResponseWriter, r *http.Request, verb vitals.Verb) error {
	const usual = 10 // seconds, as Docker's own command gives
	grace, err := httpx.QueryInt(r, "timeout", usual, 0, int(vitals.MaxGrace.Seconds()))
	if err != nil {
		return err
	}
	force, err := yes(r, "force", false)
	if err != nil {
		return err
	}
	o := vitals.Order{Verb: verb, Grace: time.Duration(grace) * time.Second, Force: force}
	c, err := s.containers.Control(r.Context(), id(r), o)
	if err != nil {
		return err
	}
	return fresh(w, struct {
		vitals.Container
		Action vitals.Verb `json:"action"`
	}{c, verb})
}

// fresh answers with what is true only now.
func fresh(w http.ResponseWriter, v any) error {
	w.Header().Set("Cache-Control", "no-store")
	return httpx.Write(w, http.StatusOK, v)
}

func id(r *http.Request) string { return httprouter.ParamsFromContext(r.Context()).ByName("id") }

// yes reads an optional query parameter that is true or false.
func yes(r *http.Request, name string, otherwise bool) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, fault.Field(name, "%s must be true or false", name)
	}
	return b, nil
}
