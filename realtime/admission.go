package realtime

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"brenda/pipeline/fault"
)

// machineOf names the machine that a request comes from. One network of IPv6 counts as one machine.
func machineOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() && !ip.IsLoopback() {
		if net64, err := ip.Prefix(64); err == nil {
			return net64.String()
		}
	}
	return ip.String()
}

// room tells whether one more call of a machine may come in. The lock is held.
func (s *Server) room(c *call) error {
	if len(s.calls) >= s.cfg.Sessions {
		return errFull()
	}
	now := time.Now()
	if why := s.overloaded(now); why != "" {
		if now.Sub(s.warned) > span { // the others are in the log of requests
			s.warned = now
			s.log.Warn("calls are refused", "why", why, "calls", len(s.calls))
		}
		return errFull()
	}
	if s.cfg.PerClient <= 0 {
		return nil
	}
	n := 0
	for other := range s.calls {
		if other.from == c.from {
			n++
		}
	}
	if n < s.cfg.PerClient {
		return nil
	}
	return &fault.Error{
		Kind: fault.RateLimited, Code: "too_many_sessions", RetryAfter: 5 * time.Second,
		Msg: "this client has as many conversations as one client may have; end one of them",
	}
}
