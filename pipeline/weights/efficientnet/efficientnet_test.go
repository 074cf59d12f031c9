package efficientnet

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nlpodyssey/gopickle/pytorch"
)

// TestGather: arrays come out in the order of their dimensions, however they lie; what reaches outside is refused.
func TestGather(t *testing.T) {
	data := []float32{0, 1, 2, 3, 4, 5, 6}
	for name, c := range map[string]struct {
		size, stride []int
		offset       int
		want         []float32 // nil: an error
	}{
		"plain":         {[]int{2, 3}, []int{3, 1}, 1, []float32{1, 2, 3, 4, 5, 6}},
		"transposed":    {[]int{3, 2}, []int{1, 3}, 1, []float32{1, 4, 2, 5, 3, 6}},
		"one number":    {nil, nil, 6, []float32{6}},
		"repeated":      {[]int{3}, []int{0}, 5, []float32{5, 5, 5}},
		"too far":       {[]int{2, 3}, []int{3, 1}, 2, nil},
		"before":        {[]int{1}, []int{1}, -1, nil},
		"backwards":     {[]int{2}, []int{-1}, 1, nil},
		"nothing":       {[]int{0}, []int{1}, 0, nil},
		"too many":      {[]int{1 << 40, 1 << 40}, []int{1, 1}, 0, nil},
		"missing steps": {[]int{2}, nil, 0, nil},
	} {
		got, err := gather(&pytorch.Tensor{Size: c.size, Stride: c.stride, StorageOffset: c.offset}, data)
		if (err == nil) != (c.want != nil) || err == nil && !slices.Equal(got.values, c.want) {
			t.Errorf("%s: %v, %v", name, got.values, err)
		}
	}
}

// TestRefusals: a file that wants to run something, or that holds no such network, is told apart.
func TestRefusals(t *testing.T) {
	magic := "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."
	for name, content := range map[string]string{
		"nothing":   "",
		"a program": magic + "\x80\x02cos\nsystem\nq\x00X\x02\x00\x00\x00lsq\x01\x85q\x02Rq\x03.",
		"a number":  magic + "\x80\x02K\x05.\x80\x02]q\x00.",
		"empty":     magic + "\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01.\x80\x02]q\x00.",
	} {
		path := filepath.Join(t.TempDir(), "weights.pth")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Convert(path)
		if err == nil {
			t.Errorf("%s was converted", name)
		}
		t.Logf("%s: %v", name, err)
	}
}

// TestPads: as TensorFlow pads even sizes.
func TestPads(t *testing.T) {
	for s, want := range map[shape][]int64{
		{kernel: 3, stride: 1}: {1, 1, 1, 1}, {kernel: 3, stride: 2}: {0, 0, 1, 1},
		{kernel: 5, stride: 1}: {2, 2, 2, 2}, {kernel: 5, stride: 2}: {1, 1, 2, 2}, {kernel: 1, stride: 1}: {0, 0, 0, 0},
	} {
		if got := s.pads(); !slices.Equal(got, want) {
			t.Errorf("%+v: %v", s, got)
		}
	}
}
