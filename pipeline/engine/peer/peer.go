// Package peer reads what the engines that are other people's HTTP servers have in common: why one did not answer, and
// when it wants to be asked again.
package peer

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Unreachable tells a server that could not be dialled from one that broke off.
func Unreachable(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// RetryAfter returns how long a server asks to be left alone; 0 when it says nothing, or names a date.
func RetryAfter(h http.Header) time.Duration {
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	return 0
}
