package weights

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenda/pipeline/fault"
)

func TestCatalogue(t *testing.T) {
	m := newManager(t)
	entries, err := loadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	m.entries = entries
	for set, want := range map[string][]string{
		"default": {
			"silero-vad", "smart-turn-v3.2", "whisper-small", "whisper-base", "qwen2.5-coder-1.5b", "kokoro",
			"imagenet", "onnxruntime", "whispercpp", "llama-server", "yt-dlp",
		},
		"test": {
			"silero-vad", "smart-turn-v3.2", "whisper-base", "qwen2.5-coder-0.5b", "kokoro",
			"imagenet", "rapidocr", "onnxruntime", "whispercpp", "llama-server", "yt-dlp",
		},
	} {
		chosen, err := m.choose(nil, Options{Set: set})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range chosen {
			names = append(names, e.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("set %s is %v", set, names)
		}
	}
	for _, e := range entries {
		for _, s := range e.Sources {
			w := workshop{source: s}
			for _, step := range s.Steps {
				for _, ref := range step.From {
					if _, _, err := w.archiveOf(ref); err != nil && strings.Contains(ref, "!") {
						t.Errorf("%s: %v", e.Name, err)
					}
				}
			}
		}
	}
	voice := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == "kokoro" })
	if !strings.Contains(entries[voice].Licence, "CC BY 4.0") {
		t.Error("the voice's corpus asks for attribution")
	}
}

func TestCatalogueSaysEveryMistake(t *testing.T) {
	_, err := parseCatalogue([]byte(`entries:
  - {name: ../up, kind: stt, description: d, licence: l, files: [{path: ../x, bytes: 1}], sources: [{url: "http://x"}]}
  - {name: twice, kind: song, description: d, licence: l, files: [], sources: []}
  - {name: twice, kind: llm}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"not a name", `file "../x"`, "https", "unknown kind", "is there twice"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if _, err := parseCatalogue([]byte("entries: [{title: x}]")); err == nil {
		t.Error("a misspelt key was accepted")
	}
}

// put installs a model of the given content without fetching it.
func put(t *testing.T, m *Manager, name string, kind Kind, content []byte) {
	t.Helper()
	file := File{Path: name + ".bin", Bytes: int64(len(content)), SHA256: hash(content)}
	m.entries = append(m.entries, Entry{Name: name, Kind: kind, Files: []File{file}})
	dir := filepath.Join(m.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file.Path), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeManifest(dir, Manifest{Name: name, Kind: kind, Source: "test", Files: []File{file}}); err != nil {
		t.Fatal(err)
	}
}

func drop(t *testing.T, m *Manager, path string, n int) {
	t.Helper()
	path = filepath.Join(m.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, blob(n), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBest(t *testing.T) {
	m := newManager(t)
	if _, err := m.Best(t.Context(), STT, "whisper-small"); fault.KindOf(err) != fault.NotFound ||
		!strings.Contains(err.Error(), "pull whisper-small") {
		t.Errorf("got %v", err)
	}
	drop(t, m, "stt/ggml-mine.bin", 10)
	expect := func(want string, prefer ...string) {
		t.Helper()
		if got, err := m.Best(t.Context(), STT, prefer...); err != nil || got.Name != want {
			t.Errorf("best of %v is %q, want %q (%v)", prefer, got.Name, want, err)
		}
	}
	expect("ggml-mine", "whisper-small")
	put(t, m, "whisper-base", STT, blob(20))
	expect("whisper-base", "whisper-small")
	expect("ggml-mine", "ggml-mine")
	put(t, m, "whisper-small", STT, blob(30))
	expect("whisper-small", "whisper-small", "whisper-base")
	if _, err := m.Best(t.Context(), LLM); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestInstalledListsTheUsersFiles(t *testing.T) {
	m := newManager(t)
	put(t, m, "kokoro", TTS, blob(7))
	drop(t, m, "llm/big.gguf", 11)
	drop(t, m, "stt/ggml-medium.bin", 13)
	drop(t, m, "llm/readme.txt", 17)
	all, err := m.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	if !slices.Equal(names, []string{"kokoro", "big", "ggml-medium"}) || all[1].Bytes() != 11 || all[1].Catalogue {
		t.Errorf("got %v", names)
	}
	path, err := m.Path("big", "")
	if err != nil || path != filepath.Join(m.dir, "llm", "big.gguf") {
		t.Errorf("path %q, %v", path, err)
	}
	if _, err := m.Path("kokoro", "other.bin"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	m := newManager(t)
	put(t, m, "good", LLM, blob(1000))
	put(t, m, "rotten", LLM, blob(2000))
	put(t, m, "cut", LLM, blob(3000))
	m.entries = append(m.entries, Entry{Name: "absent", Kind: LLM})
	rotten := blob(2000)
	rotten[1000]++
	for path, b := range map[string][]byte{"rotten/rotten.bin": rotten, "cut/cut.bin": blob(2999)} {
		if err := os.WriteFile(filepath.Join(m.dir, path), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	checks, err := m.Verify(t.Context(), []string{"good", "rotten", "cut", "absent"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "SHA-256", "bytes", "not installed"} {
		text := strings.Join(checks[i].Problems, "; ")
		if (want == "") != checks[i].OK() || !strings.Contains(text, want) {
			t.Errorf("%s: %q, want %q", checks[i].Name, text, want)
		}
	}
	if _, ok := m.installed("cut"); ok {
		t.Error("a file of the wrong size counts as installed")
	}
	if _, err := m.Verify(t.Context(), []string{"nonsense"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestRemove(t *testing.T) {
	m := newManager(t)
	put(t, m, "one", LLM, blob(1000))
	drop(t, m, ".partial/one/packages/x.whl", 500)
	drop(t, m, "llm/own.gguf", 50)
	freed, err := m.Remove(t.Context(), []string{"one", "own", "ghost"}, Quiet{})
	if freed < 1550 || fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("freed %d, %v", freed, err)
	}
	if all, err := m.Installed(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("left %v, %v", all, err)
	}
	clean(t, m)
}

func TestManifestCannotLeadOutside(t *testing.T) {
	m := newManager(t)
	put(t, m, "one", LLM, blob(10))
	dir := filepath.Join(m.dir, "one")
	if err := writeManifest(dir, Manifest{Name: "one", Files: []File{{Path: "../../secret"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Path("one", ""); err == nil {
		t.Error("a path outside was followed")
	}
}
