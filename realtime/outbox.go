package realtime

import "sync"

// maxWaiting is how many bytes may wait for a client. Sound is paced, so a client that reads has next to nothing waiting;
// this is half a minute of it.
const maxWaiting = 2 << 20

// outbox holds the frames that the writer has not sent yet, in order.
type outbox struct {
	mu     sync.Mutex
	frames [][]byte
	bytes  int
	closed bool
	wake   chan struct{} // has room for one: something has changed
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put adds a frame; false means that there is no room and the client must be given up.
func (o *outbox) put(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true // nobody waits for it any more
	}
	if o.bytes+len(frame) > maxWaiting {
		return false
	}
	o.frames = append(o.frames, frame)
	o.bytes += len(frame)
	o.signal()
	return true
}

// take returns all that waits. more is false when nothing will ever come again.
func (o *outbox) take() (frames [][]byte, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames, o.frames, o.bytes = o.frames, nil, 0
	return frames, !o.closed
}

// close ends the box: what is in it is still sent.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
