package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"brenda/pipeline/engine/imagenet"
	"brenda/pipeline/engine/tesseract"
	"brenda/pipeline/schedule"
	"brenda/pipeline/weights"
	"brenda/rest/health"
	"brenda/rest/vision"
)

type visionConfig struct {
	OCR       string `default:"tesseract" enum:"tesseract" help:"The engine that reads text in pictures when a request names none."`
	Lang      string `default:"fr" help:"Language of the text in pictures when a request names none: fr, fra+eng."`
	Parallel  int    `default:"1" help:"Pictures that are looked at at the same time."`
	Threads   int    `default:"1" help:"Processor threads of one look."`
	Wordnet   string `default:"/usr/share/wordnet" placeholder:"DIR" help:"Folder of WordNet's nouns."`
	Tesseract string `default:"tesseract" placeholder:"FILE" help:"The tesseract program."`
}

func (c visionConfig) check() error {
	var errs []error
	if c.Parallel < 1 {
		errs = append(errs, fmt.Errorf("vision.parallel: must be at least 1, is %d", c.Parallel))
	}
	if c.Threads < 1 {
		errs = append(errs, fmt.Errorf("vision.threads: must be at least 1, is %d", c.Threads))
	}
	return errors.Join(errs...)
}

// The engines that look at pictures.
const (
	byTesseract = "tesseract"
	byImageNet  = "imagenet"
)

// newVision builds what looks at pictures. What is missing is told by each request that needs it.
func (in *instance) newVision(ctx context.Context) (*vision.Service, error) {
	c := in.cfg.Vision
	m, err := weights.New(in.cfg.Models.Dir, in.log)
	if err != nil {
		return nil, err
	}
	entry := func(name, file string) string { return filepath.Join(m.Dir(), name, file) }
	judge := imagenet.New(ctx, imagenet.Config{
		ORTLib: entry("onnxruntime", "libonnxruntime.so"), Model: entry(byImageNet, "efficientnet-lite0.onnx"),
		Classes: entry(byImageNet, "classes.json"), WordNet: c.Wordnet, Threads: c.Threads, Log: in.log,
	})
	in.closers = append(in.closers, judge.Close)
	in.told = append(in.told, func(context.Context) []health.Component { return visionParts(c, m) })
	return vision.New(vision.Config{
		Readers: map[string]vision.Reader{byTesseract: tesseract.New(tesseract.Config{Program: c.Tesseract, Log: in.log})},
		Reader:  c.OCR,
		Judges:  map[string]vision.Judge{byImageNet: judge}, Judge: byImageNet,
		Language: c.Lang,
		Queue: in.engines.machine.Queue(schedule.Config{
			Name: "vision", Running: c.Parallel, Waiting: in.cfg.Limits.Queue, MaxWait: in.cfg.Limits.Wait,
		}),
	}), nil
}

// visionParts tells of what looks at pictures, for /ready. Nothing of it is required.
func visionParts(c visionConfig, m *weights.Manager) []health.Component {
	ocr := health.Component{Name: "ocr", State: health.Ready}
	if _, err := exec.LookPath(c.Tesseract); err != nil {
		ocr.State, ocr.Detail = health.Missing, "tesseract is not installed; run: "+tesseract.Install
	}
	analyze := health.Component{Name: "analyze", State: health.Ready}
	if mend := lacksForAnalyze(c, m); mend != "" {
		analyze.State, analyze.Detail = health.Missing, "pictures cannot be told apart; run: "+mend
	}
	return []health.Component{ocr, analyze}
}

// lacksForAnalyze returns the command that brings what telling pictures apart needs; empty when all is there.
func lacksForAnalyze(c visionConfig, m *weights.Manager) string {
	for _, name := range []string{byImageNet, "onnxruntime"} {
		if _, err := m.Path(name, ""); err != nil {
			return pull + byImageNet + " onnxruntime"
		}
	}
	if _, err := os.Stat(filepath.Join(c.Wordnet, "data.noun")); err != nil {
		return imagenet.InstallWordNet
	}
	return ""
}

// checkVision is what doctor says of looking at pictures.
func checkVision(cfg *config) []finding {
	m, err := weights.New(cfg.Models.Dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{{Name: "analyze", State: warning, Says: err.Error()}}
	}
	ocr := finding{Name: "tesseract", State: fine}
	if path, err := exec.LookPath(cfg.Vision.Tesseract); err == nil {
		ocr.Says = path
	} else {
		ocr.State, ocr.Says, ocr.Mend = warning, "not installed; text in pictures cannot be read", tesseract.Install
	}
	analyze := finding{Name: "analyze", State: fine, Says: "installed"}
	if mend := lacksForAnalyze(cfg.Vision, m); mend != "" {
		analyze.State, analyze.Says, analyze.Mend = warning, "not all installed; pictures cannot be told apart", mend
	}
	return []finding{ocr, analyze}
}
