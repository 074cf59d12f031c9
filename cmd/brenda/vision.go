package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"brenda/pipeline/engine/clip"
	"brenda/pipeline/engine/imagenet"
	"brenda/pipeline/engine/rapidocr"
	"brenda/pipeline/engine/tesseract"
	"brenda/pipeline/schedule"
	"brenda/pipeline/translation"
	"brenda/pipeline/weights"
	"brenda/rest/health"
	"brenda/rest/vision"
)

type visionConfig struct {
	OCR       string `default:"tesseract" enum:"tesseract,rapidocr" help:"The usual reader of text in pictures."`
	Analyze   string `default:"auto" enum:"auto,clip,imagenet" help:"The usual judge of labels; auto: clip where it is there."`
	CLIP      string `placeholder:"DIR" help:"Folder of another CLIP, with the files of brenda models pull clip."`
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
	byRapidOCR  = "rapidocr"
	byImageNet  = "imagenet"
	byCLIP      = "clip"
)

// newVision builds what looks at pictures. What is missing is told by each request that needs it.
func (in *instance) newVision(ctx context.Context) (*vision.Service, error) {
	c := in.cfg.Vision
	m, err := weights.New(in.cfg.Models.Dir, in.log)
	if err != nil {
		return nil, err
	}
	entry := func(name, file string) string { return filepath.Join(m.Dir(), name, file) }
	in.labels = &labelTranslator{lexicon: imagenet.NewLexicon()}
	lib := entry("onnxruntime", "libonnxruntime.so")
	classes := imagenet.New(ctx, imagenet.Config{
		ORTLib: lib, Model: entry(byImageNet, "efficientnet-lite0.onnx"), Classes: entry(byImageNet, "classes.json"),
		WordNet: c.Wordnet, Translator: in.labels, Threads: c.Threads, Log: in.log,
	})
	in.closers = append(in.closers, classes.Close)
	in.later.add(byImageNet, classes.State)
	dir := clipDir(c, m)
	words, err := clip.New(ctx, clip.Config{
		ORTLib: lib, Image: filepath.Join(dir, "onnx", "vision_model_quantized.onnx"),
		Text:   filepath.Join(dir, "onnx", "text_model_quantized.onnx"),
		Merges: filepath.Join(dir, "merges.txt"), Translator: in.labels, Threads: c.Threads, Log: in.log,
	})
	if err != nil {
		return nil, err
	}
	in.closers = append(in.closers, words.Close)
	in.later.add(byCLIP, words.State)
	photos := rapidocr.New(ctx, rapidocr.Config{
		ORTLib: lib, Det: entry(byRapidOCR, "PP-OCRv6_det_small.onnx"), Rec: entry(byRapidOCR, "PP-OCRv6_rec_small.onnx"),
		Threads: c.Threads, Log: in.log,
	})
	in.closers = append(in.closers, photos.Close)
	in.later.add(byRapidOCR, photos.State)
	in.told = append(in.told, func(context.Context) []health.Component { return visionParts(c, m) })
	return vision.New(vision.Config{
		Readers: map[string]vision.Reader{
			byTesseract: tesseract.New(tesseract.Config{Program: c.Tesseract, Log: in.log}), byRapidOCR: photos,
		},
		Reader: c.OCR,
		Judges: map[string]vision.Judge{byImageNet: classes, byCLIP: words}, Judge: judgeOf(c, m),
		Language: c.Lang,
		Queue: in.engines.machine.Queue(schedule.Config{
			Name: "vision", Running: c.Parallel, Waiting: in.cfg.Limits.Queue, MaxWait: in.cfg.Limits.Wait,
		}),
	}), nil
}

// clipDir is the folder of CLIP's files.
func clipDir(c visionConfig, m *weights.Manager) string {
	if c.CLIP != "" {
		return c.CLIP
	}
	return filepath.Join(m.Dir(), byCLIP)
}

// judgeOf returns the engine that judges when a request names none.
func judgeOf(c visionConfig, m *weights.Manager) string {
	if c.Analyze != "auto" {
		return c.Analyze
	}
	if _, err := os.Stat(filepath.Join(clipDir(c, m), "merges.txt")); err == nil {
		return byCLIP
	}
	return byImageNet
}

// labelTranslator turns French labels into English: by the table of common words, else by whoever translates texts.
type labelTranslator struct {
	lexicon *imagenet.Lexicon
	texts   atomic.Pointer[translation.Translator] // nil before it is built
}

// labelTime is how long a label may take: without a translation it is taken as it is.
const labelTime = 10 * time.Second

// Translate implements the translators of imagenet and clip.
func (l *labelTranslator) Translate(ctx context.Context, text, from, to string) (string, error) {
	if english, ok := l.lexicon.English(text); ok {
		return english, nil
	}
	t := l.texts.Load()
	if t == nil {
		return "", errors.New("nobody translates")
	}
	ctx, cancel := context.WithTimeout(ctx, labelTime)
	defer cancel()
	a, err := t.Translate(ctx, translation.Request{Text: text, From: from, To: to})
	return a.Text, err
}

// visionParts tells of what looks at pictures, for /ready. Nothing of it is required.
func visionParts(c visionConfig, m *weights.Manager) []health.Component {
	ocr := health.Component{Name: "ocr", State: health.Ready}
	if mend := lacksForOCR(c, m); mend != "" {
		ocr.State, ocr.Detail = health.Missing, "text in pictures cannot be read; run: "+mend
	}
	analyze := health.Component{Name: "analyze", State: health.Ready}
	if mend := lacksForAnalyze(c, m); mend != "" {
		analyze.State, analyze.Detail = health.Missing, "pictures cannot be told apart; run: "+mend
	}
	return []health.Component{ocr, analyze}
}

// lacksForOCR returns the command that brings what the usual reader of text needs; empty when all is there.
func lacksForOCR(c visionConfig, m *weights.Manager) string {
	if c.OCR == byTesseract {
		if _, err := exec.LookPath(c.Tesseract); err != nil {
			return tesseract.Install
		}
		return ""
	}
	for _, name := range []string{byRapidOCR, "onnxruntime"} {
		if _, err := m.Path(name, ""); err != nil {
			return pull + byRapidOCR + " onnxruntime"
		}
	}
	return ""
}

// lacksForAnalyze returns the command that brings what telling pictures apart needs; empty when all is there.
func lacksForAnalyze(c visionConfig, m *weights.Manager) string {
	judge := judgeOf(c, m)
	_, err := os.Stat(filepath.Join(clipDir(c, m), "merges.txt"))
	if judge == byImageNet {
		_, err = m.Path(byImageNet, "")
	}
	if _, libErr := m.Path("onnxruntime", ""); err != nil || libErr != nil {
		return pull + judge + " onnxruntime"
	}
	if judge == byCLIP {
		return ""
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
	ocr := finding{Name: "ocr", State: fine, Says: cfg.Vision.OCR + " is installed"}
	if mend := lacksForOCR(cfg.Vision, m); mend != "" {
		ocr.State, ocr.Says, ocr.Mend = warning, cfg.Vision.OCR+" is not installed; text in pictures cannot be read", mend
	}
	analyze := finding{Name: "analyze", State: fine, Says: "installed"}
	if mend := lacksForAnalyze(cfg.Vision, m); mend != "" {
		analyze.State, analyze.Says, analyze.Mend = warning, "not all installed; pictures cannot be told apart", mend
	}
	return []finding{ocr, analyze}
}
