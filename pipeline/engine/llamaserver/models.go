package llamaserver

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v3/mem"

	"brenda/pipeline/fault"
)

// Models lists the models whose files are here, sorted.
func (e *Engine) Models(context.Context) ([]string, error) {
	all := e.all()
	maps.DeleteFunc(all, func(_, path string) bool {
		_, err := os.Stat(path)
		return err != nil
	})
	return slices.Sorted(maps.Keys(all)), nil
}

// all maps names to paths, whether or not the files are there. A configured name wins over a file's.
func (e *Engine) all() map[string]string {
	all := map[string]string{}
	if e.cfg.Dir != "" {
		files, _ := filepath.Glob(filepath.Join(globEscape(e.cfg.Dir), "*.gguf"))
		for _, path := range files {
			all[strings.TrimSuffix(filepath.Base(path), ".gguf")] = path
		}
	}
	maps.Copy(all, e.cfg.Models)
	return all
}

// globEscape quotes what Glob would take for a pattern.
func globEscape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// path returns where a model is: fault.NotFound for a name that means nothing, fault.Unavailable for a model
// that is known but not fetched.
func (e *Engine) path(name string) (string, error) {
	path, known := e.all()[name]
	if !known {
		return "", &fault.Error{
			Kind: fault.NotFound, Code: "model_not_found", Param: "model",
			Msg: "there is no LLM of this name; GET /v1/ai/models lists those there are",
		}
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	return path, fault.Wrap(err, fault.Unavailable, "model_missing",
		"the LLM %s is not on this machine; run: brenda models pull", name)
}

// fits guesses whether one more model goes into memory: the weights, and a quarter more for context and
// buffers.
func fits(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return true // the start will say what is wrong
	}
	m, err := mem.VirtualMemory()
	return err != nil || m.Available > uint64(info.Size())*5/4 //nolint:gosec // a file's size is not negative
}
