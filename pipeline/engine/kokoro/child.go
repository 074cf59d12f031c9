package kokoro

import (
	"context"
	"encoding/json"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/engine/proc"
)

const (
	engineName = "kokoro"
	flagModel  = "model" // the folder
)

// ChildMain is the child: it loads the model and answers the parent until its pipe ends.
func ChildMain(ctx context.Context, args []string) error {
	return ort.Child{Name: engineName, Flags: []string{flagModel}, Open: func(m *ort.Models) (map[string]proc.Handler, error) {
		loaded, err := open(m, m.File(flagModel))
		if err != nil {
			return nil, err
		}
		return map[string]proc.Handler{methodSpeak: loaded.serve}, nil
	}}.Main(ctx, args)
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
