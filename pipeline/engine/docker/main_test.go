package docker_test

import (
	"testing"

	"go.uber.org/goleak"

	"brenda/pipeline/engine/docker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine returns an engine that is closed with the test.
func engine(t *testing.T, cfg docker.Config) *docker.Engine {
	t.Helper()
	e, err := docker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}
