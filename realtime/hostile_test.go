package realtime

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// raw is a client that keeps to no rules: it writes what it likes on a connection that was upgraded.
type raw struct {
	net.Conn
	in *bufio.Reader
}

func (h *house) raw(t *testing.T) raw {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", base64.StdEncoding.EncodeToString(make([]byte, 16)))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	return raw{conn, in}
}

// part writes one frame of the WebSocket, masked with zeros.
func (r raw) part(fin bool, opcode byte, payload string) error {
	b := []byte{opcode, 0x80 | byte(min(len(payload), 126))}
	if fin {
		b[0] |= 0x80
	}
	if len(payload) >= 126 {
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	}
	b = append(b, 0, 0, 0, 0)
	_, err := r.Write(append(b, payload...))
	return err
}

// next reads one frame of the server.
func (r raw) next(t *testing.T) (opcode byte, payload []byte) {
	t.Helper()
	head := make([]byte, 2)
	must := func(b []byte) {
		for n := 0; n < len(b); {
			m, err := r.in.Read(b[n:])
			if n += m; err != nil {
				t.Fatal(err)
			}
		}
	}
	must(head)
	n := int(head[1])
	if n == 126 {
		must(head[:2])
		n = int(binary.BigEndian.Uint16(head))
	}
	payload = make([]byte, n)
	must(payload)
	return head[0] & 0xf, payload
}

const opText, opMore, opPing, opPong = 1, 0, 9, 10

// TestEmptyFragments sends an event in ten thousand pieces, nearly all of them empty.
func TestEmptyFragments(t *testing.T) {
	h := newHouse(t, 1)
	r := h.raw(t)
	event := `{"type":"input_audio_buffer.clear"}`
	err := r.part(false, opText, event[:10])
	for range 10_000 {
		if err == nil {
			err = r.part(false, opMore, "")
		}
	}
	if err == nil {
		err = r.part(true, opMore, event[10:])
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, b := r.next(t); strings.Contains(string(b), "input_audio_buffer.cleared") {
			return
		}
	}
}

// TestPingFlood answers a hundred pings at once and ten a second after that, and the session goes on.
func TestPingFlood(t *testing.T) {
	h := newHouse(t, 1)
	r := h.raw(t)
	go func() {
		for range 20_000 {
			if r.part(true, opPing, "x") != nil {
				return
			}
		}
		_ = r.part(true, opText, `{"type":"input_audio_buffer.clear"}`)
	}()
	for pongs := 0; ; {
		op, b := r.next(t)
		switch {
		case op == opPong:
			pongs++
		case strings.Contains(string(b), "input_audio_buffer.cleared"):
			if pongs < 100 || pongs > 1000 {
				t.Errorf("%d pings were answered", pongs)
			}
			return
		}
	}
}

// TestEventFlood has a client send as fast as it can: its own connection slows it down, others are served.
func TestEventFlood(t *testing.T) {
	h := newHouse(t, 2)
	r := h.raw(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := make(chan int, 1)
	go func() {
		n := 0
		for ctx.Err() == nil && r.part(true, opText, `{"type":"input_audio_buffer.append","audio":"AAAA"}`) == nil {
			n++
		}
		sent <- n
	}()
	other := h.dial(t, "", nil)
	until(t, other, "session.created")
	begin := time.Now()
	write(t, other, `{"type":"response.create"}`)
	until(t, other, "response.done")
	cancel()
	r.Close()
	taken := float64(<-sent)
	// What fits into the buffers of the connection, megabytes, was taken by the kernel, not by the server.
	t.Logf("%.0f events were written in %v", taken, time.Since(begin))
}

// TestOneByteASecond has a client send a frame so slowly that it cannot answer a ping: it is given up, as one that
// vanished is. Everybody else is served all the while.
func TestOneByteASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := begin(t, script{})
		defer p.hub.Close(t.Context())
		p.line.mute.Store(true) // no pong
		began := time.Now()
		<-p.over
		if d := time.Since(began); d > pingEvery+pongTimeout+time.Second {
			t.Errorf("it was given up after %v", d)
		}
	})
}

// TestNeverReads has clients that ask for answers and read nothing: the server gives them up, and keeps serving.
func TestNeverReads(t *testing.T) {
	scene(t, script{resume: true}, func(p *person) {
		p.line.stuck = true
		for range 5 {
			p.types("Quel temps fait-il ?")
			time.Sleep(3 * time.Second)
		}
		<-p.line.gone
		if p.line.why != errSlow { //nolint:errorlint // itself
			t.Errorf("the connection was closed because of %v", p.line.why)
		}
		<-p.over // nobody comes back
	})
}

// TestNothingIsLeft has 200 clients come and vanish at any moment, some of whom might come back: files, goroutines and
// memory return to what they were.
func TestNothingIsLeft(t *testing.T) {
	h := newHouse(t, 300)
	visit := func(n int) {
		done := make(chan struct{})
		for i := range n {
			go func() {
				defer func() { done <- struct{}{} }()
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+7*i)*time.Millisecond)
				defer cancel()
				o := &websocket.DialOptions{}
				if i%2 == 0 {
					o.Subprotocols = []string{binaryProtocol}
				}
				conn, _, err := websocket.Dial(ctx, h.url, o)
				if err != nil {
					return
				}
				defer conn.CloseNow()
				_ = conn.Write(ctx, websocket.MessageText, []byte(`{"type":"response.create"}`))
				for err == nil {
					_, _, err = conn.Read(ctx)
				}
				if i%2 == 0 {
					_ = conn.Close(websocket.StatusNormalClosure, "") // else it would be waited for
				}
			}()
		}
		for range n {
			<-done
		}
	}
	settled := func() (files, routines int) {
		for range 500 {
			d, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			files, routines = len(d), ofCalls()
			if h.srv.Calls() == 0 && routines == 0 {
				break
			}
			h.srv.endAway()
			time.Sleep(20 * time.Millisecond)
		}
		return files, routines
	}
	visit(5)
	files, routines := settled()
	visit(200)
	filesAfter, routinesAfter := settled()
	if n := h.srv.Calls(); n > 0 || filesAfter > files+5 || routines > 0 || routinesAfter > 0 {
		t.Errorf("%d calls are left, %d files after %d, %d goroutines after %d", n, filesAfter, files, routinesAfter, routines)
	}
}

// ofCalls counts the goroutines that carry calls out. Those of the conversations live longer, by design.
func ofCalls() int {
	b := make([]byte, 4<<20)
	b = b[:runtime.Stack(b, true)]
	n := 0
	for g := range strings.SplitSeq(string(b), "\n\n") {
		if strings.Contains(g, "realtime.(*call)") || strings.Contains(g, "realtime.(*leg)") {
			n++
		}
	}
	return n
}

// endAway has those whose client is gone wait no longer.
func (s *Server) endAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.calls {
		if c.gone.Load() {
			c.hangUp(errGone)
		}
	}
}
