package httpx

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"

	"brenda/pipeline/fault"
)

// MaxBody is the largest body of a request, in bytes: the specification's 100 MB.
const MaxBody = 104_857_600

const (
	budgetStep  = 1 << 20          // a body of unknown length takes its share of the budget in such steps
	minRate     = 1 << 10          // bytes per second that a body must bring on average
	graceTime   = 15 * time.Second // before the average counts
	lingerTime  = 5 * time.Second  // for a client that still sends when it has its answer
	lingerBytes = 2 * MaxBody
)

// Intake limits what comes in as bodies: each one's size and speed, and the sum of all that are under way.
type Intake struct {
	Limit  int64         // bytes of one body
	Idle   time.Duration // the longest pause within a body
	budget *semaphore.Weighted
}

// NewIntake returns an intake with room for budget bytes of bodies at once.
func NewIntake(limit, budget int64, idle time.Duration) *Intake {
	return &Intake{Limit: limit, Idle: idle, budget: semaphore.NewWeighted(max(budget, limit))}
}

// Wrap puts the limits on r's body. [Body.Done] must be called after the answer.
func (in *Intake) Wrap(w http.ResponseWriter, r *http.Request) *Body {
	b := &Body{in: in, body: r.Body, rc: http.NewResponseController(w), begin: time.Now()}
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		b.ended = true
		return b
	}
	b.expect = r.Header.Get("Expect") != ""
	r.Body = b
	_ = b.rc.SetReadDeadline(b.begin.Add(in.Idle)) // a test's recorder has none
	return b
}

func (in *Intake) tooLarge() error {
	return fault.New(fault.TooLarge, "too_large", "a request may have at most %d bytes", in.Limit)
}

// Body is a request's body under the limits of an [Intake].
type Body struct {
	in      *Intake
	body    io.ReadCloser
	rc      *http.ResponseController
	begin   time.Time
	counted bool  // the length is known, and reserved
	expect  bool  // the client waits for leave to send
	read    int64 // bytes so far
	held    int64 // bytes of the budget
	ended   bool
	slow    bool // and not worth waiting for
}

// Admit reserves the room for a body of length bytes, −1 for an unknown one. It refuses one that is too
// large, and any while there is no room.
func (b *Body) Admit(length int64) error {
	switch {
	case length > b.in.Limit:
		return b.in.tooLarge()
	case length > 0:
		b.counted = true
		return b.reserve(length)
	}
	return nil
}

func (b *Body) reserve(n int64) error {
	if !b.in.budget.TryAcquire(n) {
		return &fault.Error{
			Kind: fault.Unavailable, Code: "overloaded",
			Msg: "the server is busy with other large requests; try again in a moment",
		}
	}
	b.held += n
	return nil
}

// Read reads on, as long as the client keeps to the limits.
func (b *Body) Read(p []byte) (int, error) {
	now := time.Now()
	if d := now.Sub(b.begin); d > graceTime && float64(b.read) < d.Seconds()*minRate {
		b.slow = true
		return 0, errSlow(nil)
	}
	_ = b.rc.SetReadDeadline(now.Add(b.in.Idle)) // a test's recorder has none
	n, err := b.body.Read(p)
	b.read += int64(n)
	switch {
	case b.read > b.in.Limit:
		return 0, b.in.tooLarge()
	case errors.Is(err, io.EOF):
		b.ended = true
		_ = b.rc.SetReadDeadline(time.Time{}) // or it would end the request while it is being answered
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.slow = true
		return n, errSlow(err)
	case err != nil:
		return n, fault.Wrap(err, fault.Invalid, "broken_body", "the body did not arrive whole")
	}
	if !b.counted && b.read > b.held {
		if err := b.reserve(budgetStep); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func errSlow(err error) error {
	return &fault.Error{Kind: fault.Invalid, Code: "slow_body", Msg: "the body arrives too slowly", Err: err}
}

// Close closes the body.
func (b *Body) Close() error { return b.body.Close() }

// Release gives the room back that Admit and Read reserved.
func (b *Body) Release() {
	if b.held > 0 {
		b.in.budget.Release(b.held)
		b.held = 0
	}
}

// Done gives the budget back. When the answer came before the end of the body, what the client still sends is
// read for a while: a connection closed at once would be reset, and the client would never see the answer.
func (b *Body) Done() {
	b.Release()
	if b.ended || b.slow || b.expect && b.read == 0 {
		return
	}
	_ = b.rc.Flush() // nothing depends on it
	_ = b.rc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, b.body, lingerBytes)
}
