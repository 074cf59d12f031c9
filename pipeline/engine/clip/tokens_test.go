package clip

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// published is what OpenAI's own tokenizer makes of 56 texts, written down once. Of its 48,894 merges the file has those
// that could apply to them, with their places; the others are made up here so that nothing is like them.
type published struct {
	Merges int
	Ranks  [][2]any // place, merge
	Cases  []struct {
		Text string
		IDs  []int64
	}
}

func TestTokensAreThosePublished(t *testing.T) {
	raw, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var p published
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	lines := make([]string, p.Merges)
	for i := range lines {
		lines[i] = fmt.Sprintf("\x01%d \x01", i)
	}
	for _, r := range p.Ranks {
		lines[int(r[0].(float64))] = r[1].(string)
	}
	tok, err := newTokenizer(strings.NewReader("#version: 0.2\n" + strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Cases {
		want := append(slices.Clone(c.IDs), make([]int64, contextLength-len(c.IDs))...)
		if got := tok.encode(c.Text); !slices.Equal(got, want) {
			t.Errorf("%q is\n%v, not\n%v", c.Text, got[:len(c.IDs)], c.IDs)
		}
	}
	if len(p.Cases) < 50 || tok.begin != 49406 || tok.end != 49407 {
		t.Errorf("%d cases, begin %d, end %d", len(p.Cases), tok.begin, tok.end)
	}
}
