// Package schedule decides who may compute when.
//
// Brenda's engines share a few cores, and two that compute at once on the same cores can both be slower than
// one after the other. A [Queue] bounds how much of one engine's work runs at once and how long work may
// wait for it; the [Machine] that queues share holds back what nobody is waiting for while somebody is: a
// turn before speculation before batch work. A turn never holds itself back: its stages are of one class, in
// queues of their own.
package schedule

import "context"

// Class says how urgent work is.
type Class int

// The classes, most urgent first.
const (
	Foreground  Class = iota // somebody waits for it
	Speculative              // may turn out useful; cancelled (fault.ErrPreempted) when foreground work comes
	Batch                    // must be done some time
	classes
)

// String returns the class as metrics call it.
func (c Class) String() string {
	switch c {
	case Speculative:
		return "speculative"
	case Batch:
		return "batch"
	default:
		return "foreground"
	}
}

type classKey struct{}

// With marks the work done under a context.
func With(ctx context.Context, c Class) context.Context { return context.WithValue(ctx, classKey{}, c) }

// From returns the class of a context's work: Foreground unless it was marked otherwise.
func From(ctx context.Context) Class {
	switch c := ctx.Value(classKey{}).(type) {
	case *lane:
		return c.class()
	case Class:
		if c > Foreground && c < classes {
			return c
		}
	}
	return Foreground
}
