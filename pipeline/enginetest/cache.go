package enginetest

import (
	"os"
	"path/filepath"
	"testing"
)

// CacheDir returns a folder that make test fills, by a script of deploy, before it runs the tests: name is "clients" or
// "autobahn". A folder that is not there, or not complete, fails the test.
func CacheDir(tb testing.TB, name string) string {
	tb.Helper()
	cache, err := os.UserCacheDir() // XDG_CACHE_HOME, else ~/.cache
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(cache, "brenda", name)
	if _, err := os.Stat(filepath.Join(dir, "VERSION")); err != nil {
		tb.Fatalf("%v; make test makes it", err)
	}
	return dir
}
