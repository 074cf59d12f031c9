package protocol

import "encoding/json"

// defaultSecret is how long an ephemeral key is valid, in seconds.
const defaultSecret = 600

// SecretRequest is the body of POST /v1/realtime/client_secrets: a key for one client, with the session it
// may open.
type SecretRequest struct {
	Seconds int          // 10…7200, 600 when absent
	Session SessionPatch // its Type is never empty
}

// DecodeSecretRequest reads the body; an empty one asks for the defaults. The error is an [*Error].
func DecodeSecretRequest(body []byte) (SecretRequest, error) {
	var parts struct {
		ExpiresAfter struct {
			Anchor  string   `json:"anchor" rule:"enum=created_at"`
			Seconds Opt[int] `json:"seconds" rule:"min=10,max=7200"`
		} `json:"expires_after"`
		Session SessionPatch `json:"session"`
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
