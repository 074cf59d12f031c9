// Package health serves what operators look at: is the process alive, can it serve, what does it do.
package health

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"brenda/rest/httpx"
)

// State is how a component is.
type State string

// The states of a component.
const (
	Ready    State = "ready"
	Degraded State = "degraded" // serves, but not as it was asked to: Detail says how
	Loading  State = "loading"
	Missing  State = "missing" // not installed: Detail says the command that provides it
	Failed   State = "failed"
)

// Component is one part of the server.
type Component struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Required bool   `json:"required"`         // nothing can be served without it
	Detail   string `json:"detail,omitempty"` // such as "base stands in for small"; holds no path of the host
}

// Service answers the routes of this package.
type Service struct {
	check   func(context.Context) []Component
	metrics http.Handler
}

// New returns the service. check returns every component's present state, at once.
func New(check func(context.Context) []Component, metrics prometheus.Gatherer) *Service {
	return &Service{check: check, metrics: promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})}
}

// Live answers GET /live: the process answers, nothing more.
func (s *Service) Live(w http.ResponseWriter, _ *http.Request) error {
	return httpx.Write(w, http.StatusOK, map[string]string{"status": "live"})
}

// Ready answers GET /ready: 200 when every required component can serve, 503 before that.
func (s *Service) Ready(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Status     string         `json:"status"`
		Components []Component    `json:"components"`
		Degraded   []string       `json:"degraded"` // what is not as it should be, though it serves
		Error      *httpx.Problem `json:"error,omitempty"`
	}{Status: "ready", Components: s.check(r.Context()), Degraded: []string{}}
	for _, c := range answer.Components {
		able := c.State == Ready || c.State == Degraded
		switch {
		case !able && c.Required:
			answer.Status = "not_ready"
		case c.State != Ready:
			answer.Degraded = append(answer.Degraded, c.note())
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if answer.Status == "ready" {
		return httpx.Write(w, http.StatusOK, answer)
	}
	w.Header().Set("Retry-After", "5")
	answer.Error = &httpx.Problem{Code: "not_ready", Message: "the server cannot serve yet; see components"}
	return httpx.Write(w, http.StatusServiceUnavailable, answer)
}

func (c Component) note() string {
	if c.Detail != "" {
		return c.Name + ": " + c.Detail
	}
	return c.Name + ": " + string(c.State)
}

// Metrics answers GET /metrics in the text format of Prometheus.
func (s *Service) Metrics(w http.ResponseWriter, r *http.Request) error {
	s.metrics.ServeHTTP(w, r)
	return nil
}
