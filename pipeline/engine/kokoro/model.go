package kokoro

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/cpu"

	"brenda/pipeline/engine/ort"
	"brenda/pipeline/fault"
)

// The model's files and sizes.
const (
	modelFile   = "kokoro.onnx"
	vnniFile    = "kokoro-vnni.onnx" // faster; without VNNI its 8-bit sums would saturate
	voicesDir   = "voices"
	voiceSuffix = ".bin"

	maxTokens  = 509 // of one inference, without the zero before and after
	maxTokenID = 177
	styleRows  = 510 // a voice has one style for each number of tokens
	styleSize  = 256
)

// model is the loaded network; it lives in the child.
type model struct {
	dir     string
	session *ort.Session

	mu     sync.Mutex
	styles map[string][]float32 // by voice: styleRows × styleSize
}

func open(m *ort.Models, dir string) (*model, error) {
	path := graph(dir, cpu.X86.HasAVX512VNNI || cpu.X86.HasAVXVNNI)
	inputs, outputs := []string{"tokens", "style", "speed"}, []string{"audio"}
	s, err := m.Open(path, inputs, outputs)
	if err != nil {
		return nil, err
	}
	return &model{dir: dir, session: s, styles: map[string][]float32{}}, nil
}

// graph picks the file for this processor.
func graph(dir string, vnni bool) string {
	path := filepath.Join(dir, vnniFile)
	if _, err := os.Stat(path); vnni && err == nil {
		return path
	}
	return filepath.Join(dir, modelFile)
}

// synth returns the sound of tokens (1…maxTokens of them) at 24 kHz, with about 0.4 s of silence at each end.
// It is safe for concurrent use, and ends in the middle of the network when ctx ends.
func (m *model) synth(ctx context.Context, r request) ([]float32, error) {
	styles, err := m.style(r.Voice)
	if err != nil {
		return nil, err
	}
	for _, id := range r.Tokens {
		if id < 0 || id > maxTokenID { // ONNX Runtime would read beyond its table
			return nil, fmt.Errorf("token %d is out of range", id)
		}
	}
	n := len(r.Tokens)
	ids := make([]int64, n+2)
	copy(ids[1:], r.Tokens)
	out, err := m.session.Run(ctx,
		ort.Tensor{Shape: []int64{1, int64(len(ids))}, Ints: ids},
		ort.Tensor{Shape: []int64{1, styleSize}, Floats: styles[n*styleSize:][:styleSize:styleSize]},
		ort.Tensor{Shape: []int64{1}, Floats: []float32{float32(r.Speed)}})
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return out[0], nil
}

// style reads a voice, once.
func (m *model) style(voice string) ([]float32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.styles[voice]; ok {
		return s, nil
	}
	if voice != filepath.Base(voice) {
		return nil, fault.New(fault.NotFound, "voice_not_found", "no such voice")
	}
	raw, err := os.ReadFile(filepath.Join(m.dir, voicesDir, voice+voiceSuffix))
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "voice_not_found", "no such voice")
	}
	if len(raw) != styleRows*styleSize*4 {
		return nil, fmt.Errorf("voice of %d bytes, not %d", len(raw), styleRows*styleSize*4)
	}
	s := make([]float32, styleRows*styleSize)
	for i := range s {
		s[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	m.styles[voice] = s
	return s, nil
}
