//go:build race

package files_test

// The race detector makes every byte and every file several times dearer.
const (
	usualMB     = 24
	manyEntries = 3000
)
