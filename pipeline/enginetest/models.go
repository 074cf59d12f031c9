package enginetest

import (
	"os"
	"path/filepath"
	"testing"
)

// ModelsDir returns the folder of the models that `brenda models pull` has fetched: BRENDA_MODELS_DIR, else
// the user's data folder. A test that needs a model and finds none fails; it is not skipped.
func ModelsDir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("BRENDA_MODELS_DIR")
	if dir == "" {
		data := os.Getenv("XDG_DATA_HOME")
		if data == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				tb.Fatalf("no home folder: %v", err)
			}
			data = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(data, "brenda", "models")
	}
	if _, err := os.Stat(dir); err != nil {
		tb.Fatalf("no models in %s; run: brenda models pull", dir)
	}
	return dir
}
