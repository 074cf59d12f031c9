package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"brenda/audio"
)

// The moments at which clients drop.
const (
	beforeUpgrade = iota
	whenCreated
	inSpeech
	inAnswer
)

// dropper is a client that connects and vanishes, without a goodbye.
type dropper struct {
	p      *program
	random *rand.Rand
	binary bool
	pcm    []float32 // what it says
}

// dropIn has n clients drop, three at a time, at random moments of all kinds; a fifth of them speak the binary form, whose
// calls wait for them for a minute. It returns how often one was refused for want of room, and came again.
func dropIn(t *testing.T, p *program, n int) (refused int64) {
	t.Helper()
	pcm, _ := recorded(t, "agent-loggedoff")
	moment := func(i int) int {
		if i%20 == 19 { // answers cost most
			return inAnswer
		}
		return []int{beforeUpgrade, whenCreated, inSpeech}[i%3]
	}
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(3)
	var again atomic.Int64
	for i := range n {
		d := dropper{p, rand.New(rand.NewPCG(1, uint64(i))), i/20%5 == 0, pcm}
		g.Go(func() error {
			for {
				in, err := d.drop(ctx, moment(i))
				if in || err != nil {
					return err
				}
				again.Add(1)
				select {
				case <-time.After(200 * time.Millisecond):
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return again.Load()
}

// drop connects and vanishes at that moment. in is false when there was no room.
func (d dropper) drop(ctx context.Context, moment int) (in bool, err error) {
	if moment == beforeUpgrade {
		return true, d.head(ctx)
	}
	var o websocket.DialOptions
	if d.binary {
		o.Subprotocols = []string{"brenda.binary.v1"}
	}
	conn, resp, err := websocket.Dial(ctx, strings.Replace(d.p.base, "http", "ws", 1)+"/v1/realtime", &o)
	if err != nil && resp != nil && resp.StatusCode == http.StatusServiceUnavailable {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	if _, _, err := conn.Read(ctx); err != nil || moment == whenCreated {
		return true, err
	}
	if moment == inSpeech {
		return true, d.talk(ctx, conn)
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(say("Raconte une histoire.", 24))); err != nil {
		return true, err
	}
	for n := 1 + d.random.IntN(30); n > 0; n-- {
		if _, _, err := conn.Read(ctx); err != nil {
			return true, err
		}
	}
	return true, nil
}

// handshake is the head of an upgrade.
const handshake = "GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// head sends some of a handshake; if it was all of it, the answer finds nobody.
func (d dropper) head(ctx context.Context) error {
	conn, err := d.p.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, handshake[:min(d.random.IntN(2*len(handshake)), len(handshake))])
	return err
}

func (p *program) connect(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", strings.TrimPrefix(p.base, "http://"))
}

// talk says something, faster than a person would, and stops in the midst of it.
func (d dropper) talk(ctx context.Context, conn *websocket.Conn) error {
	const step = benchRate / 50
	for i := range 5 + d.random.IntN(len(d.pcm)/step-5) {
		sound := audio.PCM16(d.pcm[i*step : (i+1)*step])
		frame, kind := []byte(`{"type":"input_audio_buffer.append","audio":"`+base64.StdEncoding.EncodeToString(sound)+`"}`),
			websocket.MessageText
		if d.binary {
			frame, kind = []byte{1, 0}, websocket.MessageBinary
			frame = binary.LittleEndian.AppendUint16(frame, uint16(i))
			frame = append(binary.LittleEndian.AppendUint32(frame, uint32(i*20)), sound...)
		}
		if err := conn.Write(ctx, kind, frame); err != nil {
			return err
		}
	}
	return nil
}

// upgraded returns a connection on which a client may write what it likes.
func (p *program) upgraded(t *testing.T) net.Conn {
	t.Helper()
	conn, err := p.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, handshake); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 101" {
		t.Fatalf("%q, %v", head, err)
	}
	return conn
}

// masked is a text frame as a client sends it, under a mask of zeros.
func masked(text string) []byte {
	b := append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, uint64(len(text)))...)
	return append(append(b, 0, 0, 0, 0), text...)
}

// neverReads asks for a long answer, reads none of it, and goes on with messages that the server has to repeat, until it has
// been given up.
func neverReads(t *testing.T, p *program) {
	t.Helper()
	conn := p.upgraded(t)
	if _, err := conn.Write(masked(say("Raconte une très longue histoire.", 400))); err != nil {
		t.Fatal(err)
	}
	message := masked(`{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text",` +
		`"text":"` + strings.Repeat("Je ne lis rien. ", 10_000) + `"}]}}`)
	if err := conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for n := range 10_000 {
		if _, err := conn.Write(message); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("after %d messages nobody reads them: %v", n, err)
			}
			t.Logf("given up after %d messages: %v", n, err)
			return
		}
	}
	t.Fatal("a client that never reads is still served")
}

// drip sends bytes, one each second, and tells how the server ended that.
func drip(t *testing.T, conn net.Conn, what string, bytes []byte) <-chan string {
	t.Helper()
	gone := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for _, b := range bytes {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
		}
	}()
	go func() {
		defer cancel()
		n, err := io.Copy(io.Discard, conn)
		gone <- fmt.Sprintf("%s: given up after %d bytes to it (%v)", what, n, err)
	}()
	return gone
}

// slowHead is a client whose request comes byte by byte.
func slowHead(t *testing.T, p *program) <-chan string {
	t.Helper()
	conn, err := p.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return drip(t, conn, "the head", []byte(handshake))
}

// slowFrame is a client whose first event comes byte by byte, so that it cannot answer a ping either.
func slowFrame(t *testing.T, p *program) <-chan string {
	t.Helper()
	return drip(t, p.upgraded(t), "the frame", masked(say("Bonjour ?", 16)))
}
