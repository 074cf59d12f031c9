package weights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"brenda/pipeline/weights/ct2ggml"
	"brenda/pipeline/weights/efficientnet"
	"brenda/pipeline/weights/onnxgraph"
)

// workshop is the partial folder of one entry while one source is tried: packages (kept until all is well),
// tmp and build.
type workshop struct {
	m        *Manager
	entry    Entry
	source   Source
	dir      string
	progress Progress
}

// assemble brings the files of the entry into the build folder.
func (w workshop) assemble(ctx context.Context) error {
	switch {
	case w.source.local != "":
		return w.local(ctx)
	case w.source.URL != "":
		return w.download(ctx)
	}
	if err := w.packages(ctx); err != nil {
		return err
	}
	for _, s := range w.source.Steps {
		if err := w.step(ctx, s); err != nil {
			return fmt.Errorf("%s %s: %w", s.Do, s.To, err)
		}
	}
	return nil
}

// path says where a result lies: "tmp/…" among the intermediate files, anything else among the final ones.
func (w workshop) path(name string) string {
	if !strings.HasPrefix(name, "tmp/") {
		name = "build/" + name
	}
	return filepath.Join(w.dir, filepath.FromSlash(name))
}

func (w workshop) step(ctx context.Context, s Step) error {
	to := w.path(s.To)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch s.Do {
	case "join":
		return writeFile(to, func(out io.Writer) error { return w.join(ctx, s.From, out) })
	case "tree":
		return w.tree(ctx, s.From, to)
	case "whisper-q8_0":
		w.progress.Note(w.entry.Name + ": converting to ggml q8_0")
		return convertWhisper(ctx, w.path(s.From[0]), w.path(s.From[1]), to)
	case "onnx-clean":
		return rewriteGraph(w.path(s.From[0]), to, onnxgraph.DropUnusedDomains)
	case "onnx-matmul":
		w.progress.Note(w.entry.Name + ": rewriting the graph")
		return rewriteGraph(w.path(s.From[0]), to, onnxgraph.MatMulConvolutions)
	case "kokoro-tokens":
		return kokoroTokens(w.path(s.From[0]), to)
	case "efficientnet":
		w.progress.Note(w.entry.Name + ": converting to ONNX")
		return convertEfficientNet(w.path(s.From[0]), to)
	}
	return fmt.Errorf("unknown step %q", s.Do)
}

// local copies the user's files, or converts the user's CTranslate2 folder.
func (w workshop) local(ctx context.Context) error {
	if len(w.source.Files) > 1 {
		for _, f := range w.source.Files {
			if err := copyFile(ctx, filepath.Join(w.source.local, filepath.FromSlash(f.Path)), w.path(f.Path)); err != nil {
				return err
			}
		}
		return nil
	}
	from, to := w.source.local, w.path(w.source.Files[0].Path)
	if st, err := os.Stat(from); err == nil && st.IsDir() {
		w.progress.Note(w.entry.Name + ": converting to ggml q8_0")
		return convertWhisper(ctx, filepath.Join(from, "model.bin"), filepath.Join(from, "tokenizer.json"), to)
	}
	return copyFile(ctx, from, to)
}

func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return writeFile(to, func(out io.Writer) error {
		_, err := io.Copy(out, readerCtx{ctx, in})
		return err
	})
}

// verify hashes what was built, compares it with the catalogue and flushes it to the disk. It returns the
// files with every checksum.
func (w workshop) verify(ctx context.Context) ([]File, error) {
	want := w.source.files(w.entry)
	got := make([]File, 0, len(want))
	for _, f := range want {
		path := w.path(f.Path)
		have, err := checkFile(ctx, path, f)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		if err := syncPath(path); err != nil {
			return nil, err
		}
		got = append(got, File{Path: f.Path, Bytes: have.Bytes, SHA256: have.SHA256})
	}
	return got, nil
}

// writeFile writes a new file and closes it; on an error nothing is left.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = write(f)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		_ = os.Remove(path)
	}
	return err
}

func convertWhisper(ctx context.Context, model, tokenizer, to string) error {
	in, err := os.Open(model)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	tokens, err := os.Open(tokenizer)
	if err != nil {
		return err
	}
	defer tokens.Close()
	return writeFile(to, func(out io.Writer) error {
		return ct2ggml.Convert(ctx, out, in, st.Size(), tokens, ct2ggml.Q8)
	})
}

func convertEfficientNet(from, to string) error {
	model, err := efficientnet.Convert(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, model, 0o644)
}

func rewriteGraph(from, to string, rewrite func([]byte) ([]byte, onnxgraph.Report, error)) error {
	model, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	out, _, err := rewrite(model)
	if err != nil {
		return err
	}
	return os.WriteFile(to, out, 0o644)
}

// kokoroTokens writes the vocabulary of Kokoro's config.json as one JSON object: phoneme symbol to token
// number.
func kokoroTokens(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var config struct {
		Vocab map[string]int `json:"vocab"`
	}
	if err := json.Unmarshal(b, &config); err != nil {
		return err
	}
	if len(config.Vocab) == 0 {
		return errors.New("the configuration holds no vocabulary")
	}
	out, err := json.MarshalIndent(config.Vocab, "", " ") // keys come out sorted: the same bytes everywhere
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(out, '\n'), 0o644)
}
