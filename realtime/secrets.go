package realtime

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"brenda/pipeline/fault"
	"brenda/realtime/protocol"
	"brenda/rest/httpx"
)

const (
	secretPrefix  = "ek_"
	secretLength  = len(secretPrefix) + 26 // of rand.Text: 130 bits
	maxSecrets    = 1000
	maxSecretBody = 1 << 20 // bytes
)

// secrets are the ephemeral keys: each opens conversations of one configuration, and nothing else, until it expires. Only
// their hashes are here, and a restart forgets them.
type secrets struct {
	mu   sync.Mutex
	keys map[credential]secret
}

type secret struct {
	patch   protocol.SessionPatch
	expires time.Time
}

// mint makes a key.
func (s *secrets) mint(p protocol.SessionPatch, expires time.Time) (string, error) {
	key := secretPrefix + strings.ToLower(rand.Text())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[credential]secret{}
	}
	if len(s.keys) >= maxSecrets {
		s.sweep()
	}
	if len(s.keys) >= maxSecrets {
		return "", &fault.Error{
			Kind: fault.Unavailable, Code: "too_many_keys", RetryAfter: 10 * time.Second,
			Msg: "as many ephemeral keys as this server remembers are valid; try again later, or ask for a shorter life",
		}
	}
	s.keys[sha256.Sum256([]byte(key))] = secret{p, expires}
	return key, nil
}

// sweep forgets what has expired. The lock is held.
func (s *secrets) sweep() {
	for k, v := range s.keys {
		if !time.Now().Before(v.expires) {
			delete(s.keys, k)
		}
	}
}

// find returns what a key was made for. The key is looked up by its hash, so that the time it takes tells nothing of it.
func (s *secrets) find(c credential) (protocol.SessionPatch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[c]
	if ok && !time.Now().Before(k.expires) {
		delete(s.keys, c)
		ok = false
	}
	return k.patch, ok
}

// ephemeral tells whether a token has the form of an ephemeral key.
func ephemeral(token string) bool {
	return len(token) == secretLength && strings.HasPrefix(token, secretPrefix)
}

// Opens tells whether a token is an ephemeral key that is valid. It counts for Handle only.
func (s *Server) Opens(token string) bool {
	if !ephemeral(token) {
		return false
	}
	_, ok := s.secrets.find(sha256.Sum256([]byte(token)))
	return ok
}

// ClientSecret answers POST /v1/realtime/client_secrets: a key for one client, such as a page, that must not know the
// server's token.
func (s *Server) ClientSecret(w http.ResponseWriter, r *http.Request) error {
	return s.secret(w, r, protocol.DecodeSecretRequest, func(made protocol.Secret) any { return made })
}

// BetaSession answers POST /v1/realtime/sessions, which is the same in the beta dialect.
func (s *Server) BetaSession(w http.ResponseWriter, r *http.Request) error {
	return s.secret(w, r, protocol.DecodeBetaSecretRequest, func(made protocol.Secret) any { return protocol.BetaSecret(made) })
}

func (s *Server) secret(
	w http.ResponseWriter, r *http.Request,
	decode func([]byte) (protocol.SecretRequest, error), show func(protocol.Secret) any,
) error {
	if ephemeral(tokenOf(r)) {
		return fault.New(fault.Forbidden, "key_makes_no_keys", "an ephemeral key opens conversations and cannot make keys")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSecretBody+1))
	if err != nil {
		return err
	}
	if len(body) > maxSecretBody {
		return fault.New(fault.TooLarge, "too_large", "the body may have %d bytes at most", maxSecretBody)
	}
	req, err := decode(body)
	if err != nil {
		return asFault(err)
	}
	cfg, err := s.configure(req.Session, "", s.cfg.Names(r.Context()))
	if err != nil {
		return asFault(err)
	}
	expires := time.Now().Add(time.Duration(req.Seconds) * time.Second)
	key, err := s.secrets.mint(req.Session, expires)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpx.Write(w, http.StatusOK, show(protocol.Secret{Value: key, ExpiresAt: expires.Unix(), Session: cfg}))
}

// configure returns the session that a key, or nothing but a name of a model, stands for.
func (s *Server) configure(p protocol.SessionPatch, model string, names protocol.Names) (protocol.Session, error) {
	kind := p.Type
	if kind == "" {
		kind = protocol.Realtime
	}
	cfg := protocol.NewSession(kind)
	cfg.Model, cfg.Instructions = model, s.cfg.Instructions
	cfg, err := cfg.Merge(p, false)
	if err == nil {
		err = names.Resolve(&cfg)
	}
	cfg.Output.Speed = max(cfg.Output.Speed, slowest)
	return cfg, err
}

// granted returns what the token of a request was made for: nothing for an ordinary one.
func (s *Server) granted(r *http.Request) (protocol.SessionPatch, error) {
	if !ephemeral(tokenOf(r)) {
		return protocol.SessionPatch{}, nil
	}
	p, ok := s.secrets.find(credentialOf(r))
	if !ok {
		return p, fault.New(fault.Unauthorized, "key_expired", "the ephemeral key is not valid, or not any more; get a new one")
	}
	return p, nil
}

// asFault gives an error of the protocol the form that REST has.
func asFault(err error) error {
	var bad *protocol.Error
	if !errors.As(err, &bad) {
		return err
	}
	f := fault.New(fault.Invalid, bad.Code, "%s", bad.Message)
	if bad.Param != nil {
		f.Param = *bad.Param
	}
	return f
}
