package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"brenda/pipeline/fault"
)

// A browser cannot set headers on a WebSocket, so it sends its token as a subprotocol: in our form, or in that of the
// clients of OpenAI.
const (
	subprotocolToken = "brenda.token."
	openAIToken      = "openai-insecure-api-key."
)

// tokens are the hashes of the tokens that open the server.
type tokens [][sha256.Size]byte

func newTokens(plain []string) tokens {
	var ts tokens
	for _, t := range plain {
		if t = strings.TrimSpace(t); t != "" {
			ts = append(ts, sha256.Sum256([]byte(t)))
		}
	}
	return ts
}

// check returns who sent the request, as a key that is not secret, and whether the token is valid. All tokens
// are compared, each in constant time.
func (ts tokens) check(r *http.Request) (who string, valid bool) {
	sum := sha256.Sum256([]byte(bearer(r)))
	match := 0
	for i := range ts {
		match |= subtle.ConstantTimeCompare(ts[i][:], sum[:])
	}
	if match == 0 {
		return "", false
	}
	return "token " + hex.EncodeToString(sum[:8]), true
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	if !isUpgrade(r) {
		return ""
	}
	for p := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		for _, prefix := range []string{subprotocolToken, openAIToken} {
			if token, ok := strings.CutPrefix(strings.TrimSpace(p), prefix); ok {
				return token
			}
		}
	}
	return ""
}

func errToken(r *http.Request) error {
	if bearer(r) == "" {
		return fault.New(fault.Unauthorized, "token_missing", "send a token: Authorization: Bearer <token>")
	}
	return fault.New(fault.Unauthorized, "token_wrong", "the token is not valid")
}
