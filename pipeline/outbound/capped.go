package outbound

import (
	"bytes"
	"io"
)

// Capped keeps so many bytes of what a child says; more is an error, which ends the child.
type Capped struct {
	bytes.Buffer
	Left int
}

// Write implements io.Writer.
func (c *Capped) Write(p []byte) (int, error) {
	if c.Left -= len(p); c.Left < 0 {
		return 0, io.ErrShortWrite
	}
	return c.Buffer.Write(p)
}
