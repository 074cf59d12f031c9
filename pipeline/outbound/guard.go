// Package outbound is the only way out of Brenda for addresses that clients choose.
//
// A [Guard] decides, at each dial and on the address that is really dialled, whether it may be reached: after name
// resolution, after every redirect, whatever the name looked like. [Guard.Get] fetches with it; a [Lease] is a small
// HTTP proxy on loopback that shows the network through the Guard to one child process, which could not be guarded
// otherwise. [Target] checks what a client calls a URL.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"brenda/pipeline/fault"
)

// Limits of every fetch, from the v1 contract.
const (
	DefaultBytes     = 104_857_600      // of one medium or page: 100 MB
	DefaultFirstByte = 30 * time.Second // the longest silence of a server, before its first byte or later
	DefaultTotal     = 10 * time.Minute // for one page
	MaxRedirects     = 5
	connectTimeout   = 10 * time.Second
)

// Config is what a Guard needs to know. The zero value reaches public addresses on ports 80 and 443.
type Config struct {
	Allow     []netip.Prefix // private networks that may be reached all the same
	Ports     []uint16       // default 80 and 443
	Resolver  *net.Resolver  // default the system's
	Bytes     int64          // of one answer; default DefaultBytes
	FirstByte time.Duration  // default DefaultFirstByte
	Total     time.Duration  // for one Get, to its last byte; default DefaultTotal
	Agent     string         // User-Agent; default "Brenda"
}

// Guard decides which addresses may be dialled. It may be used from any number of goroutines.
type Guard struct {
	cfg    Config
	rules  *ssrf.Guardian
	dialer net.Dialer
	client *clients

	dialled, refused, breached atomic.Int64
}

// Stats counts what a Guard did.
type Stats struct {
	Dialled  int64 // connections that were tried
	Refused  int64 // dials that were refused before anything was sent
	Breached int64 // connections to a forbidden address that came about all the same: must stay 0
}

// New returns a Guard.
func New(cfg Config) *Guard {
	if len(cfg.Ports) == 0 {
		cfg.Ports = []uint16{80, 443}
	}
	if cfg.Bytes <= 0 {
		cfg.Bytes = DefaultBytes
	}
	if cfg.FirstByte <= 0 {
		cfg.FirstByte = DefaultFirstByte
	}
	if cfg.Total <= 0 {
		cfg.Total = DefaultTotal
	}
	if cfg.Agent == "" {
		cfg.Agent = "Brenda"
	}
	g := &Guard{cfg: cfg, rules: rules(cfg)}
	g.dialer = net.Dialer{Timeout: connectTimeout, Resolver: cfg.Resolver, ControlContext: g.control}
	g.client = newClients(g)
	return g
}

// rules are those of the ssrf library, which follows the registries of IANA, and what is not in them: Azure's metadata
// service has an address that looks public.
func rules(cfg Config) *ssrf.Guardian {
	var v4, v6 []netip.Prefix
	for _, p := range cfg.Allow {
		if p.Addr().Unmap().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return ssrf.New(
		ssrf.WithPorts(cfg.Ports...),
		ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...),
		ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("168.63.129.16/32")),
	)
}

// Stats returns the counters.
func (g *Guard) Stats() Stats {
	return Stats{Dialled: g.dialled.Load(), Refused: g.refused.Load(), Breached: g.breached.Load()}
}

// Limit returns how many bytes of one medium are read.
func (g *Guard) Limit() int64 { return g.cfg.Bytes }

// Close closes idle connections.
func (g *Guard) Close() error {
	g.client.close()
	return nil
}

// Check returns why an address may not be dialled, as fault.Forbidden, or nil.
func (g *Guard) Check(to netip.AddrPort) error {
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	err := g.rules.SafeAddrPort(to)
	switch {
	case errors.Is(err, ssrf.ErrProhibitedPort):
		return fault.Wrap(err, fault.Forbidden, "forbidden_port",
			"port %d is not one of those that may be asked (media.ports)", to.Port())
	case err == nil && g.own(to.Addr()):
		err = fmt.Errorf("%w: an address of this machine", ssrf.ErrProhibitedIP)
	}
	return fault.Wrap(err, fault.Forbidden, "forbidden_address",
		"the URL leads to an address that is not public; media.allow opens private networks")
}

// own tells whether a is an address of this machine, be it public, that was not allowed by name.
func (g *Guard) own(a netip.Addr) bool {
	if slices.ContainsFunc(g.cfg.Allow, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false // the prefixes are checked anyway
	}
	return slices.ContainsFunc(addrs, func(have net.Addr) bool {
		p, err := netip.ParsePrefix(have.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

// control is asked by the dialer about each address, after resolution and before anything is sent.
func (g *Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err == nil && network != "tcp4" && network != "tcp6" {
		err = fmt.Errorf("network %q", network)
	}
	if err != nil {
		err = fault.Wrap(err, fault.Forbidden, "forbidden_address", "the URL leads to an address that is not public")
	} else {
		err = g.Check(to)
	}
	if err != nil {
		g.refused.Add(1)
		return err
	}
	g.dialled.Add(1)
	return nil
}

// DialContext connects to host:port over TCP if the address behind it may be reached. Errors are those of [Explain].
func (g *Guard) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := g.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, Explain(ctx, err)
	}
	to, ok := conn.RemoteAddr().(*net.TCPAddr)
	if ok {
		err = g.Check(to.AddrPort())
	}
	if !ok || err != nil {
		g.breached.Add(1)
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Explain returns err, of asking a server, as the fault that a client may read: a name that does not resolve is
// Invalid with code "unresolvable", silence is Timeout, anything else Upstream. The end of ctx and faults stay as
// they are.
func Explain(ctx context.Context, err error) error {
	var known *fault.Error
	var dns *net.DNSError
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(context.Cause(ctx), &known):
		return known
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &dns):
		f := fault.New(fault.Invalid, "unresolvable", "the name in the URL does not resolve")
		f.Param, f.Err = "url", err
		return f
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "upstream_timeout", "the server behind the URL is too slow")
	}
	return fault.Wrap(err, fault.Upstream, "upstream_failed", "the server behind the URL failed")
}
