package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"brenda/pipeline/engine/openaichat"
	"brenda/pipeline/weights"
)

// finding is what doctor says of one thing.
type finding struct {
	Name  string `json:"name"`
	State string `json:"state"` // "ok", "warning" or "missing"
	Says  string `json:"says"`
	Mend  string `json:"mend,omitempty"` // the command or setting that mends it
}

const (
	fine    = "ok"
	warning = "warning"
	missing = "missing"
)

type doctorCmd struct {
	JSON bool `help:"As JSON."`
}

// Run looks at everything and ends with exit code 1 when something that is needed is missing.
func (d *doctorCmd) Run(ctx context.Context, env *environment) error {
	found := examine(ctx, env.config)
	if d.JSON {
		if err := printJSON(env.out, found); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Fprintf(env.out, "%-8s %-16s %s\n", f.State, f.Name, f.Says)
			if f.Mend != "" {
				fmt.Fprintf(env.out, "%-25s → %s\n", "", f.Mend)
			}
		}
	}
	for _, f := range found {
		if f.State == missing {
			return exitError(1)
		}
	}
	return nil
}

// examine returns a finding for each thing that Brenda needs.
func examine(ctx context.Context, cfg *config) []finding {
	out := []finding{checkCPU(), checkData(cfg), checkDisk(cfg), checkMemory(), checkPort(ctx, cfg), checkEspeak()}
	out = append(out, checkDocker(ctx, cfg), checkImages(ctx, cfg))
	out = append(out, checkTranslation(ctx, cfg))
	out = append(out, checkMedia(cfg)...)
	out = append(out, checkVision(cfg)...)
	out = append(out, checkFiles(cfg))
	return append(out, checkModels(ctx, cfg)...)
}

func checkCPU() finding {
	f := finding{Name: "processor", State: fine, Says: fmt.Sprintf("%d cores, %s", runtime.NumCPU(), runtime.GOARCH)}
	if runtime.GOARCH != "amd64" {
		return f
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil && !strings.Contains(string(info), " avx2") {
		f.State, f.Says = missing, "no AVX2, which the packaged engines need"
		f.Mend = "use a processor of 2013 or later, or an endpoint (llm.url) and engines built for this one"
	}
	return f
}

func checkData(cfg *config) finding {
	f := finding{Name: "data folder", State: fine, Says: cfg.Data}
	probe, err := writable(cfg.Data)
	if err != nil {
		f.State, f.Says, f.Mend = missing, "not writable: "+err.Error(), "set BRENDA_DATA to a folder of yours"
		return f
	}
	_ = os.Remove(probe)
	return f
}

// writable makes the folder if need be and proves that a file can be made in it.
func writable(dir string) (probe string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return "", err
	}
	return file.Name(), file.Close()
}

func checkDisk(cfg *config) finding {
	const need = 3 << 30 // the default models and their temporaries
	var st syscall.Statfs_t
	if err := syscall.Statfs(existing(cfg.Models.Dir), &st); err != nil {
		return finding{Name: "disk", State: warning, Says: "cannot be asked: " + err.Error()}
	}
	free := st.Bavail * uint64(st.Bsize) //nolint:gosec // a block size is positive
	f := finding{Name: "disk", State: fine, Says: fmt.Sprintf("%.1f GB free", float64(free)/1e9)}
	if free < need {
		f.State, f.Mend = warning, "free some space, or set BRENDA_DATA to another disk: "+
			"fetching the default models takes 2.8 GB, 1.6 GB stay"
	}
	return f
}

// existing returns the nearest folder above dir that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func checkMemory() finding {
	total := memoryTotal()
	f := finding{Name: "memory", State: fine, Says: fmt.Sprintf("%.1f GB", float64(total)/1e9)}
	if total < 4e9 {
		f.State, f.Mend = warning, "use the small model: BRENDA_LLM_MODEL=qwen2.5-coder-0.5b (needs 1.5 GB in all, not 3)"
	}
	return f
}

// memoryTotal returns the machine's memory in bytes, or 0 where it cannot be known.
func memoryTotal() uint64 {
	var kb uint64
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscanf(string(data), "MemTotal: %d kB", &kb); err != nil {
		return 0
	}
	return kb * 1024
}

func checkPort(ctx context.Context, cfg *config) finding {
	f := finding{Name: "port", State: fine, Says: cfg.Listen + " is free"}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err == nil {
		_ = ln.Close()
		return f
	}
	if reachable(ctx, cfg) == nil {
		f.Says = "Brenda serves on " + cfg.Listen
		return f
	}
	f.State, f.Says, f.Mend = missing, err.Error(), "end the program that uses it, or set BRENDA_LISTEN"
	return f
}

func checkEspeak() finding {
	path, err := exec.LookPath("espeak-ng")
	if err != nil {
		return finding{
			Name: "espeak-ng", State: missing, Says: "not installed; the voice needs it for its phonemes",
			Mend: "apt-get install espeak-ng",
		}
	}
	return finding{Name: "espeak-ng", State: fine, Says: path}
}

// checkModels looks for the models and runtimes that this configuration wants.
func checkModels(ctx context.Context, cfg *config) []finding {
	m, err := weights.New(cfg.Models.Dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{{Name: "models", State: missing, Says: err.Error()}}
	}
	want := []string{"silero-vad", "smart-turn-v3.2", "onnxruntime", "whispercpp", "kokoro"}
	if cfg.LLM.URL == "" {
		want = append(want, cfg.LLM.Model)
		if _, err := exec.LookPath("llama-server"); err != nil && cfg.LLM.Server == "" {
			want = append(want, "llama-server")
		}
	}
	out := []finding{checkWhisper(ctx, m, cfg)}
	for _, name := range want {
		f := finding{Name: name, State: fine, Says: "installed"}
		if _, err := m.Path(name, ""); err != nil {
			f.State, f.Says, f.Mend = missing, "not installed", pull+name
		}
		out = append(out, f)
	}
	if cfg.LLM.URL != "" {
		out = append(out, checkEndpoint(ctx, cfg))
	}
	return out
}

// checkWhisper says openly when another size than the configured one would serve.
func checkWhisper(ctx context.Context, m *weights.Manager, cfg *config) finding {
	want := "whisper-" + cfg.STT.Model
	best, err := m.Best(ctx, weights.STT, want, "whisper-base")
	switch {
	case err != nil:
		return finding{Name: want, State: missing, Says: "no Whisper model is installed", Mend: pull + want}
	case best.Name != want:
		return finding{
			Name: want, State: warning, Says: "not installed; " + best.Name + " stands in for it",
			Mend: pull + want + " (needs a connection to the model hub)",
		}
	}
	return finding{Name: want, State: fine, Says: "installed"}
}

func checkEndpoint(ctx context.Context, cfg *config) finding {
	f := finding{Name: "llm.url", State: fine, Says: cfg.LLM.URL + " answers"}
	c, err := openaichat.New(openaichat.Config{
		URL: cfg.LLM.URL, Key: openaichat.Secret(cfg.LLM.Key),
	}, slog.New(slog.DiscardHandler))
	if err == nil {
		defer c.Close()
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err = c.Models(ctx)
	}
	if err != nil {
		f.State, f.Says, f.Mend = missing, err.Error(), "start that server, or correct BRENDA_LLM_URL and BRENDA_LLM_KEY"
	}
	return f
}

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

var errNoServer = errors.New("no server answers")
