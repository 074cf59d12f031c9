package speechtext

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestSplitGolden compares the chunks of answers such as a model writes with chunks that were read by eye.
func TestSplitGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/split/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, c := range split(string(text)) {
				fmt.Fprintf(&b, "%q\n\t%s\n", c.Source, c.Spoken)
			}
			golden := strings.TrimSuffix(file, ".md") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("chunks changed; got\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
}
