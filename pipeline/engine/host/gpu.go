package host

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"brenda/pipeline/vitals"
)

// How nvidia-smi is asked. It can take a second, and the processor with it.
const (
	gpuEvery   = 10 * time.Second
	gpuRetry   = 5 * time.Minute // after a failure: a driver that is not loaded stays so
	gpuTimeout = 5 * time.Second
	gpuOutput  = 64 << 10
)

// watchGPUs asks nvidia-smi again and again.
func (s *Sampler) watchGPUs(ctx context.Context, smi string) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		gpus, err := askGPUs(ctx, smi)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "graphics processors not read", "error", err)
			timer.Reset(gpuRetry)
		} else {
			timer.Reset(gpuEvery)
		}
		s.mu.Lock()
		s.gpus = gpus
		s.mu.Unlock()
	}
}

// askGPUs runs nvidia-smi once.
func askGPUs(ctx context.Context, smi string) ([]vitals.GPU, error) {
	ctx, cancel := context.WithTimeout(ctx, gpuTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, smi,
		"--query-gpu=index,name,utilization.gpu,memory.total,memory.used,temperature.gpu", "--format=csv,noheader,nounits")
	cmd.WaitDelay = time.Second
	out := &bounded{left: gpuOutput}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("nvidia-smi: %w", err)
	}
	return parseGPUs(out.Bytes())
}

// bounded keeps the beginning of what is written.
type bounded struct {
	bytes.Buffer
	left int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.left)
	b.left -= keep
	b.Buffer.Write(p[:keep])
	return len(p), nil
}

// parseGPUs reads what nvidia-smi writes: one line for each processor. What a card cannot tell is "[N/A]" or the like.
func parseGPUs(b []byte) ([]vitals.GPU, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.LazyQuotes = 6, true, true
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("nvidia-smi: %w", err)
	}
	var out []vitals.GPU
	for _, row := range rows {
		g := vitals.GPU{Name: strings.TrimSpace(row[1]), Percent: figure(row[2]), Celsius: figure(row[5])}
		if g.Index, err = strconv.Atoi(strings.TrimSpace(row[0])); err != nil {
			return nil, fmt.Errorf("nvidia-smi: %w", err)
		}
		g.MemoryTotal, g.MemoryUsed = mebibytes(row[3]), mebibytes(row[4])
		out = append(out, g)
	}
	return out, nil
}

// figure returns a number, nil for what is none.
func figure(s string) *float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || v != finite(v) {
		return nil
	}
	return &v
}

func mebibytes(s string) *uint64 {
	v := figure(s)
	if v == nil || *v < 0 {
		return nil
	}
	n := uint64(*v * (1 << 20))
	return &n
}
