package realtime

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"brenda/pipeline/fault"
	"brenda/realtime/protocol"
)

// credential is what a client came in with, as a hash: the same one must come to resume its session.
type credential [sha256.Size]byte

func credentialOf(r *http.Request) credential { return sha256.Sum256([]byte(tokenOf(r))) }

// tokenOf returns what a request identifies itself by, "" for nothing. It is secret.
func tokenOf(r *http.Request) string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, p := range subprotocols(r) {
		for _, prefix := range []string{"brenda.token.", "openai-insecure-api-key."} {
			if t, ok := strings.CutPrefix(p, prefix); ok && token == "" {
				token = t
			}
		}
	}
	return strings.TrimSpace(token)
}

// tickets are the tokens by which calls are resumed. Each call has one at most, and each is good for once.
type tickets struct {
	mu    sync.Mutex
	calls map[string]*call
	of    map[*call]string
}

// issue gives a call a new token in the place of the one before.
func (t *tickets) issue(c *call) string {
	token := rand.Text()
	t.put(c, token)
	return token
}

// put has a token stand for a call, unless the call is over.
func (t *tickets) put(c *call, token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-c.ended:
		return
	default:
	}
	if t.calls == nil {
		t.calls, t.of = map[string]*call{}, map[*call]string{}
	}
	delete(t.calls, t.of[c])
	t.calls[token], t.of[c] = c, token
}

// redeem takes the token of a client, and returns the call that it is for; nil when there is none.
func (t *tickets) redeem(token string, who credential) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.calls[token]
	if c == nil || c.resume.who != who {
		return nil
	}
	delete(t.calls, token)
	delete(t.of, c)
	return c
}

// void takes the token of a call that is over.
func (t *tickets) void(c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.calls, t.of[c])
	delete(t.of, c)
}

// resumeToken returns the token that a request wants to resume with; "1" asks for one instead.
func resumeToken(r *http.Request) string {
	token := r.URL.Query().Get("resume")
	if h := r.Header.Get("Brenda-Resume"); h != "" {
		token = h
	}
	if token == "1" {
		return ""
	}
	return token
}

// placeOf returns how far a client says that it has got.
func placeOf(r *http.Request) (place, error) {
	q := r.URL.Query()
	at := place{event: q.Get("last")}
	if h := r.Header.Get("Last-Event-ID"); h != "" {
		at.event = h
	}
	if at.event == "" {
		return at, fault.Field("last", "name the last event that arrived, so that the others can follow")
	}
	if q.Has("sound") {
		n, err := strconv.ParseUint(q.Get("sound"), 10, 16)
		if err != nil {
			return at, fault.Field("sound", "is the sequence of the last binary frame that arrived, 0 to 65535")
		}
		at.sound, at.heard = uint16(n), true
	}
	return at, nil
}

// resume puts a client that has come back through to its call.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, token string) error {
	at, err := placeOf(r)
	if err != nil {
		return err
	}
	c := s.tickets.redeem(token, credentialOf(r))
	if c == nil {
		return fault.New(fault.NotFound, "session_gone",
			"there is no session to resume with this token: it was used before, or the session is over; connect without it")
	}
	device := slices.Contains(subprotocols(r), binaryProtocol)
	if device != (c.resume.coder != nil) {
		s.tickets.put(c, token)
		return fault.Field("resume", "the session goes on in the subprotocol that it was begun in")
	}
	conn, err := accept(w, r)
	if err != nil {
		s.tickets.put(c, token)
		return nil //nolint:nilerr // accept has answered
	}
	var l *leg
	if device {
		l = newLeg(c.device(conn))
	} else {
		l = newLeg(newJSONWire(conn, protocol.GA))
	}
	if !c.post(func(ctx context.Context) { c.rejoin(ctx, l, at) }) {
		l.end(errGone) // in this very moment
	}
	c.carry(context.WithoutCancel(r.Context()), l)
	return nil
}
