// Package imagenet tells how well labels fit a picture with a classifier of fixed classes: EfficientNet-Lite0 on ONNX
// Runtime, trained on the 1000 classes of ImageNet.
//
// A label is looked up in WordNet; its score is that of all classes that are kinds of it. So "animal" works, though no
// class is called that, and a label that has no class is not supported, whatever the picture shows. The model runs in
// a supervised child of this binary, because ONNX Runtime may abort its process.
package imagenet

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"slices"
	"sync"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
)

const (
	side       = 224 // pixels of the model's input
	classCount = 1000
)

// Config says where the engine's files are and how it runs.
type Config struct {
	ORTLib     string     // libonnxruntime.so
	Model      string     // efficientnet-lite0.onnx
	Classes    string     // JSON: class number → WordNet number
	WordNet    string     // folder of data.noun and index.noun, version 3.0
	Translator Translator // for labels that the table lacks; nil for none
	Threads    int        // threads of one inference; 0 means 1
	Exec       []string   // how this binary is started as a child: program, subcommand; see [ChildMain]
	Env        []string   // "KEY=value", added to the child's environment
	Log        *slog.Logger
}

// Engine judges pictures. Its methods may be called from several goroutines at once.
type Engine struct {
	*proc.Lazy
	cfg   Config
	words *Lexicon

	mu   sync.Mutex
	tree *taxonomy // nil before its first use
}

// New returns an engine that lives until ctx ends or Close is called. What is missing is told by the first call;
// nothing is loaded before it.
func New(ctx context.Context, cfg Config) *Engine {
	return &Engine{cfg: cfg, words: NewLexicon(), Lazy: ort.Worker{
		Name: engineName, Library: cfg.ORTLib, Files: []ort.File{{Flag: flagModel, Path: cfg.Model}},
		Missing: "the picture classifier is not installed; run: brenda models pull imagenet onnxruntime",
		Threads: cfg.Threads, Exec: cfg.Exec, Env: cfg.Env, Log: cfg.Log,
	}.Lazy(ctx)}
}

// InstallWordNet is the command that brings WordNet.
const InstallWordNet = "apt-get install wordnet-base"

// taxonomy reads WordNet at the first use.
func (e *Engine) taxonomy() (*taxonomy, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tree != nil {
		return e.tree, nil
	}
	tree, err := loadTaxonomy(e.cfg.WordNet, e.cfg.Classes)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.Wrap(err, fault.Unavailable, "engine_missing", "WordNet is not installed; run: %s", InstallWordNet)
	}
	if err != nil {
		return nil, fmt.Errorf("imagenet: %w", err)
	}
	e.tree = tree
	return tree, nil
}

// Judge returns a score for each label, in their order; the scores of those that it supports sum to 1.
func (e *Engine) Judge(ctx context.Context, img image.Image, labels []string) ([]picture.Score, error) {
	worker, err := e.Worker()
	if err != nil {
		return nil, err
	}
	tree, err := e.taxonomy()
	if err != nil {
		return nil, err
	}
	probs, err := classify(ctx, worker, img)
	if err != nil {
		return nil, err
	}
	out := make([]picture.Score, len(labels))
	var sum float64
	for i, label := range labels {
		classes, err := e.meaning(ctx, tree, label)
		if err != nil {
			return nil, err
		}
		out[i] = picture.Score{Label: label, Supported: len(classes) > 0}
		for _, c := range classes {
			out[i].Score += float64(probs[c])
		}
		sum += out[i].Score
	}
	for i := range out {
		if out[i].Supported {
			out[i].Score = share(out[i].Score, sum, out)
		}
	}
	return out, nil
}

// share makes scores sum to 1; where the model excludes all labels alike, each gets the same.
func share(score, sum float64, all []picture.Score) float64 {
	if sum > 0 {
		return score / sum
	}
	n := 0
	for _, s := range all {
		if s.Supported {
			n++
		}
	}
	return 1 / float64(n)
}

// meaning returns the classes that a label covers; none when the model does not know it.
func (e *Engine) meaning(ctx context.Context, tree *taxonomy, label string) ([]int, error) {
	nouns, known := e.words.find(label)
	if !known {
		nouns = forms(label)[:1]
		if english, err := e.translate(ctx, nouns[0]); err != nil {
			return nil, err
		} else if english != "" {
			nouns = []string{english}
		}
	}
	var classes []int
	for _, noun := range nouns {
		for _, c := range tree.classes(noun) {
			if !slices.Contains(classes, c) {
				classes = append(classes, c)
			}
		}
	}
	return classes, nil
}

// translate asks the translator, where there is one. That it fails only means that the label is taken as it is.
func (e *Engine) translate(ctx context.Context, label string) (string, error) {
	if e.cfg.Translator == nil {
		return "", nil
	}
	english, err := e.cfg.Translator.Translate(ctx, label, "fr", "en")
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", nil //nolint:nilerr // see above
	}
	return plain(english), nil
}

// classify returns the probability of each class.
func classify(ctx context.Context, worker *proc.Worker, img image.Image) ([]float32, error) {
	_, payload, err := worker.Call(ctx, methodClassify, nil, proc.FloatBytes(pixels(img)), nil)
	if err != nil {
		return nil, fmt.Errorf("imagenet: %w", err)
	}
	probs, err := proc.Floats(payload)
	if err != nil || len(probs) != classCount {
		return nil, fmt.Errorf("imagenet: %d probabilities: %w", len(probs), err)
	}
	return probs, nil
}
