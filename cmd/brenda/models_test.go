package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline/weights"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", name, got)
	}
}

func TestModelsList(t *testing.T) {
	catalogue := []weights.Entry{
		{
			Name: "silero-vad", Kind: weights.VAD, Description: "hears speech", Sets: []string{"default"},
			Files: []weights.File{{Path: "a.onnx", Bytes: 2_327_524}},
		},
		{Name: "whisper-small", Kind: weights.STT, Description: "writes down", Files: []weights.File{{Path: "s.bin", Bytes: 264_464_607}}},
		{
			Name: "qwen", Kind: weights.LLM, Description: "answers", Sets: []string{"default"},
			Files: []weights.File{{Path: "q.gguf", Bytes: 1_117_320_768}},
		},
	}
	installed := []weights.Installed{
		{Catalogue: true, Manifest: weights.Manifest{Name: "silero-vad", Files: catalogue[0].Files}},
		{Manifest: weights.Manifest{
			Name: "mine", Kind: weights.LLM, Source: "put there by the user",
			Files: []weights.File{{Path: "mine.gguf", Bytes: 4711}},
		}},
	}
	var out bytes.Buffer
	if err := printModels(&out, "/models", listModels(catalogue, installed)); err != nil {
		t.Fatal(err)
	}
	golden(t, "models-list.txt", out.Bytes())
}

func modelsEnv(t *testing.T, out io.Writer) *environment {
	t.Helper()
	env := &environment{config: &config{}, log: slog.New(slog.DiscardHandler), out: out}
	env.Models.Dir = t.TempDir()
	return env
}

func TestModelsListJSON(t *testing.T) {
	var out bytes.Buffer
	if err := (&modelsListCmd{JSON: true}).Run(t.Context(), modelsEnv(t, &out)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name": "kokoro"`, `"licence"`, `"sha256"`, "CC BY 4.0"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestModelsVerifyAndRemove(t *testing.T) {
	var out bytes.Buffer
	env := modelsEnv(t, &out)
	var code exitError
	err := (&modelsVerifyCmd{Names: []string{"kokoro"}}).Run(t.Context(), env)
	if !errors.As(err, &code) || code != 1 || !strings.Contains(out.String(), "brenda models pull kokoro") {
		t.Errorf("got %v: %s", err, &out)
	}
	own := filepath.Join(env.Models.Dir, "llm", "own.gguf")
	if err := errors.Join(os.MkdirAll(filepath.Dir(own), 0o755), os.WriteFile(own, make([]byte, 20_000), 0o644)); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := (&modelsRmCmd{Names: []string{"own"}}).Run(t.Context(), env); err != nil || out.String() != "freed 20 kB\n" {
		t.Errorf("got %v: %q", err, &out)
	}
}

func TestLineProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &lineProgress{w: &out}
		p.Start("kokoro", 90_000_000)
		time.Sleep(300 * time.Millisecond) // between the ticks
		for range 12 {
			time.Sleep(time.Second)
			p.Advance(6_000_000)
		}
		synctest.Wait()
		p.Note("kokoro: rewriting the graph")
		p.Done()
		golden(t, "models-progress.txt", out.Bytes())
	})
}

func TestBarProgress(t *testing.T) {
	var out bytes.Buffer
	p := &barProgress{w: &out}
	p.Note("before")
	p.Start("kokoro", 1_000_000)
	p.Advance(1_000_000)
	p.Done()
	for _, want := range []string{"before\n", "kokoro", "100%", "/s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, &out)
		}
	}
}
