package session

import (
	"context"
	"time"
)

// Store keeps conversations. What Append has acknowledged survives a crash of the process.
type Store interface {
	// Open returns the record of a conversation, and creates it when there is none.
	Open(ctx context.Context, id string) (Record, error)
	// Append adds a finished turn to a conversation; the oldest may be dropped beyond the store's limit.
	Append(ctx context.Context, id string, t Turn) error
	// SetModel remembers the model that the conversation uses.
	SetModel(ctx context.Context, id, model string) error
}

// Record is one conversation as stored.
type Record struct {
	ID      string    `json:"session_id"`
	Created time.Time `json:"created_at"`
	Model   string    `json:"model,omitempty"`
	Turns   []Turn    `json:"turns"` // oldest first
}

// Turn is one exchange.
type Turn struct {
	Number    uint64    `json:"turn"`
	At        time.Time `json:"at"`
	User      string    `json:"user"`      // empty when the assistant went on by itself, after a call
	Assistant string    `json:"assistant"` // what was heard, when it was cut; empty when there was none
	Cut       bool      `json:"cut,omitempty"`
	Calls     []Call    `json:"calls,omitempty"` // made before the answer, in order
}

// Call is a function that was called in a turn, and what came of it.
type Call struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // a JSON object
	Output    string `json:"output"`
}
