//go:build !race

package files_test

const (
	usualMB     = 128    // of the files in the tests of memory
	manyEntries = 70_000 // more than ZIP without Zip64 can count
)
