package llamaserver

import (
	"context"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"brenda/pipeline/engine/openaichat"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
)

//go:embed serve.py
var serveScript string

const probeTimeout = 20 * time.Second // importing a package from a cold disk takes seconds

// runner is a way to run llama.cpp's server.
type runner struct {
	path string // of llama-server, or of Python
	pkg  string // the folder that holds xllamacpp; empty for a llama-server
	help string // llama-server's own list of options: versions differ
}

// runner returns the server to use and remembers it. What is missing now may be installed by the next call.
func (e *Engine) runner(ctx context.Context) (*runner, error) {
	e.findMu.Lock()
	defer e.findMu.Unlock()
	if e.found != nil {
		return e.found, nil
	}
	r := e.findServer(ctx)
	if r == nil {
		r = e.findPackage(ctx)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r == nil {
		return nil, fault.New(fault.Unavailable, "engine_missing",
			"no llama.cpp server runs here: run 'brenda models pull', install llama-server, or set llm.url")
	}
	e.found = r
	e.log.InfoContext(ctx, "llama.cpp server found", "path", r.path, "package", r.pkg)
	return r, nil
}

// findServer looks for a llama-server and tries it: one that was built for another processor dies at once.
func (e *Engine) findServer(ctx context.Context) *runner {
	name := e.cfg.Server
	if name == "" {
		name = "llama-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if e.cfg.Server != "" {
			e.log.WarnContext(ctx, "the configured llama-server is not there", "error", err)
		}
		return nil
	}
	if _, err := probe(ctx, nil, path, "--version"); err != nil {
		e.log.WarnContext(ctx, "llama-server does not run here", "path", path, "error", err)
		return nil
	}
	help, err := probe(ctx, nil, path, "--help")
	if err != nil {
		e.log.WarnContext(ctx, "llama-server does not tell its options", "path", path, "error", err)
	}
	return &runner{path: path, help: help}
}

func (e *Engine) findPackage(ctx context.Context) *runner {
	if e.cfg.Package == "" {
		return nil
	}
	pkg, err := filepath.Abs(e.cfg.Package)
	if err != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(pkg, "xllamacpp")); err != nil {
		return nil
	}
	path, err := exec.LookPath(e.cfg.Python)
	if err != nil {
		e.log.WarnContext(ctx, "no Python to run the packaged llama.cpp", "error", err)
		return nil
	}
	r := &runner{path: path, pkg: pkg}
	if out, err := probe(ctx, r.env(""), path, "-B", "-c", "import xllamacpp"); err != nil {
		e.log.WarnContext(ctx, "the packaged llama.cpp does not run here", "error", err, "output", lastLine(out))
		return nil
	}
	return r
}

func probe(ctx context.Context, env []string, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = os.TempDir() // a folder xllamacpp below the working directory is not ours to import
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func (r *runner) env(key openaichat.Secret) []string {
	env := []string{"LLAMA_API_KEY=" + key.Reveal()}
	if r.pkg != "" {
		env = append(env, "PYTHONPATH="+r.pkg, "PYTHONSAFEPATH=1", "PYTHONUNBUFFERED=1")
	}
	return env
}

// command is the start of a server on 127.0.0.1:port for one model.
func (r *runner) command(
	cfg Config, name, model string, port int, key openaichat.Secret,
) (proc.Command, error) {
	cmd := proc.Command{Path: r.path, Env: r.env(key), Dir: filepath.Dir(model)}
	if r.pkg == "" {
		cmd.Args = r.serverArgs(cfg, name, model, port)
		return cmd, nil
	}
	settings, err := json.Marshal(map[string]any{
		"model": model, "alias": name, "port": port, "ctx": cfg.Context * cfg.Slots, "parallel": cfg.Slots,
		"threads": cfg.Threads, "threads_batch": cfg.PrefillThreads, "cache_ram": cfg.CacheRAM,
		"swa_full": cfg.SWAFull,
	})
	if err != nil {
		return proc.Command{}, err
	}
	cmd.Args = []string{"-B", "-c", serveScript, string(settings)}
	return cmd, nil
}

func (r *runner) serverArgs(cfg Config, name, model string, port int) []string {
	args := []string{
		"-m", model, "--alias", name, "--host", "127.0.0.1", "--port", strconv.Itoa(port),
		"-c", strconv.Itoa(cfg.Context * cfg.Slots), "--parallel", strconv.Itoa(cfg.Slots),
		"-t", strconv.Itoa(cfg.Threads), "-tb", strconv.Itoa(cfg.PrefillThreads), "--jinja",
	}
	optional := func(flag string, value ...string) {
		if strings.Contains(r.help, flag) { // a server dies of an option that it does not know
			args = append(append(args, flag), value...)
		}
	}
	optional("--cache-ram", strconv.Itoa(cfg.CacheRAM))
	optional("--metrics")
	optional("--slots")
	optional("--no-webui")
	if cfg.SWAFull {
		optional("--swa-full")
	}
	return args
}
