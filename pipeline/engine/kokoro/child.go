package kokoro

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"brenda/pipeline/engine/proc"
)

// ChildMain is the child: it loads the model and answers the parent until its pipe ends. args are what [New]
// appends to Config.Exec: -ort, -model and -threads.
func ChildMain(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("kokoro", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	library := flags.String("ort", "", "ONNX Runtime's shared library")
	dir := flags.String("model", "", "folder of the model")
	threads := flags.Int("threads", 1, "threads of one inference")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("kokoro: %w", err)
	}
	r, w, err := proc.Stdio()
	if err != nil {
		return fmt.Errorf("kokoro: %w", err)
	}
	m, err := open(*library, *dir, *threads)
	if err != nil {
		return fmt.Errorf("kokoro: %w", err)
	}
	err = proc.Serve(ctx, r, w, map[string]proc.Handler{methodSpeak: m.serve})
	return errors.Join(err, m.close())
}

func (m *model) serve(ctx context.Context, meta json.RawMessage, _ []byte,
	_ func(meta any, payload []byte) error,
) (any, []byte, error) {
	r, err := decodeRequest(meta)
	if err != nil {
		return nil, nil, err
	}
	pcm, err := m.synth(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	return nil, proc.FloatBytes(pcm), nil
}
