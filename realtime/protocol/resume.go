package protocol

// Resume is what a client needs to go on with its session on another connection. It is told only to clients that asked for
// it: the hosted API has no such thing.
type Resume struct {
	Token   string `json:"token"`   // good for one connection; the next one tells a new token
	Seconds int    `json:"seconds"` // how long the session waits for its client
}

// SessionResumable is a session.created that says how to resume the session.
type SessionResumable struct {
	SessionCreated

	Resume Resume `json:"resume"`
}

// SessionResumed is the first event of a connection on which a session goes on. The events that were missed follow.
type SessionResumed struct {
	Session  Session `json:"session"`
	Resume   Resume  `json:"resume"`
	Missed   int     `json:"missed"`   // how many events follow that the connection before did not bring
	Complete bool    `json:"complete"` // they are all that were missed; else the oldest are gone
}

func (SessionResumed) eventType() string { return "session.resumed" }

// StreamBegun is a response.content_part.added that says which binary frames carry the part's sound.
type StreamBegun struct {
	ContentPartAdded

	Stream int `json:"stream"` // 1…255, then 1 again
}
