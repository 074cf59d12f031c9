//go:build race

package httpx_test

// largest is the largest body of a test: the race detector makes every byte a dozen times dearer.
const largest = 10 << 20
