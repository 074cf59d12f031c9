package protocol

import (
	"encoding/json"
	"strings"
)

// defaultSecret is how long an ephemeral key is valid, in seconds.
const defaultSecret = 600

// SecretRequest is the body of POST /v1/realtime/client_secrets: a key for one client, with the session it
// may open.
type SecretRequest struct {
	Seconds int          // 10…7200, 600 when absent
	Session SessionPatch // its Type is never empty
}

// life is how long a key is to be valid.
type life struct {
	Anchor  string   `json:"anchor" rule:"enum=created_at"`
	Seconds Opt[int] `json:"seconds" rule:"min=10,max=7200"`
}

// DecodeSecretRequest reads the body; an empty one asks for the defaults. The error is an [*Error].
func DecodeSecretRequest(body []byte) (SecretRequest, error) {
	var parts struct {
		ExpiresAfter life         `json:"expires_after"`
		Session      SessionPatch `json:"session"`
	}
	if len(body) > 0 {
		if !json.Valid(body) {
			return SecretRequest{}, Invalid(CodeInvalidValue, "", "The body is not JSON.")
		}
		if err := decodeInto(body, &parts, ""); err != nil {
			return SecretRequest{}, err
		}
	}
	req := SecretRequest{Seconds: defaultSecret, Session: parts.Session}
	parts.ExpiresAfter.Seconds.to(&req.Seconds)
	if req.Session.Type == "" {
		req.Session.Type = Realtime
	}
	return req, nil
}

// Secret is the answer: the key and the session as it will begin.
type Secret struct {
	Value     string  `json:"value"`      // "ek_…": clients in browsers insist on the beginning
	ExpiresAt int64   `json:"expires_at"` // seconds since 1970
	Session   Session `json:"session"`
}

// DecodeBetaSecretRequest reads the body of POST /v1/realtime/sessions, the beta dialect's request for a key: a flat
// session, with client_secret beside its fields. The error is an [*Error].
func DecodeBetaSecretRequest(body []byte) (SecretRequest, error) {
	req := SecretRequest{Seconds: defaultSecret, Session: SessionPatch{Type: Realtime}}
	if len(body) == 0 {
		return req, nil
	}
	if !json.Valid(body) {
		return req, Invalid(CodeInvalidValue, "", "The body is not JSON.")
	}
	var parts struct {
		Secret struct {
			ExpiresAfter life `json:"expires_after"`
		} `json:"client_secret"`
	}
	if err := decodeInto(body, &parts, ""); err != nil {
		return req, err
	}
	nested, err := nest(body, "session", sessionRenames())
	if err == nil {
		err = decodeInto(withType(nested, Realtime), &req.Session, "session")
	}
	if err != nil {
		err = betaParam(err)
		if err.Param != nil {
			param := strings.TrimPrefix(*err.Param, "session.")
			err.Message, err.Param = strings.ReplaceAll(err.Message, *err.Param, param), &param
		}
		return req, err
	}
	parts.Secret.ExpiresAfter.Seconds.to(&req.Seconds)
	return req, nil
}

// BetaSecret is the answer in the beta dialect: the session, and the key in its client_secret.
type BetaSecret Secret

// MarshalJSON writes the flat object.
func (s BetaSecret) MarshalJSON() ([]byte, error) {
	o := betaSession(s.Session)
	o["client_secret"] = marshal(map[string]any{"value": s.Value, "expires_at": s.ExpiresAt})
	return json.Marshal(o)
}
