package outbound

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"brenda/pipeline/fault"
)

// tunnel connects the child with a server, for TLS.
func (l *Lease) tunnel(w http.ResponseWriter, r *http.Request) {
	up, err := l.guard.DialContext(l.ctx, "tcp", r.Host) //nolint:contextcheck // r's own ends with the hijack
	if err != nil {
		l.note(err)
		http.Error(w, "refused", status(fault.KindOf(err)))
		return
	}
	defer l.drop(up)
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer l.drop(down)
	if !l.keep(up, down) {
		return
	}
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer l.drop(up) // the child has no more to say
		_, _ = io.Copy(up, buffered)
	})
	l.receive(down, up)
	l.drop(down)
	both.Wait()
}

// receive copies what the server sends to the child.
func (l *Lease) receive(down, up net.Conn) {
	buf := make([]byte, 32<<10)
	first := true
	for {
		_ = up.SetReadDeadline(time.Now().Add(l.guard.cfg.FirstByte)) // a silent server ends the tunnel
		n, err := up.Read(buf)
		if l.take(n) != nil {
			return
		}
		if n > 0 {
			first = false
			if _, err := down.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if first {
				l.note(Explain(l.ctx, err))
			}
			return
		}
	}
}

// keep remembers connections, so that Close can close them. It fails when that was already.
func (l *Lease) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = struct{}{}
	}
	return l.ctx.Err() == nil
}

func (l *Lease) drop(c net.Conn) {
	_ = c.Close() // may be closed already
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}
