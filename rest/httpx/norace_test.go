//go:build !race

package httpx_test

import "brenda/rest/httpx"

// largest is the largest body of a test: the real limit.
const largest = httpx.MaxBody
