// Package tesseract reads the text in pictures with the tesseract program.
//
// Each pass is a child process: a picture that makes it crash, or hang, takes nobody else with it. A page is put
// upright before, when its lines lean a little, and read again at twice its size when its letters are small or the
// result is doubtful.
package tesseract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"math"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
)

// Config says how the engine runs. Zero fields mean the defaults.
type Config struct {
	Program string   // the program; default "tesseract" of the PATH
	Env     []string // "KEY=value", added to the child's environment
	Log     *slog.Logger
}

// Engine reads pictures. Its methods may be called from several goroutines at once; each call runs one child at a
// time, of one thread.
type Engine struct {
	cfg Config

	mu    sync.Mutex
	langs []string // as listed last
}

// New returns the engine. Whether the program is there is asked at each call.
func New(cfg Config) *Engine {
	if cfg.Program == "" {
		cfg.Program = "tesseract"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{cfg: cfg}
}

// Install is the command that brings the program with French and English.
const Install = "apt-get install tesseract-ocr tesseract-ocr-fra"

const (
	maxOutput  = 64 << 20         // bytes that a child may say
	killWait   = 3 * time.Second  // for the pipes of a child that was killed
	listPeriod = 20 * time.Second // longest time for the list of languages
)

// Check returns a fault.Unavailable with the command that brings the program, where it is missing.
func (e *Engine) Check() error {
	if _, err := exec.LookPath(e.cfg.Program); err != nil {
		return fault.Wrap(err, fault.Unavailable, "engine_missing", "tesseract is not installed; run: %s", Install)
	}
	return nil
}

// Languages returns the installed languages as tesseract names them: "eng", "fra". What was listed once is
// remembered until it is to be refreshed.
func (e *Engine) Languages(ctx context.Context, refresh bool) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.langs != nil && !refresh {
		return slices.Clone(e.langs), nil
	}
	langs, err := e.list(ctx)
	if err != nil {
		return nil, err
	}
	e.langs = langs
	return slices.Clone(langs), nil
}

func (e *Engine) list(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, listPeriod)
	defer cancel()
	out, err := e.run(ctx, nil, "--list-langs")
	if err != nil {
		return nil, fmt.Errorf("tesseract: languages: %w", err)
	}
	langs := []string{}
	for i, line := range strings.Split(string(out), "\n") {
		name := strings.TrimSpace(line)
		if i == 0 || name == "" || name == "osd" || name == "equ" { // the head; data that are no languages
			continue
		}
		langs = append(langs, name)
	}
	slices.Sort(langs)
	return langs, nil
}

// Read reads the text of a picture. langs are of [Engine.Languages], at least one. A picture without text gives an
// empty page. When ctx ends the child is killed and the cause returned.
func (e *Engine) Read(ctx context.Context, img image.Image, langs []string) (picture.Page, error) {
	if err := e.Check(); err != nil {
		return picture.Page{}, err
	}
	lang := strings.Join(langs, "+")
	sheet := prepare(img)
	first, err := e.pass(ctx, sheet, lang)
	if err != nil {
		return picture.Page{}, err
	}
	best := first
	if first.doubtful() {
		better := sheet.better()
		second, err := e.pass(ctx, better, lang)
		if err != nil {
			return picture.Page{}, err
		}
		if second.worth() > first.worth() {
			best, sheet = second, better
		}
	}
	if slices.Contains(langs, "fra") {
		best.lowerArticles()
	}
	return best.page(sheet), nil
}

// pass runs one child over a sheet.
func (e *Engine) pass(ctx context.Context, s sheet, lang string) (reading, error) {
	out, err := e.run(ctx, pgm(s.gray), "stdin", "stdout", "-l", lang, "--psm", "3", "tsv")
	if err != nil {
		return reading{}, fmt.Errorf("tesseract: %w", err)
	}
	return parse(out)
}

// pgm is a picture in the simplest format that the program knows: nothing to compress, nothing to go wrong.
func pgm(g *image.Gray) []byte {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	out := fmt.Appendf(make([]byte, 0, w*h+32), "P5\n%d %d\n255\n", w, h)
	for y := range h {
		out = append(out, g.Pix[y*g.Stride:][:w]...)
	}
	return out
}

// run runs the program and returns what it said. Threads of its own only get in each other's way: one is faster.
func (e *Engine) run(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, e.cfg.Program, args...)
	cmd.Env = append(append(cmd.Environ(), "OMP_THREAD_LIMIT=1", "LC_ALL=C.UTF-8"), e.cfg.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killWait
	out, says := limited{max: maxOutput}, limited{max: 8 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &says
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return nil, e.Check()
	case err != nil:
		e.cfg.Log.Warn("tesseract failed", "error", err, "says", says.String())
		return nil, fmt.Errorf("%w: %.200s", err, says.String())
	}
	return out.Bytes(), nil
}

// limited keeps the beginning of what is written and drops the rest.
type limited struct {
	bytes.Buffer
	max int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if room := l.max - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// clamp makes a share of a percentage.
func clamp(percent float64) float64 { return math.Max(0, math.Min(1, percent/100)) }
