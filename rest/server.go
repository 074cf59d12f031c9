// Package rest serves Brenda's REST API: one table of routes, the checks that stand before every handler, and
// one folder per feature.
//
// The checks run in this order: method (405), Host (421), Origin (403), rate (429), token (401), size (413),
// the ids (400), and then the handler, which looks at its fields (400), at what they name (404) and last of
// all at engines (503).
package rest

import (
	"log/slog"
	"net/http"
	"time"

	"brenda/rest/httpx"
)

// Config is what an operator decides about the doors of the server.
type Config struct {
	Hosts      []string      // names that the Host header may hold, besides loopback ones; only without tokens
	Tokens     []string      // bearer tokens; none means that no token is asked for
	Origins    []string      // foreign pages that may use the assistant; "*" means all, none means none
	Rate       float64       // requests per second of one client; 0 means no limit
	Burst      int           // requests that a client may make at once
	MaxBody    int64         // bytes of one request; 0 means httpx.MaxBody
	BodyBudget int64         // bytes of all requests that are being read; 0 means five times MaxBody
	BodyIdle   time.Duration // the longest pause within a request's body; 0 means 20 s
	Timeout    time.Duration // of one request, from its headers to the end of its answer; 0 means 600 s
}

func (c *Config) defaults() {
	if c.MaxBody == 0 {
		c.MaxBody = httpx.MaxBody
	}
	if c.BodyBudget == 0 {
		c.BodyBudget = 5 * c.MaxBody
	}
	if c.BodyIdle == 0 {
		c.BodyIdle = 20 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 600 * time.Second
	}
}

// Observer is told of every request that was answered. Route is a pattern of the table, or "none".
type Observer interface {
	Request(route, method string, status int, took time.Duration)
}

// New returns the handler of the whole table.
func New(cfg Config, routes []Route, watch Observer, log *slog.Logger) http.Handler {
	cfg.defaults()
	g := &gate{
		cfg:     cfg,
		hosts:   newHosts(cfg.Hosts),
		origins: newOrigins(cfg.Origins),
		tokens:  newTokens(cfg.Tokens),
		clients: newClients(cfg.Rate, cfg.Burst),
		intake:  httpx.NewIntake(cfg.MaxBody, cfg.BodyBudget, cfg.BodyIdle),
	}
	return &entrance{next: g.router(routes), watch: watch, log: log}
}

// NewServer returns a server for handler that gives slow clients no hold: headers within 10 s and 64 KiB,
// idle connections for 2 minutes. Bodies and answers have deadlines of their own, in httpx. The caller sets
// the address.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
