// Package outboundtest holds what tests of the guard against forbidden addresses share: a trap that nobody may reach, and
// a resolver in the process that changes its mind.
package outboundtest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"brenda/pipeline/outbound"
)

// Here is the one loopback address that tests allow; every other one is forbidden.
var Here = netip.MustParsePrefix("127.0.0.1/32") //nolint:gochecknoglobals // a constant

// Guard returns a guard that reaches the servers at these addresses on 127.0.0.1, and no other loopback address. When the
// test ends it must not have been breached.
func Guard(tb testing.TB, cfg outbound.Config, bases ...string) *outbound.Guard {
	tb.Helper()
	cfg.Allow = append(cfg.Allow, Here)
	cfg.Ports = append(cfg.Ports, 80, 443)
	for _, b := range bases {
		cfg.Ports = append(cfg.Ports, Port(tb, b))
	}
	g := outbound.New(cfg)
	tb.Cleanup(func() {
		if err := g.Close(); err != nil {
			tb.Error(err)
		}
		if n := g.Stats().Breached; n != 0 {
			tb.Errorf("%d connections to forbidden addresses", n)
		}
	})
	return g
}

// Port returns the port of a base URL.
func Port(tb testing.TB, base string) uint16 {
	tb.Helper()
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		tb.Fatal(err)
	}
	return uint16(n)
}

// Trap listens where nobody may connect, 127.0.0.2, and counts who does. It answers as a web server would, so that a
// client that falls into it has every reason to go on.
type Trap struct {
	Addr  string
	count atomic.Int64
}

// NewTrap sets a trap on a port, best that of the server that may be reached. The test fails when it was touched.
func NewTrap(tb testing.TB, port uint16) *Trap {
	tb.Helper()
	inside := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port)
	ln, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", inside.String())
	if err != nil {
		tb.Fatal(err)
	}
	t := &Trap{Addr: ln.Addr().String()}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.count.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\nsecret")
			_ = c.Close() // a client that is here at all fails the test
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close() // ends the loop
		done.Wait()
		if n := t.Count(); n != 0 {
			tb.Errorf("%d connections to a forbidden address", n)
		}
	})
	return t
}

// Count returns how many connections there were.
func (t *Trap) Count() int64 { return t.count.Load() }

// Resolver returns a resolver that asks answer, in the process, for the addresses of a name; n counts the questions for
// that kind of address from 0.
func Resolver(answer func(name string, v6 bool, n int) []netip.Addr) *net.Resolver {
	var mu sync.Mutex
	asked := map[string]int{}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			_ = ours.SetDeadline(time.Now().Add(10 * time.Second)) // the client closes long before
			_ = serve(ours, func(name string, v6 bool) []netip.Addr {
				mu.Lock()
				defer mu.Unlock()
				key := name + strconv.FormatBool(v6)
				n := asked[key]
				asked[key]++
				return answer(name, v6, n)
			})
		}()
		return theirs, nil
	}}
}

// serve answers questions as a name server does over TCP.
func serve(c net.Conn, answer func(name string, v6 bool) []netip.Addr) error {
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return err
		}
		raw := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, raw); err != nil {
			return err
		}
		var m dnsmessage.Message
		if err := m.Unpack(raw); err != nil {
			return err
		}
		if len(m.Questions) == 0 {
			return errors.New("no question")
		}
		q := m.Questions[0]
		out := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true},
			Questions: m.Questions[:1],
		}
		for _, a := range answer(q.Name.String(), q.Type == dnsmessage.TypeAAAA) {
			h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}
			var body dnsmessage.ResourceBody = &dnsmessage.AAAAResource{AAAA: a.As16()}
			if q.Type == dnsmessage.TypeA {
				body = &dnsmessage.AResource{A: a.As4()}
			}
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: body})
		}
		packed, err := out.Pack()
		if err != nil {
			return err
		}
		framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...) //nolint:gosec // small
		if _, err := c.Write(framed); err != nil {
			return err
		}
	}
}
